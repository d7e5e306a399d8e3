"""Memory that a broken allocator could leave: each fault is caught, by exactly the invariant it breaks."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest
from small_world import SmallWorld, undone

from allocators.core.bugs import BUG_QUEUE_FULL
from allocators.core.kmem_cache import CACHE, KMEM_CACHE_CPU, NODE
from allocators.core.page_alloc import KIND_FREE_TAIL, MAX_ORDER, PAGE, ZONE, head_of
from allocators.core.page_pair import FROZEN, freelist_of, inuse_of, objects_of, page_pair
from allocators.core.world import CACHES_AT, KMEM_CACHE_CPU_WORDS, MEM_MAP, WORLD, WORLD_AT
from allocators.invariants.snapshot import CPU_PARTIAL, CPU_SLAB, FULL, NODE_PARTIAL, RCU_WAIT, SlabList, Snapshot
from allocators.memcg.memcontrol import MEMCG
from allocators.slub.partial import PAGES_SHIFT
from allocators.slub.state import STAT
from shm.machine import CPU, MACHINE


class Busy:
    """A world with slabs in every place, children online and dead, and shorthands to damage it."""

    def __init__(self) -> None:
        self.world = world = SmallWorld("linux-3.16")
        self.mem, self.layout = world.mem, world.layout
        world.alloc(0, 2, count=9)  # cache 2: full slabs
        held = world.child_with_objects(1, 0, 200)
        world.free(1, held[:64])
        world.offline(1)
        world.child_with_objects(2, 1, 40)
        held = world.alloc(0, 0, count=640)
        world.free(1, held[5:640:64])  # cache 0: CPU partial slabs on CPU 1
        world.free(0, held[630:634])  # and private objects on CPU 0
        held = world.alloc(0, 1, count=64)
        world.free(1, held[::9])
        world.shrink(1)  # cache 1: slabs on the node's partial list
        assert world.check().violated == []
        self.snapshot = Snapshot(world.kworker, world.layout)

    def list(self, place: str, least: int = 1) -> SlabList:
        """A list of this sort with at least so many slabs."""
        return next(s for s in self.snapshot.lists if s.place == place and len(s.frames) >= least)

    def full_slab(self) -> int:
        """PAGE of a slab that is on no list."""
        lost = self.snapshot.claimed[self.snapshot.frames] == 0
        return page(self.snapshot.frames[lost][0])

    def node(self, slabs: SlabList) -> int:
        return self.layout.plan["nodes"] + slabs.cache * NODE.SIZE + slabs.number

    def kmem_cache_cpu(self, cpu: int, cache: int) -> int:
        return self.snapshot.area(cpu) + CACHES_AT + cache * KMEM_CACHE_CPU_WORDS

    def private_list(self) -> tuple[int, int, list[int]]:
        """(word of the CPU pair, cache, objects) of a private freelist with two objects at least."""
        for slabs in self.snapshot.lists:
            if slabs.place == CPU_SLAB:
                pair = self.kmem_cache_cpu(slabs.number, slabs.cache) + KMEM_CACHE_CPU.pair
                objects = self.chain(freelist_of(self.mem[pair]), slabs.cache)
                if len(objects) > 1:
                    return pair, slabs.cache, objects
        raise AssertionError("the busy world has no private freelist")

    def chain(self, obj: int, cache: int) -> list[int]:
        offset = int(self.snapshot.caches["offset"][cache])
        found = []
        while obj:
            found.append(obj)
            obj = self.mem[obj + offset]
        return found

    def set_pair(self, at: int, freelist: int | None = None, inuse: int | None = None) -> None:
        old = self.mem[at + PAGE.pair]
        head = freelist_of(old) if freelist is None else freelist
        used = inuse_of(old) if inuse is None else inuse
        self.mem[at + PAGE.pair] = page_pair(head, used, objects_of(old), 1 if old & FROZEN else 0)

    def dead_child(self) -> int:
        c = self.snapshot.caches
        return self.snapshot.cache_at(np.flatnonzero(c["offline"] != 0)[0])

    def live_child(self) -> int:
        c = self.snapshot.caches
        return self.snapshot.cache_at(np.flatnonzero((c["root"] != 0) & (c["offline"] == 0))[0])


@functools.cache
def busy_world() -> Busy:
    return Busy()


def test_a_descriptor_s_number_ends_with_the_table():
    b = busy_world()
    base, count = b.world.layout.plan["caches"], b.world.layout.limits.caches
    numbers = [b.snapshot.cache_id(base + i * CACHE.SIZE) for i in (-1, 0, count - 1, count)]
    assert numbers == [-1, 0, count - 1, -1] and b.snapshot.cache_id(base + 1) == -1


def page(frame: int) -> int:
    return MEM_MAP + int(frame) * PAGE.SIZE


class Fault(NamedTuple):
    """What is done to memory, the invariants that must notice, and a word of what they say."""

    plant: Callable[[Busy], None]
    caught_by: set[str]
    says: str


FAULTS: dict[str, Fault] = {}


def fault(*caught_by: str, says: str):
    def register(plant):
        FAULTS[plant.__name__] = Fault(plant, set(caught_by), says)
        return plant

    return register


@fault("one_state", says="is on no list")
def page_dropped_from_a_partial_list(b: Busy):
    slabs = b.list(NODE_PARTIAL, 2)
    n, first, second = b.node(slabs), page(slabs.frames[0]), page(slabs.frames[1])
    b.mem[n + NODE.first] = second
    b.mem[second + PAGE.prev] = 0
    b.mem[n + NODE.nr_partial] -= 1
    assert b.mem[first + PAGE.next] == second


@fault("list_counts", says="nr_partial is")
def partial_list_miscounted(b: Busy):
    b.mem[b.node(b.list(NODE_PARTIAL)) + NODE.nr_partial] += 1


@fault("list_counts", says="nr_partial is 1, its partial list has 0 slabs")
def empty_partial_list_miscounted(b: Busy):
    slabs = next(s for s in b.snapshot.lists if s.cache == 2 and s.place == CPU_SLAB)
    n = b.layout.plan["nodes"] + slabs.cache * NODE.SIZE
    assert b.mem[n + NODE.first] == 0
    b.mem[n + NODE.nr_partial] += 1


@fault("list_counts", says="comes back to frame")
def partial_list_is_a_ring(b: Busy):
    slabs = b.list(NODE_PARTIAL, 2)
    b.mem[page(slabs.frames[-1]) + PAGE.next] = page(slabs.frames[0])


@fault("list_counts", says="its predecessor is")
def prev_pointer_broken(b: Busy):
    b.mem[page(b.list(NODE_PARTIAL, 2).frames[1]) + PAGE.prev] = 0


@fault("list_counts", says="the list ends with")
def tail_pointer_stale(b: Busy):
    slabs = b.list(NODE_PARTIAL, 2)
    b.mem[b.node(slabs) + NODE.last] = page(slabs.frames[0])


@fault("list_counts", says="which is no page frame")
def list_leads_into_the_wild(b: Busy):
    b.mem[page(b.list(CPU_PARTIAL, 2).frames[-1]) + PAGE.next] = 0x123456789


@fault("list_counts", says="pages from here down")
def cpu_partial_miscounted(b: Busy):
    b.mem[page(b.list(CPU_PARTIAL, 2).frames[0]) + PAGE.prev] += 1 << PAGES_SHIFT


@fault("list_counts", says="pages from here down")
def cpu_partial_miscounted_by_one_less(b: Busy):
    b.mem[page(b.list(CPU_PARTIAL, 2).frames[0]) + PAGE.prev] -= 1 << PAGES_SHIFT


@fault("list_counts", says="which is on the cpu partial of CPU 1")
def slab_on_two_stacks(b: Busy):
    slabs = b.list(CPU_PARTIAL, 2)
    assert slabs.number == 1
    b.mem[b.kmem_cache_cpu(2, slabs.cache) + KMEM_CACHE_CPU.partial] = page(slabs.frames[0])


@fault("list_counts", says="nr_slabs is")
def slab_forgotten_in_nr_slabs(b: Busy):
    b.mem[b.node(b.list(NODE_PARTIAL)) + NODE.nr_slabs] -= 1


@fault("one_state", says="and is frozen")
def frozen_on_the_node_list(b: Busy):
    b.mem[page(b.list(NODE_PARTIAL).frames[0]) + PAGE.pair] |= FROZEN


@fault("one_state", says="and is not frozen")
def unfrozen_cpu_slab(b: Busy):
    b.mem[page(b.list(CPU_SLAB).frames[0]) + PAGE.pair] &= ~FROZEN


@fault("one_state", "list_counts", "inuse", "freelists", says="of cache 1 (512 B)")
def slab_of_a_cache_before(b: Busy):
    b.mem[page(b.list(NODE_PARTIAL).frames[0]) + PAGE.slab_cache] = b.world.roots[0]


@fault("one_state", "list_counts", "inuse", "freelists", says="of cache 1 (512 B)")
def slab_of_a_cache_behind(b: Busy):
    b.mem[page(b.list(NODE_PARTIAL).frames[0]) + PAGE.slab_cache] = b.world.roots[2]


@fault("one_state", "list_counts", "pages_conserved", says="lies on node 1099511627776")
def slab_on_a_node_behind_all(b: Busy):
    b.mem[page(b.list(NODE_PARTIAL).frames[0]) + PAGE.node] = 1 << 40


@fault("one_state", says="is frozen and on no list")
def full_slab_frozen(b: Busy):
    b.mem[b.full_slab() + PAGE.pair] |= FROZEN


@fault("freelists", says="comes back to word")
def object_twice_on_a_freelist(b: Busy):
    slabs = b.list(NODE_PARTIAL)
    objects = b.chain(freelist_of(b.mem[page(slabs.frames[0]) + PAGE.pair]), slabs.cache)
    b.mem[objects[-1] + int(b.snapshot.caches["offset"][slabs.cache])] = objects[0]


@fault("freelists", says="which is no object of the slab")
def freelist_leaves_the_slab(b: Busy):
    slabs = b.list(CPU_PARTIAL)
    at = page(slabs.frames[0])
    b.set_pair(at, freelist=freelist_of(b.mem[at + PAGE.pair]) + 1)


@fault("freelists", says="its freelist has")
def freelist_lost_an_object(b: Busy):
    slabs = b.list(CPU_PARTIAL)
    at = page(slabs.frames[0])
    b.set_pair(at, freelist=b.mem[freelist_of(b.mem[at + PAGE.pair])])


@fault("freelists", says="an object of the other freelist")
def object_on_both_freelists(b: Busy):
    pair, cache, objects = b.private_list()
    at = page(b.snapshot.frame_of(b.mem[pair - KMEM_CACHE_CPU.pair + KMEM_CACHE_CPU.page]))
    b.set_pair(at, freelist=objects[-1], inuse=inuse_of(b.mem[at + PAGE.pair]) - 1)


@fault("inuse", says="objects are handed out, inuse is")
def private_freelist_cut(b: Busy):
    _, cache, objects = b.private_list()
    b.mem[objects[0] + int(b.snapshot.caches["offset"][cache])] = 0


@fault("inuse", "conservation", says="is handed out 2 times")
def object_handed_out_twice(b: Busy):
    b.world.live[next(b.world.live.elements())] += 1


@fault("inuse", says="is handed out and on a CPU's private freelist")
def object_handed_out_and_free(b: Busy):
    _, _, objects = b.private_list()
    b.world.live[next(b.world.live.elements())] -= 1
    b.world.live[objects[0]] += 1


@fault("pages_conserved", says="free_pages is")
def free_pages_miscounted(b: Busy):
    b.mem[b.layout.plan["zones"] + ZONE.free_pages] -= 1


@fault("pages_conserved", says="lies in 0 blocks")
def free_block_lost(b: Busy):
    zone = b.layout.plan["zones"]
    order = next(o for o in range(MAX_ORDER + 1) if b.mem[zone + ZONE.first + o])
    block = b.mem[zone + ZONE.first + order]
    b.mem[zone + ZONE.first + order] = b.mem[block + PAGE.next]
    b.mem[zone + ZONE.free_pages] -= 1 << order
    b.mem[block + PAGE.kind] = KIND_FREE_TAIL


@fault("pages_conserved", "inuse", says="has its head at word")
def tail_page_lost_its_head(b: Busy):
    i = int(np.flatnonzero(b.snapshot.order > 0)[0])
    b.mem[page(b.snapshot.frames[i] + 1) + PAGE.head] = page(b.snapshot.frames[i] + 1)


@fault("references", says="refcnt is")
def reference_leaked(b: Busy):
    b.mem[b.dead_child() + CACHE.refcnt] += 1


@fault("references", says="kmem is")
def charge_leaked(b: Busy):
    b.mem[b.mem[b.dead_child() + CACHE.memcg] + MEMCG.kmem] += 1


@fault("references", says="kmem is")
def charge_forgotten(b: Busy):
    b.mem[b.mem[b.dead_child() + CACHE.memcg] + MEMCG.kmem] -= 1


@fault("references", says="css is")
def css_reference_dropped(b: Busy):
    b.mem[b.mem[b.live_child() + CACHE.memcg] + MEMCG.css] -= 1


@fault("registry", says="is not in its slot")
def slot_cleared_too_early(b: Busy):
    b.mem[b.world.slot(1, 2)] = 0


@fault("registry", says="no live cache")
def slot_left_dangling(b: Busy):
    b.mem[b.world.slot(2, 2)] = b.mem[WORLD_AT + WORLD.cache_free]


@fault("registry", says="slot")
def slot_of_another_cache_s_child(b: Busy):
    b.mem[b.world.slot(0, 2)] = b.world.child(1, 2)


@fault("registry", says="its slot array is said to be")
def slot_array_moved_by_a_word(b: Busy):
    b.mem[b.world.roots[0] + CACHE.slots] += 1


@fault("registry", says="lists of children")
def child_unlinked_from_its_memcg(b: Busy):
    b.mem[b.mem[b.live_child() + CACHE.memcg] + MEMCG.children] = 0


@fault("registry", says="is on 0 lists of children")
def memcg_freed_with_its_children(b: Busy):
    g = b.mem[b.live_child() + CACHE.memcg]
    b.mem[g + MEMCG.used] = b.mem[g + MEMCG.online] = 0
    b.mem[g + MEMCG.next_free] = b.mem[WORLD_AT + WORLD.memcg_free]
    b.mem[WORLD_AT + WORLD.memcg_free] = g
    b.mem[WORLD_AT + WORLD.cgroups_online] -= 1


@fault("references", "registry", says="belongs to word 0, which is no memcg")
def dead_child_without_a_memcg(b: Busy):
    """Only F_REPARENT gives the children of a dead memcg to the root cgroup."""
    b.mem[b.dead_child() + CACHE.memcg] = 0


@fault("registry", says="is on no list")
def descriptor_lost(b: Busy):
    at = WORLD_AT + WORLD.cache_free
    b.mem[at] = b.mem[b.mem[at] + CACHE.next]


@fault("registry", says="caches went offline")
def offline_not_tallied(b: Busy):
    b.mem[WORLD_AT + WORLD.offlined] -= 1


@fault("conservation", says="free_fastpath + free_slowpath")
def fast_free_not_counted(b: Busy):
    b.mem[b.snapshot.area(0) + int(b.snapshot.caches["stats"][0]) + STAT.free_fastpath] -= 1


@fault("conservation", says="slabs discarded by shrink")
def discard_not_tallied(b: Busy):
    b.mem[WORLD_AT + WORLD.shrink_discarded] += 1


@fault("locks", says="is held by CPU 1")
def list_lock_held(b: Busy):
    b.mem[b.node(b.list(NODE_PARTIAL)) + NODE.list_lock] = 2


@fault("locks", says="CPU 1 rests with irq 1")
def interrupts_off(b: Busy):
    b.mem[b.snapshot.area(1) + CPU.irq] = 1


@fault("bug", says="work queue had no room")
def assertion_failed(b: Busy):
    b.mem[MACHINE.bug] = BUG_QUEUE_FULL


@fault("one_state", "list_counts", "inuse", says="which is no live cache")
def slab_without_a_cache(b: Busy):
    b.mem[b.full_slab() + PAGE.slab_cache] += 1


@pytest.mark.parametrize("name", FAULTS)
def test_fault_is_caught_by_name(name):
    busy, planted = busy_world(), FAULTS[name]
    with undone(busy.world):
        planted.plant(busy)
        report = busy.world.check()
    assert report.broken() == planted.caught_by, report.violated
    assert any(planted.says in text for _, text in report.violated), report.violated


@pytest.mark.parametrize(
    ("whose", "free", "sound"),
    (
        ("slab's", -1, False),
        ("slab's", 0, True),
        ("slab's", 64, True),
        ("slab's", 65, False),
        ("nobody's", 0, True),
        ("nobody's", 1, False),
    ),
)
def test_a_slab_on_a_stack_counts_as_many_free_objects_as_it_can_have(whose, free, sound):
    """64 B: up to 64. A frame that is no slab, of which `one_state` tells, has none."""
    b = busy_world()
    slabs = b.list(CPU_PARTIAL, 2)
    assert int(b.snapshot.caches["oo_objects"][slabs.cache]) == 64
    with undone(b.world):
        top, below = (page(frame) for frame in slabs.frames[:2])
        if whose == "nobody's":
            kinds = b.snapshot.pages["kind"]
            top, below = page(np.flatnonzero(kinds == KIND_FREE_TAIL)[0]), top
            b.mem[top + PAGE.next] = below
            b.mem[b.kmem_cache_cpu(slabs.number, slabs.cache) + KMEM_CACHE_CPU.partial] = top
        b.mem[top + PAGE.prev] = b.mem[below + PAGE.prev] + (1 << PAGES_SHIFT) + free
        report = b.world.check()
    assert ("list_counts" not in report.broken()) == sound, report.violated
    assert ("one_state" in report.broken()) == (whose == "nobody's")


def test_a_full_slab_that_its_list_lost_is_caught():
    """F_FULL: a child's full slabs are on the list of their node."""
    world = SmallWorld("full-tracking")
    world.child_with_objects(1, 0, 640)
    assert world.check().violated == []
    slabs = next(s for s in Snapshot(world.kworker, world.layout).lists if s.place == FULL and len(s.frames) > 1)
    n = world.layout.plan["nodes"] + slabs.cache * NODE.SIZE
    first, second = page(slabs.frames[0]), page(slabs.frames[1])
    assert world.mem[n + NODE.full] == first
    world.mem[n + NODE.full] = second
    world.mem[second + PAGE.prev] = 0
    report = world.check()
    assert report.broken() == {"one_state"} and "not even that of full slabs" in report.violated[0][1]


def test_only_the_full_slabs_of_what_is_given_up_may_have_free_objects():
    """F_REPARENT_SLABS."""
    world = SmallWorld("rfc-reparent", cpu_partial=False)
    kept, given_up = world.child_with_objects(1, 0, 640), world.child_with_objects(2, 0, 640)
    world.offline(2)
    world.free(1, given_up[5:200:64])
    assert world.check().violated == []
    slabs = next(s for s in Snapshot(world.kworker, world.layout).lists if s.place == FULL)
    at = page(slabs.frames[0])
    obj = next(obj for obj in kept if head_of(world.kworker, obj) == at)
    world.live[obj] -= 1
    world.mem[obj] = 0
    pair = world.mem[at + PAGE.pair]
    world.mem[at + PAGE.pair] = page_pair(obj, inuse_of(pair) - 1, objects_of(pair), 0)
    assert "one_state" in world.check().broken()
    s = next(s for s in Snapshot(world.kworker, world.layout).lists if at in map(page, s.frames)).cache
    world.mem[world.layout.plan["caches"] + s * CACHE.SIZE + CACHE.ref_atomic] = 1
    assert "one_state" not in world.check().broken(), "now it is given up, too"


def test_the_first_slab_of_all_is_looked_at_like_others():
    world = SmallWorld("linux-3.16", sizes=(64,))
    world.alloc(0, 0)
    w = Snapshot(world.kworker, world.layout)
    assert w.lists[0].frames == [w.frames[0]]
    world.mem[page(w.frames[0]) + PAGE.pair] ^= FROZEN
    assert world.check().broken() == {"one_state"}


def test_what_waits_for_a_grace_period_is_empty():
    world = SmallWorld("linux-3.16", by_rcu=(0,))
    world.free(0, world.alloc(0, 0, count=200))
    world.shrink(0)
    assert world.check().violated == []
    slabs = next(s for s in Snapshot(world.kworker, world.layout).lists if s.place == RCU_WAIT)
    assert (slabs.cache, slabs.number) == (-1, 0) and str(slabs).startswith("the stack of slabs that wait")
    at = page(slabs.frames[0]) + PAGE.pair
    world.mem[at] = page_pair(freelist_of(world.mem[at]), 1, objects_of(world.mem[at]), 0)
    assert "one_state" in world.check().broken()
