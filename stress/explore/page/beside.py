"""The same schedule without what makes it fail: without its preemptions, else without one deviation, else with none.

Under TSO also with every store in memory at once.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from stress.explore.page.recording import Execution, record
from stress.explore.page.state import State
from stress.explore.search.strategies import Follow
from stress.explore.space.scheduler import Step
from stress.explore.space.space import Space

TRIED = 50  # decisions that are left out, one at a time, from the last on


class Pair(msgspec.Struct):
    """A failing execution, and one beside it that does not fail; `how` they differ, "" when there is no such one."""

    failing: Execution
    sound: Execution | None
    how: str


def pair(
    space: Space,
    deviations: dict[tuple[int, int], int],
    value: Callable[[int, int], str],
    look: Callable[[], State],
) -> Pair:
    """Record both. What is left out is the least that ends well: all preemptions, or one decision, the last first."""
    failing = record(space, _follow(deviations), value, look)
    if not failing.kind:
        return Pair(failing, None, "")
    left_out = [(failing.preempting, f"without {'its preemption' if failing.preemptions == 1 else 'its preemptions'}")]
    left_out += [([one], "with one decision of the scheduler less") for one in list(deviations)[:-TRIED:-1]]
    left_out.append((list(deviations), "in the order that the scheduler has when nothing is asked of it"))
    for without, how in left_out:
        kept = {key: to for key, to in deviations.items() if key not in without}
        if len(kept) == len(deviations):
            continue
        if not space.execute(_follow(kept)).kind:
            return Pair(failing, record(space, _follow(kept), value, look), how)
    if space.tso:
        if not space.execute(_flush_at_once).kind:
            return Pair(failing, record(space, _flush_at_once, value, look), "with every store in memory at once")
    return Pair(failing, None, "")


def _follow(deviations: dict[tuple[int, int], int]) -> Callable:
    strategy = Follow(deviations)
    strategy.begin()
    return strategy.pick


def _flush_at_once(task, options, on):
    """A strategy: the default order, but a store buffer keeps nothing."""
    flush = next((flow for flow in options if isinstance(flow, Step) and flow.cpu >= 0), None)
    return flush or (task if on else options[0])
