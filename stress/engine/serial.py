"""Serial play: one process steps all CPUs, in a seeded or in a recorded order."""

from __future__ import annotations

from allocators.core.world import OPS, OPS_AT, WORLD, WORLD_AT
from scenarios.tape import OP_END, OP_SLEEP, SLEEP_ALL, SLEEP_BUSY
from shm.atomics import call_timers, cpu_area, load, on_cpu, store
from shm.compiler import dual, dual_slow
from shm.machine import MACHINE, Machine
from shm.xorshift import next_random
from stress.engine.curve import sample_when_due, take_sample
from stress.engine.kworker import kworker_turn, settling
from stress.engine.play import execute
from stress.engine.words import FAST, FINISHED, PLAY, PLAYING, RUN, SLOW, STUCK, a_of, c_of, opcode


@dual
def _step(m: Machine, run: int, cpu: int) -> bool:
    """One operation of one CPU in serial play; False when it waits or its tape has ended."""
    p = load(m, run + RUN.plays) + cpu * PLAY.SIZE
    at = load(m, p + PLAY.tape)
    op = load(m, at)
    if opcode(op) == OP_END:
        return False
    if not execute(on_cpu(m, cpu), p, run, op):
        return False
    store(m, p + PLAY.tape, at + 1)
    store(m, p + PLAY.operations, load(m, p + PLAY.operations) + 1)
    if opcode(op) == OP_SLEEP:
        _sleep(m, run, cpu, op)
    else:
        if load(m, WORLD_AT + WORLD.awake):
            _wake(m, cpu + 1)
        _pass_time(m, run, load(m, WORLD_AT + WORLD.now) + load(m, run + RUN.step_ns))
    return True


@dual_slow
def _sleep(m: Machine, run: int, cpu: int, op: int) -> None:
    """A CPU sleeps: what is queued is done first, then time passes with the timers that run in it, then what they
    queued.
    """
    while kworker_turn(m, run):
        pass
    end = load(m, WORLD_AT + WORLD.now) + 1000 * c_of(op)
    if a_of(op) == SLEEP_BUSY:
        _wake(m, 0)
        due = load(m, WORLD_AT + WORLD.reaper_due)
        while load(m, WORLD_AT + WORLD.now) < due < end:
            _pass_time(m, run, due)
            while kworker_turn(m, run):
                pass
            due = load(m, WORLD_AT + WORLD.reaper_due)
    elif a_of(op) == SLEEP_ALL:
        _wake(m, 0)
    else:
        _wake(m, cpu + 1)
    _pass_time(m, run, end)
    while kworker_turn(m, run):
        pass
    if a_of(op) == SLEEP_ALL:
        _wake(m, cpu + 1)


@dual
def _wake(m: Machine, awake: int) -> None:
    """From now on all CPUs run timers (0), or one alone (1 + its number)."""
    if load(m, WORLD_AT + WORLD.awake) != awake:
        store(m, WORLD_AT + WORLD.awake, awake)
        store(m, WORLD_AT + WORLD.reaper_due, 0)  # look again


@dual
def _pass_time(m: Machine, run: int, now: int) -> None:
    """Serial play: it is `now` in the kernel; what is due by then runs."""
    store(m, WORLD_AT + WORLD.now, now)
    sample_when_due(m, run)
    call_timers(m)


@dual
def _settle(m: Machine, run: int) -> bool:
    """Serial play, when all tapes have ended: jump to when timers may find dead caches; False when it is time to
    end."""
    at = settling(m, run)
    if at == 0:
        return False
    _pass_time(m, run, at)
    return True


@dual
def _slow_count(m: Machine, cpu: int) -> int:
    return load(m, cpu_area(on_cpu(m, cpu)) + OPS_AT + OPS.slow)


@dual
def play_ordered(m: Machine, run: int, order: int, steps: int, first: int) -> int:
    """Play exactly `steps` operations in the global order given as CPU numbers from word `order`.

    m is the kworker's machine; deferred work runs as soon as it is queued. With RUN.outcomes set, a
    word per operation is written, from word `first` on: FAST or SLOW (feature STATS). When the tapes
    have ended, timers settle the world.
    Returns -1 when all were played, else the index of the operation that could not be.
    """
    outcomes = load(m, run + RUN.outcomes)
    while kworker_turn(m, run):
        pass
    for i in range(steps):
        cpu = load(m, order + i)
        before = _slow_count(m, cpu)
        if not _step(m, run, cpu):
            return i
        if outcomes:
            store(m, outcomes + first + i, FAST if _slow_count(m, cpu) == before else SLOW)
        while kworker_turn(m, run):
            pass
    if _all_ended(m, run):
        while _settle(m, run):
            while kworker_turn(m, run):
                pass
        take_sample(m, run)
    return -1


@dual
def play_seeded(m: Machine, run: int, bursts: int) -> int:
    """Step all CPUs in a seeded random order; returns PLAYING after `bursts` bursts, or how it ended.

    m is the kworker's machine. A CPU plays a burst of 1 to 16 operations, the kworker gets its turn
    between bursts with a chance of one half. FINISHED: every tape has ended and all work is done;
    STUCK: nothing can move any more.
    """
    cpus = load(m, MACHINE.workers)
    for _ in range(bursts):
        x = next_random(m, run + RUN.seed)
        cpu = x % cpus
        moved = False
        for _ in range((x >> 8 & 15) + 1):
            if not _step(m, run, cpu):
                break
            moved = True
        if x >> 16 & 1 and kworker_turn(m, run):
            moved = True
        if not moved:
            for other in range(cpus):
                if _step(m, run, other):
                    moved = True
            while kworker_turn(m, run):
                moved = True
            if not moved:
                if not _all_ended(m, run):
                    return STUCK
                if not _settle(m, run):
                    take_sample(m, run)
                    return FINISHED
    return PLAYING


@dual
def _all_ended(m: Machine, run: int) -> bool:
    plays = load(m, run + RUN.plays)
    for cpu in range(load(m, MACHINE.workers)):
        if opcode(load(m, load(m, plays + cpu * PLAY.SIZE + PLAY.tape))) != OP_END:
            return False
    return load(m, run + RUN.events_done) == load(m, run + RUN.events)
