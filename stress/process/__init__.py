"""How a process lives.

    errors, usage       what ends a command with a sentence; checks of what a user typed
    failures            what the system refuses, as such a sentence
    ending, log         signals and the death of others; one log of many processes
    statuses            how commands end
    streams, files      stdout that may be closed; files that are there whole or not at all
    host                the machine: CPUs, placement, counters of disturbance

Imports nothing of the project.
"""
