"""A schedule to look at: `recording` replays it and notes every access, `state` what slabs and lists look like in
between, `beside` the same schedule without its preemption, `html` the page of all that, `perfetto` a trace for viewers.

Imports the other rooms of the explorer, and `stress.show`.
"""
