"""The engine: compiled loops that play tapes on a machine and run its kworker.

Knows the tapes' format and the allocators' front door, nothing else. Words of a play, all in the
segment (regions of `stress.play.arena`):

    RUN     one struct: barriers, the schedule's progress, the end of the block
    PLAY    one per CPU: where its tape is, its round, its sums of timed sections
    EVENT   the schedule, read only
    LATENCY one per CPU: how long its allocations and frees take (counted passes)
    SAMPLE  dead caches and what they pin over time (counted passes); the kworker writes
    BOOK    two per CPU and the kworker's, with NOTEs of what was done when (counted passes that are looked at)

Who may write: a PLAY by its CPU (the kworker reads `round`); `RUN.ready`, `RUN.done` atomically by
the CPUs; `events_done` and `over` by the kworker; `stop` of the machine by the coordinator.

A slot holds 0 (empty), an object, or SLOT_FAILED for an allocation that found no memory: its free is
then skipped, so a tape plays to its end whatever memory there is.
"""

import allocators.caches.kinds  # noqa: F401  whose vectors compiled code calls
from stress.engine.curve import PER_CGROUP, SAMPLE, SAMPLE_EVERY, SAMPLES
from stress.engine.latency import LATENCY, PATHS
from stress.engine.notes import BOOK, NOTE, OF_EVENT, OF_SECTION, OF_WORK
from stress.engine.play import cpu_main
from stress.engine.programs import (
    counting_main,
    kworker_main,
    play_block,
    program_of,
    serial_ordered,
    serial_seeded,
    virtual_main,
)
from stress.engine.virtual import LOOP
from stress.engine.words import EVENT, FAST, FINISHED, PLAY, PLAYING, RUN, SECTION, SLOT_FAILED, SLOW, STUCK, TURN

__all__ = [
    "BOOK", "EVENT", "FAST", "FINISHED", "LATENCY", "LOOP", "NOTE", "OF_EVENT", "OF_SECTION", "OF_WORK", "PATHS",
    "PER_CGROUP", "PLAY", "PLAYING", "RUN", "SAMPLE", "SAMPLES", "SAMPLE_EVERY", "SECTION", "SLOT_FAILED", "SLOW",
    "STUCK", "TURN",
    "counting_main", "cpu_main", "kworker_main", "play_block", "program_of", "serial_ordered", "serial_seeded",
    "virtual_main",
]  # fmt: skip
