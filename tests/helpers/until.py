"""Waiting in tests: for an event, never for a time. How long that takes is the machine's affair."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PATIENCE = 600.0  # seconds after which what has not happened never will, however slow the machine is
SEED = "SLAB_STRESS_TEST_SEED"  # of the delays that tests draw; conftest.py sets it where the user has not


def until(condition: Callable[[], T], check: Callable[[], object] = lambda: None, step: float = 0.01) -> T:
    """Wait until the condition holds, and return what it returned.

    check is called between two looks, and raises when it can no longer happen; step: seconds between looks.
    Raises TimeoutError when nothing has happened for PATIENCE.
    """
    deadline = time.monotonic() + PATIENCE
    while not (value := condition()):
        check()
        if time.monotonic() > deadline:
            raise TimeoutError(f"nothing has happened for {PATIENCE:g} s")
        time.sleep(step)
    return value


def drawn_delay(test: str, most: float) -> float:
    """Seconds from 0 to `most`, the same for the same test and seed; prints how to have them again."""
    seed = os.environ[SEED]
    delay = random.Random(f"{seed} {test}").random() * most
    print(f"{delay:.3f} s later; again with {SEED}={seed}")
    return delay
