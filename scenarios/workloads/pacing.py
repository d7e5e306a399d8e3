"""The kernel time that the recorded programs took, for serial play: SLAB's reaper runs by the clock.

Recorded of Linux 3.16 (tests/data, censuses): when the programs did what, and when they woke to count. What is
due on an idle CPU waits until something wakes it, so the moments of counting are moments of reaping.

none: no time passes between operations but what they take. busy: every CPU runs something all the time, and timers
are on time. idle: the CPUs sleep between the counts, all wake for them. alone: only the CPU of the program does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

if TYPE_CHECKING:
    import numpy as np

Pace = Literal["none", "busy", "idle", "alone"]
TIMERS = msgspec.Meta(ge=0.25, le=2.0, description="pace: seconds that kernel timers count in one of the program's")
PACE = msgspec.Meta(description="kernel time as recorded (serial play), its CPUs busy, idle, or idle but for one")

BOOT = msgspec.Meta(ge=0.0, le=60.0, description="pace: seconds from the kernel's start to the program's")

# Seconds after a phase began at which the programs counted.
COUNTS = (0.05, 0.1, 0.2, *(0.5 * i for i in range(1, 11)))
LATER = (6.0, 7.0, 8.0, 9.0, 10.0, 12.0, 15.0, 20.0)
LATE = (30.0, 45.0, 60.0)


def sleep(seconds: float, pace: Pace, timers: float = 1.0) -> np.ndarray:
    """The operation that lets so much time pass, `timers` kernel seconds in each second; none without a pace."""
    from scenarios import tape

    if pace == "none" or seconds == 0.0:
        return tape.op(tape.OP_SLEEP, c=[])
    kind = {"busy": tape.SLEEP_BUSY, "idle": tape.SLEEP_ALL, "alone": tape.SLEEP_ALONE}[pace]
    return tape.op(tape.OP_SLEEP, a=kind, c=round(1e6 * seconds * timers))


def counting(counts: tuple[float, ...], pace: Pace, timers: float) -> np.ndarray:
    """Sleeps that end at these moments, in seconds from the first's beginning."""
    import numpy as np

    return np.concatenate([sleep(end - begin, pace, timers) for begin, end in zip((0.0, *counts), counts)])
