"""How the next of the enabled tasks is chosen.

- `RandomWalk`: an execution draws a probability of leaving a task that could go on (1/2, 1/8 or 1/32)
  and then decides by it; where a choice is free it is uniform.
- `Pct`: Burckhardt, Kothari, Musuvathi, Nagarakatte, "A Randomized Scheduler with Probabilistic
  Guarantees of Finding Bugs" (ASPLOS 2010). Tasks have random priorities, the highest enabled one runs,
  and at depth - 1 random decisions the running task becomes the lowest. A bug of that depth is found by
  one execution with a probability of at least 1/(n k^(depth-1)), n tasks, k decisions. Flushes and
  migrations are tasks here.
- `stress.explore.search.depth_first.DepthFirst`: all schedules with a bounded number of preemptions.
- `Follow`: a given schedule; deviations that do not fit any more are left out, unless it is strict.

A strategy's `pick(task, options, on)` is called where there is more than one option.
"""

from __future__ import annotations

import math
import random


class RandomWalk:
    """See the module's text."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def begin(self) -> None:
        self.leave = self.random.choice((0.5, 0.125, 0.03125))

    def pick(self, task, options, on):
        if on:
            if self.random.random() >= self.leave:
                return task
            chosen = options[int(self.random.random() * (len(options) - 1))]
            return options[-1] if chosen is task else chosen
        return options[int(self.random.random() * len(options))]


class Pct:
    """See the module's text."""

    def __init__(self, seed: int, depth: int, flows: int) -> None:
        self.random = random.Random(seed)
        self.depth, self.flows = depth, flows
        self.longest = 16  # decisions of the longest execution so far
        self.now = 0

    def begin(self) -> None:
        self.longest = max(self.longest, self.now)
        self.priority = [self.random.random() + 1 for _ in range(self.flows)]
        self.change = {self.random.randrange(self.longest): -i for i in range(1, self.depth)}
        self.now = 0

    def pick(self, task, options, on):
        low = self.change.get(self.now)
        self.now += 1
        if low is not None and on:
            self.priority[task.id] = low
        priority, best, highest = self.priority, None, -math.inf
        for flow in options:
            if priority[flow.id] > highest:
                best, highest = flow, priority[flow.id]
        return best


class Follow:
    """See the module's text. deviations: as in `Outcome`."""

    def __init__(self, deviations: dict[tuple[int, int], int]) -> None:
        self.deviations = deviations
        self.used: set[tuple[int, int]] = set()

    def begin(self) -> None:
        self.used = set()

    def pick(self, task, options, on):
        wanted = self.deviations.get((task.id, task.n))
        if wanted is not None:
            for t in options:
                if t.id == wanted:
                    self.used.add((task.id, task.n))
                    return t
        return task if on else options[0]
