"""Words of a play: RUN, PLAY with its SECTIONs, EVENT (see the package's text for who writes them)."""

from __future__ import annotations

from scenarios.tape import A_BITS, A_SHIFT, B_BITS, B_SHIFT, C_SHIFT, FLAG, SECTIONS
from shm.compiler import dual_inline
from shm.layout import struct
from shm.machine import Machine
from shm.preemption import Watch

RUN = struct(
    "RUN",
    "ready",  # CPUs that have come to the start line, of all turns together
    "expected",  # of them in a turn
    ("pad0", 6),
    "events_done",
    "events",
    "over",  # turns that are over: tapes, schedule and deferred work have come as far as they can in them
    "nap",  # microseconds that the kworker may sleep until it is called; 0: it looks for work by itself
    ("pad1", 4),
    "done",  # CPUs that have come to the end of a turn, of all turns together
    "plays",  # PLAY[workers]
    "schedule",  # EVENT[events]
    "slots",
    "marks",  # slabs per cache index at each EV_MARK
    "cache_indices",
    "outcomes",  # one word per tape operation in global order, 0 = not wanted: 1 fast, 2 slow
    "seed",
    "step_ns",  # serial play: kernel time that passes with each operation
    "settle_ns",  # allocators with timers: kernel time after the last tape's end for dead caches to die in
    "settled_at",  # when that time is over, 0 as long as tapes are played. Kworker only.
    # Counted passes; see `latency` and `curve`.
    "latencies",  # LATENCY[workers]
    "makers",  # by slot: the CPU that allocated its object
    "samples",  # SAMPLE[SAMPLES], 0 = not wanted
    "sampled",  # how many there are. These three: kworker only.
    "sample_every",  # ns of kernel time
    "sample_due",
    "books",  # BOOK[2 * workers + 1], 0 = not wanted; see `notes`
    "turns",  # that the kworker has begun
    "cuts",  # in each tape, so turns without the last
    "rested_at",  # the cycle counter when the last turn was over. These three: kworker only, but for the boot.
    "spin_every",  # SPIN: of so many frees of a CPU the last one spins
    "spin_cycles",  # SPIN: so long
    "spin_kinds",  # SPIN: a bit for each kind of section in which they do
    size=64,
)

SECTION = struct(
    "SECTION",
    "operations",
    "cycles",
    "sections",
    "list_lock",  # SLOB: slob_lock
    "list_lock_contended",
    "page_cas",
    "page_cas_failed",
    "began",
    "b_list_lock",
    "b_contended",
    "b_page_cas",
    "b_page_cas_failed",
    "b_noted",
    size=16,
)

PLAY = struct(
    "PLAY",
    "round",
    ("pad0", 7),
    "tape",  # next operation
    "operations",
    "failed",
    "skipped",  # operations on caches that are gone
    "turns",  # that this CPU has begun
    "times",  # TURN[turns], 0 = not wanted
    "log",  # cycles of each timed section, one word each, 0 = not wanted; negative where the CPU was taken away in it
    "logged",  # sections so far
    "watch",  # the word of this CPU's thread that tells so, 0 = there is none; see `shm.preemption`
    "descriptor",  # what to leave there
    "spin_due",  # SPIN: frees until the next that spins
    "spins",  # SPIN: frees that spun
    "spun",  # SPIN: cycles that they spun
    "spinning",  # SPIN: 1 in a section of such a kind
    ("pad1", 2),
    ("section", SECTION.SIZE * len(SECTIONS)),
    size=128,
)

TURN = struct("TURN", "began", "ended", "switches", "pad")  # cycle counter; involuntary switches by the worker process

# parent, cgroup: of EV_CREATE_CACHE, the child's root cache (an index) and cgroup.
EVENT = struct("EVENT", "kind", "arg", "round", "parent", "cpu", "cgroup", size=8)

SLOT_FAILED = -1
FAST, SLOW = 1, 2
PLAYING, FINISHED, STUCK = 0, 1, 2

# Fields of a tape's operation, see `scenarios.tape`.


@dual_inline
def opcode(op: int) -> int:
    """OP_*."""
    return op & (1 << A_SHIFT) - 1


@dual_inline
def a_of(op: int) -> int:
    """Cache index, or kind of section."""
    return op >> A_SHIFT & (1 << A_BITS) - 1


@dual_inline
def b_of(op: int) -> int:
    """Cgroup index."""
    return op >> B_SHIFT & (1 << B_BITS) - 1


@dual_inline
def may_block(op: int) -> bool:
    """May the allocation wait for reclaim (gfpflags_allow_blocking)?"""
    return op & FLAG == 0


@dual_inline
def may_spin(op: int) -> bool:
    """May the free wait for a lock?"""
    return op & FLAG == 0


@dual_inline
def c_of(op: int) -> int:
    """Slot, count, round or event."""
    return op >> C_SHIFT


def watch_sections(m: Machine, run: int, watch: Watch) -> None:
    """Let this CPU's timed sections be watched, by the thread whose watch it is; not compiled."""
    play = m.mem[run + RUN.plays] + m.cpu * PLAY.SIZE
    m.mem[play + PLAY.watch], m.mem[play + PLAY.descriptor] = watch.word, watch.descriptor


def note_switches(m: Machine, run: int, switches: int) -> None:
    """The turn that this CPU has just played was interrupted so often; not compiled."""
    play = m.mem[run + RUN.plays] + m.cpu * PLAY.SIZE
    if m.mem[play + PLAY.times]:
        m.mem[m.mem[play + PLAY.times] + (m.mem[play + PLAY.turns] - 1) * TURN.SIZE + TURN.switches] = switches
