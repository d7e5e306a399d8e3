"""The compiled programs of a design: one for timed blocks, and one that counts and does all the rest.

Compiling is what a first run waits for, so whatever need not be as fast as can be shares a program.
"""

from __future__ import annotations

from allocators.core.page_alloc import drain_all_pages
from shm.compiler import dual
from shm.entry import Entry, entry
from shm.machine import Machine
from stress.engine.flows import begin_flows, play_flows
from stress.engine.kworker import run_kworker
from stress.engine.play import cpu_main
from stress.engine.serial import play_ordered, play_seeded
from stress.engine.virtual import begin_virtual, play_virtual

_CPU, _KWORKER, _ORDERED, _SEEDED = range(4)

_play_counted = dual(cpu_main.function)


@entry
def counting_main(m: Machine, part: int, run: int, a: int, b: int, c: int) -> int:
    """The program of machines with feature STATS; `part` is what to do, a to c are arguments of that."""
    if part == _CPU:
        return _play_counted(m, run)
    if part == _KWORKER:
        return run_kworker(m, run)
    if part == _ORDERED:
        return play_ordered(m, run, a, b, c)
    return play_seeded(m, run, a)


@entry
def virtual_main(m: Machine, part: int, run: int, loop: int, steps: int) -> int:
    """The program of machines with VTIME; m is the kworker's.

    part: 0 begins, 1 plays `steps` operations, 2 ends; 3 and 4 are as 0 and 1, an access at a time.
    """
    if part == 0:
        return begin_virtual(m, run, loop)
    if part == 1:
        return play_virtual(m, run, loop, steps)
    if part == 2:
        drain_all_pages(m)
        return 0
    if part == 3:
        return begin_flows(m, run, loop)
    return play_flows(m, run, loop, steps)


def program_of(m: Machine, *, kworker: bool) -> Entry:
    """What `kworker_main`, or else `play_block`, runs on this machine."""
    return counting_main if kworker or m.has("STATS") else cpu_main


def play_block(m: Machine, run: int) -> int:
    """A CPU's turn, timed or (feature STATS) counted; see `play.cpu_main`."""
    if m.has("STATS"):
        return counting_main(m, _CPU, run, 0, 0, 0)
    return cpu_main(m, run)


def kworker_main(m: Machine, run: int) -> int:
    """The kworker's turn; see `kworker.run_kworker`. It always counts: that costs the CPUs nothing."""
    return counting_main(m, _KWORKER, run, 0, 0, 0)


def serial_ordered(m: Machine, run: int, order: int, steps: int, first: int) -> int:
    """See `serial.play_ordered`."""
    return counting_main(m, _ORDERED, run, order, steps, first)


def serial_seeded(m: Machine, run: int, bursts: int) -> int:
    """See `serial.play_seeded`."""
    return counting_main(m, _SEEDED, run, bursts, 0, 0)
