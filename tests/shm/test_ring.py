"""Bounded queues, one process (two processes: see test_two_cpus)."""

from __future__ import annotations

import random
from collections import deque

from bare_machine import BareMachine

from shm.machine import CPU
from shm.ring import ITEM, RING, ring_count, ring_pop_into, ring_push, ring_words

CAPACITY = 4


def make_ring() -> tuple[BareMachine, int, int]:
    bare = BareMachine(ring=ring_words(CAPACITY), item=ITEM.SIZE)
    ring = bare.at["ring"]
    bare.mem[ring + RING.capacity] = CAPACITY
    return bare, ring, bare.at["item"]


def test_behaves_as_a_bounded_queue():
    bare, ring, item = make_ring()
    m = bare.cpu(0)
    expected: deque[tuple[int, int, int]] = deque()
    refused = 0
    rng = random.Random(1)
    for i in range(300):
        if rng.random() < 0.55:
            pushed = ring_push(m, ring, i, 2 * i, 3 * i)
            assert pushed == (len(expected) < CAPACITY)
            if pushed:
                expected.append((i, 2 * i, 3 * i))
            else:
                refused += 1
        else:
            assert ring_pop_into(m, ring, item) == bool(expected)
            if expected:
                assert tuple(bare.mem[item : item + 3]) == expected.popleft()
        assert ring_count(m, ring) == len(expected)
    assert refused and bare.mem[ring + RING.refused] == refused
    assert bare.mem[ring + RING.lock] == 0


def test_interrupts_are_as_they_were():
    bare, ring, item = make_ring()
    m = bare.cpu(1)
    for state in (0, 1):
        bare.mem[m.pcpu + CPU.irq] = state
        ring_push(m, ring, 1, 0, 0)
        ring_pop_into(m, ring, item)
        assert bare.mem[m.pcpu + CPU.irq] == state
