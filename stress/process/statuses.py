"""How commands end. Imports nothing, so that it is there when an interrupt comes early."""

DONE = 0
VIOLATED = 1  # an invariant, a claim, an expectation: what was asked about does not hold
USAGE = 2  # what was typed, or a file that was given, is wrong
DAMAGED = 3  # broken off, or what was found could not be written
