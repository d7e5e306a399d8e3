"""All schedules with at most so many preemptions, each state and each order of what conflicts once.

Depth-first and stateless (Musuvathi, Qadeer: CHESS, PLDI 2007): every execution repeats a prefix of decisions
and goes its own way from there. Two reductions leave schedules out, and nothing else:

- *Visited states.* A state that was entered before with at least as many preemptions left is not entered
  again. States are told apart by a 64-bit hash of shared memory and of what each task has read; that two
  collide is possible and improbable (10^-8 for a million states).
- *Sleep sets* (Godefroid, 1996), for tasks that were preempted. Task A is preempted before its next
  segment; going on with A had been explored first, so that segment's footprint, the words it reads and
  writes, is known. As long as nothing that conflicts with it has run, to resume A would only do later what
  could have been done before the preemption: A sleeps. The schedule that is left out needs no fewer
  preemptions than the one that stands for it, which costs one switch to A less and one from A more, so the
  bound stays exact. (A choice that was free, because its task had ended or waits, puts nothing to sleep:
  there the other order may cost a preemption more. Bounded search needs this care: Coons, Musuvathi,
  McKinley, "Bounded Partial-Order Reduction", OOPSLA 2013.)

That holds for every state with what sleeps there, whoever explores the rest and when, so processes may share
the work (`stress.explore.search.shards`). A state that is met again with a larger sleep set than before has nothing new
to show; with another one it is entered again.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from stress.explore.space.footprint import Footprint
from stress.explore.space.space import Pruned, Space

MASKED = 16  # flows that may sleep: their numbers are below it
MAX_BOUND = 255  # preemptions: what `Seen` has room for


def check_bound(bound: int) -> None:
    """Raises ValueError for a bound that a depth-first search cannot have: `Seen` would mix it up with what sleeps."""
    if not 0 <= bound <= MAX_BOUND:
        raise ValueError(f"a depth-first search has a bound of 0 to {MAX_BOUND} preemptions, not {bound}")


class States(Protocol):
    """States that were entered before; `run` numbers the executions."""

    run: int

    def enter(self, key: int, asleep: int, left: int) -> bool: ...

    def __len__(self) -> int: ...


class Seen:
    """The states of one process: hash -> run, sleeping flows and preemptions left, when it was entered last.

    The three are packed in one int: preemptions in 8 bits (MAX_BOUND), a bit per flow that may sleep (MASKED), the run.
    """

    def __init__(self) -> None:
        self.states: dict[int, int] = {}
        self.run = 0

    def enter(self, key: int, asleep: int, left: int) -> bool:
        """Must this state be entered? asleep: a bit per sleeping flow. RuntimeError: a state comes twice in one run."""
        seen = self.states.get(key)
        if seen is not None and seen & 255 >= left and seen >> 8 & 0xFFFF & ~asleep == 0:
            if seen >> 24 == self.run:
                raise RuntimeError("the same state twice in one execution: the explorer does not see what changed")
            return False
        self.states[key] = self.run << 24 | asleep << 8 | left
        return True

    def __len__(self) -> int:
        return len(self.states)


class Item(NamedTuple):
    """Schedules that are still to be explored: those that make the decisions `prefix`, then one of `choices`.

    task: the flow that could go on at that decision, -1: none. left: preemptions left there. asleep: what
    sleeps there. segment: the footprint of going on with `task`, if that has been explored.
    """

    prefix: tuple[int, ...]
    choices: tuple[int, ...]
    task: int
    left: int
    asleep: dict[int, Footprint]
    segment: Footprint | None


class _Node:
    __slots__ = ("choices", "at", "task", "left", "asleep", "segment")

    def __init__(
        self, choices: list[int], task: int, left: int, asleep: dict[int, Footprint], segment: Footprint | None = None
    ) -> None:
        self.choices, self.at, self.task, self.left, self.asleep, self.segment = choices, 0, task, left, asleep, segment


class DepthFirst:
    """See the module's text. cut: some decision had an alternative that the bound forbade. item: where to begin.

    Raises ValueError for a bound that is not 0 to MAX_BOUND.
    """

    def __init__(self, space: Space, bound: int, seen: States | None = None, item: Item | None = None) -> None:
        check_bound(bound)
        self.space = space
        self.seen: States = Seen() if seen is None else seen
        self.path: list[_Node] = []
        self.bound, self.cut = bound, False
        if item is not None:
            self.path = [_Node([flow], -1, 0, {}) for flow in item.prefix]
            self.path.append(_Node(list(item.choices), item.task, item.left, item.asleep, item.segment))

    def begin(self) -> None:
        """Before an execution."""
        self.seen.run += 1
        self.depth = 0

    def pick(self, task, options, on):
        depth, path = self.depth, self.path
        self.depth = depth + 1
        space = self.space
        if depth < len(path):
            node = path[depth]
            if depth == len(path) - 1:
                space.begin_segment()
            return space.flows[node.choices[node.at]]
        left, asleep = self._come_from(path[-1]) if path else (self.bound, {})
        mask = 0
        for flow in asleep:
            mask |= 1 << flow
        if not self.seen.enter(space.key(task if on else None), mask, left):
            raise Pruned
        if not on:
            choices = [flow.id for flow in options if flow.id not in asleep]
            if not choices:
                raise Pruned
        elif left:
            choices = [task.id]
            choices += [flow.id for flow in options if flow is not task and flow.id not in asleep]
        else:
            choices = [task.id]
            self.cut = True
        path.append(_Node(choices, task.id if on else -1, left, asleep))
        space.begin_segment()
        return space.flows[choices[0]]

    def _come_from(self, node: _Node) -> tuple[int, dict[int, Footprint]]:
        """Preemptions left and what sleeps, after the segment that was chosen at a node."""
        chosen = node.choices[node.at]
        segment = self.space.end_segment(chosen)
        asleep = {flow: other for flow, other in node.asleep.items() if flow != chosen and segment.spares(flow, other)}
        if chosen == node.task:
            node.segment = segment
            return node.left, asleep
        if node.task < 0:
            return node.left, asleep
        if node.segment is not None and node.task < MASKED and segment.spares(node.task, node.segment):
            asleep[node.task] = node.segment
        return node.left - 1, asleep

    def advance(self) -> bool:
        """On to the next schedule; False when there is none."""
        path = self.path
        if path and path[-1].segment is None and path[-1].choices[path[-1].at] == path[-1].task:
            path[-1].segment = self.space.end_segment(path[-1].task)
        while path:
            node = path[-1]
            node.at += 1
            if node.at < len(node.choices):
                return True
            path.pop()
        return False

    def give(self) -> Item | None:
        """Part with the choices that are left at the shallowest decision that has any; None: there are none.

        To be called after an execution and before `advance`, when the choice at each decision is one that was explored.
        """
        for depth, node in enumerate(self.path):
            rest = tuple(node.choices[node.at + 1 :])
            if rest:
                del node.choices[node.at + 1 :]
                prefix = tuple(n.choices[n.at] for n in self.path[:depth])
                return Item(prefix, rest, node.task, node.left, node.asleep, node.segment)
        return None
