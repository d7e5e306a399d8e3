"""A neighbour: a process that burns one of the CPUs that the workers are pinned to, for a share of the time."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import random
import time
from collections.abc import Iterator

from stress.process import ending, host

BURST = 0.01  # seconds that it burns at a time, on average


def _burn(cpu: int, share: float, parent: int) -> None:
    ending.live_with_parent(parent)
    os.sched_setaffinity(0, {cpu})
    rng = random.Random(cpu)
    while True:
        until = time.monotonic() + rng.expovariate(1 / BURST)
        while time.monotonic() < until:
            pass
        time.sleep(rng.expovariate(share / (1 - share) / BURST) if share < 1 else 0.0)


@contextlib.contextmanager
def neighbour(share: float) -> Iterator[None]:
    """Within it the last CPU that can be pinned to is burnt for this share of the time, 0 to 1, in bursts at random.

    The process ends with the context, and with this one however that ends.
    """
    if not share:
        yield
        return
    context = multiprocessing.get_context("fork")
    with ending.held():
        process = context.Process(
            target=_burn, args=(host.available_cpus()[-1], share, os.getpid()), name="neighbour", daemon=True
        )
        process.start()
    try:
        yield
    finally:
        process.kill()
        process.join()
