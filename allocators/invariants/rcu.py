"""What waits in rings, and objects of kfree_rcu that wait in batches: handed out no more, and not freed yet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from allocators.caches.layout import Layout
from allocators.core.world import DEFERRED_AT, RCU_BATCH_AT
from allocators.slob.state import OBJECT_MASK
from allocators.slub.rcu_words import RCU_FREE_BATCH
from shm.ring import ITEM, RING


def queued(mem: Sequence[int], layout: Layout, ring: str) -> list[tuple[int, int, int]]:
    """(func, a, b) of the items that wait in a ring; none when its ends make no sense."""
    base = layout.plan[ring]
    head, tail, capacity = (mem[base + f] for f in (RING.head, RING.tail, RING.capacity))
    if tail - head > capacity:
        return []
    items = [base + RING.SIZE + i % capacity * ITEM.SIZE for i in range(head, tail)]
    return [(mem[a + ITEM.func], mem[a + ITEM.a], mem[a + ITEM.b]) for a in items]


def deferred(mem: Sequence[int], layout: Layout) -> Iterator[int]:
    """The objects (SLOB: references) in batches, and those that an interrupt is to free (F_NOLOCK). What a broken one
    leads to is among them, and ends it."""
    heads = [arg for func, arg, _ in queued(mem, layout, "rcu_queue") if func == RCU_FREE_BATCH]
    heads += [int(mem[layout.area(cpu) + at]) for cpu in range(layout.nr_cpus) for at in (RCU_BATCH_AT, DEFERRED_AT)]
    seen: set[int] = set()
    for obj in heads:
        while obj:
            yield obj
            word = obj & OBJECT_MASK
            if obj in seen or word >= layout.words:
                break
            seen.add(obj)
            obj = mem[word]
