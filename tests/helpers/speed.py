"""How fast the explorer is: python tests/helpers/speed.py, from the project's folder.

Prints ratios where a peer is installed.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stress.explore.search.search import SearchEnd

# The same program for frontrun 0.7, in a process of its own: it patches Python's locks.
PEER = """
import json, time
import frontrun

class Counter:
    def __init__(self):
        self.value = 0

    def run(self):
        for _ in range(INCREMENTS):
            now = self.value
            self.value = now + 1

rates = {}
for strategy, options in (("dpor", {"max_executions": 300, "stop_on_first": False}), ("random", {"max_attempts": 300})):
    start = time.CLOCK()
    result = frontrun.explore(
        setup=Counter, workers=Counter.run, count=2, invariant=lambda c: True,
        strategy=strategy, detect_io=False, **options
    )
    rates[strategy] = result.num_explored / (time.CLOCK() - start)
print(json.dumps(rates))
"""
INCREMENTS = 5


def rate(space, strategy: str, schedules: int = 3000, clock: Callable[[], float] = time.perf_counter) -> float:
    """Schedules per second of this core, by a clock."""
    from stress.explore.search.search import Budget, search

    search(space, "random", budget=Budget(0, 100))
    start = clock()
    found = search(space, strategy, bound=20, budget=Budget(0, schedules))
    return found.schedules / (clock() - start)


def peer(clock: str = "perf_counter") -> dict[str, float] | None:
    """Schedules per second of frontrun by strategy, by a clock of the module time; None where it is not installed."""
    try:
        import frontrun  # noqa: F401
    except ImportError:
        return None
    program = PEER.replace("INCREMENTS", str(INCREMENTS)).replace("CLOCK", clock)
    done = subprocess.run(
        [sys.executable, "-c", program], env=os.environ | {"FRONTRUN_ACTIVE": "1"}, capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def aba(strategy: str, seeds: int = 20) -> list[SearchEnd]:
    """Searches for the ABA of the naive stack, one for each seed."""
    from toys import treiber

    from stress.explore.search.search import Budget, search

    return [search(treiber(), strategy, seed=seed, budget=Budget(schedules=20_000)) for seed in range(seeds)]


def exhausted(bound: int = 3) -> SearchEnd:
    """The space of the naive stack, its bug passed over."""
    from toys import treiber

    from stress.explore.search.search import search

    space = treiber()
    space.at_end = lambda space: None
    return search(space, bound=bound)


def main() -> None:
    """Print it all."""
    from toys import counter, twenty_steps

    for strategy in ("random", "pct", "dfs"):
        print(f"two CPUs, twenty steps, {strategy}: {rate(twenty_steps(), strategy):,.0f} schedules/s")
        print(
            f"naive stack of three CPUs, {strategy}: ABA found in "
            f"{1e3 * statistics.median(found.seconds for found in aba(strategy)):.1f} ms (median of 20 seeds)"
        )
    print(f"naive stack of three CPUs: exhausted to three preemptions in {exhausted().seconds:.2f} s")
    rates = peer()
    if rates is None:
        print("frontrun: not installed (pip install frontrun)")
        return
    ours = {"dpor": rate(counter(INCREMENTS), "dfs"), "random": rate(counter(INCREMENTS), "random")}
    for strategy, theirs in rates.items():
        print(
            f"two threads, {INCREMENTS} increments each, {strategy}: {ours[strategy]:,.0f} schedules/s, frontrun "
            f"{theirs:,.0f}: {ours[strategy] / theirs:.0f} times"
        )


if __name__ == "__main__":
    sys.path[:0] = [os.path.dirname(__file__), os.getcwd()]
    main()
