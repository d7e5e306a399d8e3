"""Small programs that explorers are measured on."""

from __future__ import annotations

from shm.atomics import cmpxchg, fetch_add, read_once, write_once
from stress.explore.space.space import Space
from stress.explore.space.violation import Violation
from stress.explore.world.bare import bare_space

TOP, NEXT = 0, 4  # the stack's top; the next pointer of node i is at NEXT + i
WORDS = 16


def twenty_steps() -> Space:
    """Two CPUs, ten atomic operations each, on two words."""

    def run(m, b):
        for i in range(10):
            fetch_add(m, b + i % 2, 1)

    return bare_space([run, run])[0]


def counter(increments: int) -> Space:
    """Two CPUs that count without a lock: a read and a write for each increment."""

    def run(m, b):
        for _ in range(increments):
            write_once(m, b, read_once(m, b) + 1)

    return bare_space([run, run])[0]


def _pop(m, b) -> int:
    while True:
        top = read_once(m, b + TOP)
        if top == 0:
            return 0
        if cmpxchg(m, b + TOP, top, read_once(m, b + NEXT + top)) == top:
            return top


def _push(m, b, node: int) -> None:
    while True:
        top = read_once(m, b + TOP)
        write_once(m, b + NEXT + node, top)
        if cmpxchg(m, b + TOP, top, node) == top:
            return


def treiber() -> Space:
    """Three CPUs, a naive stack of three nodes: one pops while others pop two and push the first again (ABA)."""
    popped: dict[int, list[int]] = {}

    def popper(m, b):
        popped[0] = [_pop(m, b)]

    def recycler(m, b):
        first, second = _pop(m, b), _pop(m, b)
        popped[1] = [second]
        if first:
            _push(m, b, first)

    def other(m, b):
        popped[2] = [_pop(m, b)]

    def end(space: Space) -> None:
        base = len(space.mem) - WORDS
        left, node = [], space.mem[base + TOP]
        while node and len(left) < 9:
            left.append(node)
            node = space.mem[base + NEXT + node]
        nodes = [n for n in sum(popped.values(), left) if n]
        if len(nodes) != len(set(nodes)):
            raise Violation("double hand-out", f"a node is in two places: popped {popped}, on the stack {left}")

    space, base = bare_space([popper, recycler, other], WORDS, begin=popped.clear, end=end)
    for node, after in ((1, 2), (2, 3), (3, 0)):
        space.mem[base + NEXT + node] = after
    space.mem[base + TOP] = 1
    return space
