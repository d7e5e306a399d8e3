"""The scheduler: what runs when, what waits, what counts as a preemption; the oracles that need no world."""

from __future__ import annotations

import gc
import weakref

import pytest

from shm.atomics import (
    cmpxchg,
    cpu_relax,
    fetch_add,
    load,
    local_irq_save,
    preempt_disable,
    read_once,
    smp_mb,
    write_once,
)
from stress.explore.search.depth_first import DepthFirst
from stress.explore.search.search import Budget, search
from stress.explore.search.strategies import Follow, RandomWalk
from stress.explore.space.space import Body, Space
from stress.explore.space.violation import Violation
from stress.explore.world.bare import bare_space


def _lost_update(m, b):
    write_once(m, b, read_once(m, b) + 1)


def _expect(total: int):
    def end(space: Space) -> None:
        if space.mem[-16] != total:
            raise Violation("leak", f"an update is lost: {space.mem[-16]}")

    return end


@pytest.mark.parametrize("strategy", ["dfs", "random", "pct"])
def test_a_lost_update_is_found(strategy):
    space, _ = bare_space([_lost_update, _lost_update], end=_expect(2))
    found = search(space, strategy, budget=Budget(schedules=20_000))
    assert found.outcome.kind == "leak"
    if strategy == "dfs":
        assert found.outcome.preemptions == 1


def test_an_atomic_update_is_not_lost_exhaustively():
    space, _ = bare_space([lambda m, b: fetch_add(m, b, 1)] * 3, end=_expect(3))
    found = search(space)
    assert found.outcome is None and found.exhaustive and found.complete


def test_a_limit_is_not_exhaustive():
    space, _ = bare_space([lambda m, b: [fetch_add(m, b, 1) for _ in range(20)]] * 3, end=_expect(60))
    found = search(space, budget=Budget(0, 50))
    assert found.outcome is None and not found.exhaustive and found.limit == "50 schedules"


def _waiter(m, b):
    while read_once(m, b) == 0:
        cpu_relax(m)
    return load(m, b + 1)


def test_a_wait_ends_when_the_word_changes_and_costs_no_schedules():
    def signal(m, b):
        write_once(m, b + 1, 7)
        write_once(m, b, 1)

    space, _ = bare_space([_waiter, signal])
    found = search(space, bound=9)
    assert found.outcome is None and found.complete and found.schedules < 100


def test_a_wake_up_that_never_comes_is_a_deadlock():
    space, _ = bare_space([_waiter, lambda m, b: write_once(m, b + 1, 1)])
    found = search(space)
    assert found.outcome.kind == "deadlock"


def _reads_twice(m, b, off):
    """Reads a word, and again after `off`, which nothing undoes: an error if it has changed."""
    if read_once(m, b) == 0:
        off(m)
        if read_once(m, b):
            raise Violation("corruption", "it has changed")


def _on_one_cpu(*programs) -> Space:
    """Preemptible tasks of one CPU."""
    space, base = bare_space(programs)
    bodies = [Body(f"task{i}", 0, lambda m, run=run: run(m, base)) for i, run in enumerate(programs)]
    return Space(space.mem, bodies, features=frozenset({"PREEMPT"}))


@pytest.mark.parametrize("off", (local_irq_save, preempt_disable))
def test_a_task_is_preempted_just_before_it_forbids_that(off):
    """Though all that is shared and comes next lies behind it; and never after it."""

    def writes(m, b):
        write_once(m, b, 1)

    found = search(_on_one_cpu(lambda m, b: _reads_twice(m, b, off), writes))
    assert found.outcome.kind == "corruption" and found.outcome.preemptions == 1

    def all_of_it(m, b):
        off(m)
        _reads_twice(m, b, off)

    found = search(_on_one_cpu(all_of_it, writes))
    assert found.outcome is None and found.complete


def test_two_locks_in_two_orders_are_a_deadlock():
    def take(m, lock):
        while cmpxchg(m, lock, 0, 1) != 0:
            cpu_relax(m)

    def nested(first, second):
        def run(m, b):
            take(m, b + first)
            take(m, b + second)
            write_once(m, b + second, 0)
            write_once(m, b + first, 0)

        return run

    space, _ = bare_space([nested(0, 1), nested(1, 0)])
    assert search(space).outcome.kind == "deadlock"
    space, _ = bare_space([nested(0, 1), nested(0, 1)])
    assert search(space).outcome is None


@pytest.mark.parametrize("written", ("by the last", "and read"))
def test_minus_one_is_not_minus_two(written):
    """CPython's hash of the two is the same: states that differ in nothing else are two states."""
    read: list[int] = []

    def end(space: Space) -> None:
        if (space.mem[-16] if written == "by the last" else read[-1]) == -1:
            raise Violation("corruption", "it is minus one")

    def reads(m, b):
        read.append(read_once(m, b))
        write_once(m, b, 0)

    for first, second in ((-1, -2), (-2, -1)):
        programs = [lambda m, b, v=v: write_once(m, b, v) for v in (first, second)]
        space, _ = bare_space(programs + [reads] * (written == "and read"), end=end)
        assert search(space).outcome is not None


def test_the_same_schedule_runs_the_same_steps():
    """The nondeterminism check of the explorer itself, on random schedules."""
    space, _ = bare_space([_lost_update, _lost_update, _waiter], tso=True)
    walk = RandomWalk(3)

    def steps(pick):
        log = []
        space.log = lambda *record: log.append(tuple(getattr(x, "name", x) for x in record))
        outcome = space.execute(pick)
        return log, outcome

    for _ in range(20):
        space.log = None
        walk.begin()
        space.execute(walk.pick)
    for _ in range(50):
        walk.begin()
        log, outcome = steps(walk.pick)
        again, second = steps(Follow(outcome.deviations).pick)
        assert again == log and second == outcome and log


def test_no_state_is_entered_twice_in_one_execution():
    space, _ = bare_space([_lost_update, _lost_update])
    search(space)
    strategy = DepthFirst(space, 1)
    strategy.begin()
    outcome = space.execute(strategy.pick)
    assert outcome.kind != "pruned"


def test_a_bound_that_does_not_fit_is_refused():
    space, _ = bare_space([_lost_update, _lost_update], end=_expect(2))
    assert search(space, bound=255).outcome is not None
    for bound in (256, -1):
        with pytest.raises(ValueError, match=f"0 to 255 preemptions, not {bound}"):
            search(space, bound=bound)
        with pytest.raises(ValueError, match="0 to 255"):
            DepthFirst(space, bound)


def test_dekker_needs_its_fence_under_tso_only():
    def enter(mine, other, fenced):
        def run(m, b):
            write_once(m, b + mine, 1)
            if fenced:
                smp_mb(m)
            if read_once(m, b + other) == 0:
                fetch_add(m, b + 2, 1)

        return run

    def both(space):
        if space.mem[-14] == 2:
            raise Violation("corruption", "both are in the critical section")

    for tso, fenced, expected in ((False, False, ""), (True, False, "corruption"), (True, True, "")):
        space, _ = bare_space([enter(0, 1, fenced), enter(1, 0, fenced)], tso=tso, end=both)
        found = search(space, bound=10)
        assert (found.outcome.kind if found.outcome else "") == expected


def test_nothing_of_a_space_stays():
    """Tasks that never end, and those that an execution breaks off in, are let go."""
    done = []

    def stubborn(m, b):
        try:
            while read_once(m, b) == 0:
                cpu_relax(m)
        finally:
            done.append(1)
            fetch_add(m, b, 1)

    def fail(m, b):
        raise Violation("leak", "planted")

    space, _ = bare_space([stubborn, stubborn, fail])
    for _ in range(3):
        done.clear()
        assert search(space, budget=Budget(0, 1), bound=0).schedules == 1
        assert not any(task.midway for task in space.bodies)
    done.clear()
    assert space.execute(lambda task, options, on: options[0]).kind == "leak" and len(done) == 2
    gone = weakref.ref(space)
    del space
    gc.collect()
    assert gone() is None
