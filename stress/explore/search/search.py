"""Searching a space: until something is found, nothing is left, or the budget is spent.

A search first learns which words are shared, by random executions, and learns on as it goes: an
execution that found a new shared word lacked scheduling points before it, so a depth-first search
begins anew and what the execution found is not reported (the next ones find it with all its points).
Depth-first, bounds 0, 1, 2 … are searched in turn, so the first thing found has the fewest preemptions.
"""

from __future__ import annotations

import time
from typing import NamedTuple

from stress.explore.search import shards
from stress.explore.search.depth_first import DepthFirst, check_bound
from stress.explore.search.shards import Ended
from stress.explore.search.strategies import Follow, Pct, RandomWalk
from stress.explore.space.space import Outcome, Space

RACE_SCHEDULES = 100  # random executions that are looked at for data races
ALONE = 0.5  # seconds of a bound after which a search is sharded
LEARNING = 24  # executions in a row that must learn nothing before a depth-first search


class Budget(NamedTuple):
    """seconds and schedules; 0: no limit."""

    seconds: float = 0.0
    schedules: int = 0


NO_LIMIT = Budget()


class SearchEnd(NamedTuple):
    """What a search came to.

    outcome: of the execution that went wrong, None when none did. exhaustive: every schedule with at
    most `bound` preemptions was seen; complete: and no schedule needs more. limit: which limit ended it.
    """

    outcome: Outcome | None
    schedules: int
    points: int
    seconds: float
    states: int
    bound: int
    exhaustive: bool
    complete: bool
    limit: str


class _Meter:
    def __init__(self, budget: Budget, kinds: tuple[str, ...] = ()) -> None:
        self.budget, self.kinds = budget, kinds
        self.start = time.perf_counter()
        self.schedules = self.points = 0

    def spent(self) -> str:
        if self.budget.schedules and self.schedules >= self.budget.schedules:
            return f"{self.budget.schedules} schedules"
        if self.budget.seconds and self.seconds() >= self.budget.seconds:
            return f"{self.budget.seconds:g} seconds"
        return ""

    def wanted(self, outcome: Outcome) -> bool:
        """Is this what is searched for?"""
        return outcome.kind not in ("", "pruned") and (not self.kinds or outcome.kind in self.kinds)

    def seconds(self) -> float:
        return time.perf_counter() - self.start

    def found(
        self, outcome: Outcome | None, *, states=0, bound=-1, exhaustive=False, complete=False, limit=""
    ) -> SearchEnd:
        return SearchEnd(
            outcome, self.schedules, self.points, self.seconds(), states, bound, exhaustive, complete, limit
        )


def _once(space: Space, strategy, meter: _Meter) -> Outcome:
    strategy.begin()
    outcome = space.execute(strategy.pick)
    meter.schedules += 1
    meter.points += outcome.points
    return outcome


def learn(space: Space, meter: _Meter, seed: int) -> None:
    """Random executions until they learn nothing about shared words."""
    quiet, walk = 0, RandomWalk(seed)
    while quiet < LEARNING and not meter.spent():
        quiet = 0 if _once(space, walk, meter).learned else quiet + 1


def search(
    space: Space,
    strategy: str = "dfs",
    *,
    bound: int = 3,
    depth: int = 3,
    seed: int = 1,
    budget: Budget = NO_LIMIT,
    kinds: tuple[str, ...] = (),
    jobs: int = 1,
) -> SearchEnd:
    """Search by "dfs", "random" or "pct" (of this bug depth). kinds: pass over violations of other kinds.

    jobs: processes of a depth-first search that takes longer than a moment. Raises ValueError for a bound that such
    a search cannot have.
    """
    meter = _Meter(budget, kinds)
    if strategy == "dfs":
        check_bound(bound)
        return _depth_first(space, bound, seed, meter, jobs)
    walk = RandomWalk(seed) if strategy == "random" else Pct(seed, depth, len(space.flows))
    while not (limit := meter.spent()):
        outcome = _once(space, walk, meter)
        if meter.wanted(outcome) and not outcome.learned:
            return meter.found(outcome)
    return meter.found(None, limit=limit)


def races(space: Space, *, seed: int = 1, seconds: float = 0.0) -> SearchEnd:
    """Look for data races in random executions of a space that was made with `races=True`."""
    return search(space, "random", seed=seed, budget=Budget(seconds, RACE_SCHEDULES), kinds=("data race",))


def _depth_first(space: Space, bound: int, seed: int, meter: _Meter, jobs: int) -> SearchEnd:
    learn(space, meter, seed)
    states = 0
    for preemptions in range(bound + 1):
        while True:
            ended = _bounded(space, preemptions, meter, jobs)
            if ended.outcome is None or not ended.outcome.learned:
                break
        states = ended.states
        if ended.limit:
            return meter.found(None, states=states, bound=preemptions - 1, limit=ended.limit)
        if ended.outcome is not None:
            return meter.found(ended.outcome, states=states, bound=preemptions)
        if not ended.cut:
            return meter.found(None, states=states, bound=preemptions, exhaustive=True, complete=True)
    return meter.found(None, states=states, bound=bound, exhaustive=True)


def _bounded(space: Space, preemptions: int, meter: _Meter, jobs: int) -> Ended:
    """One bound; ends early with an outcome that is wanted, or that something was learnt from."""
    strategy, start = DepthFirst(space, preemptions), time.perf_counter()
    while True:
        if limit := meter.spent():
            return Ended(None, strategy.cut, len(strategy.seen), limit)
        outcome = _once(space, strategy, meter)
        if outcome.learned or meter.wanted(outcome):
            return Ended(outcome, strategy.cut, len(strategy.seen), "")
        if jobs > 1 and time.perf_counter() - start > ALONE:
            return _sharded(space, strategy, meter, jobs)
        if not strategy.advance():
            return Ended(None, strategy.cut, len(strategy.seen), "")


def _sharded(space: Space, strategy: DepthFirst, meter: _Meter, jobs: int) -> Ended:
    schedules, points = meter.schedules, meter.points

    def spent(more_schedules: int, more_points: int) -> str:
        meter.schedules, meter.points = schedules + more_schedules, points + more_points
        return meter.spent()

    ended = shards.explore(
        space, strategy, jobs, lambda space, strategy: _once(space, strategy, _Meter(Budget())), meter.wanted, spent
    )
    if ended.outcome is not None and ended.outcome.learned:
        follow = Follow(ended.outcome.deviations)
        follow.begin()
        if not space.execute(follow.pick).learned:
            raise RuntimeError(
                "what one process learnt from an execution, another one does not: the explorer is not deterministic"
            )
    return ended
