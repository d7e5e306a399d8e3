"""Allocators broken in one place, at play: each is caught by the invariant that its fault breaks.

A fault replaces one function of the interpreted engine wherever it is used. The world is checked
after every step, because what a broken allocator does after its first wrong step means little.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest
from small_world import SmallWorld

from allocators.caches import memcg_caches, slab_common
from allocators.core import kmem_cache, page_alloc
from allocators.core.kmem_cache import CACHE, KMEM_CACHE_CPU, NODE
from allocators.core.page_alloc import PAGE
from allocators.core.page_pair import FROZEN, page_pair
from allocators.core.world import OPS
from allocators.memcg import cache_ref, memcontrol, obj_refs, obj_stock, objcg
from allocators.memcg.memcontrol import MEMCG
from allocators.slub import alloc, barn, deactivate, free, partial, reparent, sheaf, sheaf_state, shrink
from allocators.slub.state import cpu_pair, cpu_slab
from shm.locks import spin_lock

MODULES = [module for name, module in sys.modules.items() if name.partition(".")[0] == "allocators"]


class Broken(NamedTuple):
    """`build(original)` makes the broken function that replaces `original`."""

    build: Callable[[Callable], Callable]
    original: Callable
    caught_by: set[str]
    design: str


ALLOCATORS: dict[str, Broken] = {}


def broken(original: Callable, *caught_by: str, design: str = "linux-3.16"):
    def register(build):
        ALLOCATORS[build.__name__] = Broken(build, original, set(caught_by), design)
        return build

    return register


@broken(partial.add_partial, "list_counts")
def add_partial_forgets_the_count(original):
    def add_partial(m, n, page, tail):
        before = m.load(n + NODE.nr_partial)
        original(m, n, page, tail)
        m.store(n + NODE.nr_partial, before)

    return add_partial


@broken(kmem_cache.list_del, "list_counts")
def list_del_forgets_the_way_back(original):
    def list_del(m, n, page):
        after = m.load(page + PAGE.next)
        back = m.load(after + PAGE.prev) if after else 0
        original(m, n, page)
        if after:
            m.store(after + PAGE.prev, back)

    return list_del


@broken(partial.unfreeze_partials, "one_state")
def unfreeze_partials_leaves_slabs_frozen(original):
    def unfreeze_partials(m, s):
        pages, page = [], m.load(cpu_slab(m, s) + KMEM_CACHE_CPU.partial)
        while page:
            pages.append(page)
            page = m.load(page + PAGE.next)
        original(m, s)
        for page in pages:
            if m.load(page + PAGE.slab_cache):
                m.fetch_or(page + PAGE.pair, FROZEN)

    return unfreeze_partials


@broken(partial.stack, "one_state")
def put_cpu_partial_loses_the_rest_of_the_stack(original):
    return lambda m, page, old, below: original(m, page, 0, 0)


@broken(alloc.get_freelist, "one_state")
def full_cpu_slab_stays_frozen(original):
    def get_freelist(m, s, page):
        obj = original(m, s, page)
        if not obj:
            m.fetch_or(page + PAGE.pair, FROZEN)
        return obj

    return get_freelist


@broken(deactivate.deactivate_slab, "inuse")
def deactivate_slab_drops_the_private_list(original):
    return lambda m, s, page, freelist: original(m, s, page, 0)


@broken(free.slab_free, "freelists")
def fast_free_pushes_twice(original):
    def slab_free(m, s, page, obj):
        c = cpu_slab(m, s)
        fast = m.load(c + KMEM_CACHE_CPU.page) == page
        original(m, s, page, obj)
        if fast:
            m.store(obj + m.load(s + CACHE.offset), obj)

    return slab_free


@broken(free.slab_free, "inuse")
def fast_free_loses_the_object(original):
    def slab_free(m, s, page, obj):
        c = cpu_slab(m, s)
        before = m.load(c + KMEM_CACHE_CPU.pair)
        fast = m.load(c + KMEM_CACHE_CPU.page) == page
        original(m, s, page, obj)
        if fast:
            m.store(c + KMEM_CACHE_CPU.pair, cpu_pair(before >> 32, before))

    return slab_free


@broken(free.slab_free_slow, "freelists", "inuse")
def slow_free_forgets_inuse(original):
    def slab_free_slow(m, s, page, obj):
        used = m.load(page + PAGE.pair) & 0xFFFF
        original(m, s, page, obj)
        pair = m.load(page + PAGE.pair)
        if m.load(page + PAGE.slab_cache):
            m.store(page + PAGE.pair, page_pair(pair >> 32, used, pair >> 16 & 0x7FFF, pair >> 31 & 1))

    return slab_free_slow


@broken(alloc.slab_alloc, "inuse", "conservation")
def allocation_hands_the_same_object_out_twice(original):
    last = {}

    def slab_alloc(m, s, node):
        last[s] = last.pop(s, 0) or original(m, s, node)
        return last[s]

    return slab_alloc


@broken(partial.discard_slab, "list_counts")
def discard_slab_forgets_nr_slabs(original):
    def discard_slab(m, s, page):
        m.fetch_add(m.load(s + CACHE.node) + NODE.nr_slabs, 1)
        original(m, s, page)

    return discard_slab


@broken(memcontrol.memcg_uncharge_slab, "references", design="v1")
def discard_slab_without_uncharge(original):
    return lambda m, s, order: None


@broken(memcontrol.schedule_unregister, "references", design="v3")
def last_uncharge_forgets_the_destruction(original):
    return lambda m, s: None


@broken(memcontrol.queue_work, "references", design="linux-3.15")
def work_of_a_dead_child_is_lost(original):
    return lambda m, func, a, b: None if func == memcontrol.WORK_SHRINK_OR_DESTROY else original(m, func, a, b)


@broken(cache_ref.cache_ref_end_kill, "references", design="linux-5.3")
def kill_forgets_what_other_cpus_counted(original):
    def cache_ref_end_kill(m, s):
        m.fetch_add(s + CACHE.refcnt, -1 - cache_ref.BIAS)
        return False

    return cache_ref_end_kill


@broken(slab_common.cache_ref_put, "references", design="linux-5.3")
def reference_of_an_allocation_is_never_dropped(original):
    return lambda m, s, n: n > 1 and original(m, s, n)


@broken(partial.add_full, "one_state", design="full-tracking")
def full_slab_is_forgotten(original):
    return lambda m, n, page: None


@broken(partial.remove_full, "one_state", "list_counts", design="full-tracking")
def slab_stays_on_the_full_list(original):
    def remove_full(m, n, page):
        original(m, n, page)
        partial.add_full(m, n, page)

    return remove_full


@broken(slab_common.cache_ref_put, "references", design="full-tracking")
def reference_of_a_free_is_never_dropped(original):
    return lambda m, s, n: False


@broken(reparent._account, "list_counts", design="rfc-reparent")
def reparented_slab_is_not_counted(original):
    return lambda m, n, slabs, objects: slabs < 0 and original(m, n, slabs, objects)


@broken(reparent.memcg_uncharge_slab, "references", design="rfc-reparent")
def reparented_slab_stays_charged(original):
    return lambda m, s, order: None


@broken(reparent.cache_ref_put, "references", design="rfc-reparent")
def reference_of_a_free_to_its_owner_is_never_dropped(original):
    return lambda m, s, n: False


@broken(objcg.before_free, "owners", design="linux-5.9")
def freed_object_keeps_its_owner(original):
    return lambda m, s, obj, page: None


@broken(obj_stock._charge_pages, "owners", design="linux-5.9")
def pages_are_not_charged(original):
    return lambda m, o, pages: None


@broken(obj_refs.objcg_put, "owners", design="linux-5.9")
def obj_cgroup_reference_leaks(original):
    return lambda m, o: None


@broken(sheaf.sheaf_free, "inuse", "conservation", design="linux-6.18-F_SHEAFASK")
def freed_object_is_dropped_by_its_sheaf(original):
    def sheaf_free(m, s, page, obj):
        p = sheaf_state.pcs_of(m, s, m.cpu)
        main = m.load(p + sheaf_state.PCS.main)
        original(m, s, page, obj)
        if m.load(p + sheaf_state.PCS.main) == main and m.load(main + sheaf_state.SHEAF.size):
            m.store(main + sheaf_state.SHEAF.size, m.load(main + sheaf_state.SHEAF.size) - 1)

    return sheaf_free


@broken(barn.push, "sheaves", design="linux-6.18-F_SHEAFASK")
def barn_forgets_to_count(original):
    return lambda m, lock, head, counter, pushed: original(m, lock, head, 0, pushed)


@broken(memcg_caches.register_child, "references")
def child_takes_no_css_reference(original):
    def register_child(m, root, memcg):
        child = original(m, root, memcg)
        m.fetch_add(memcg + MEMCG.css, -1)
        return child

    return register_child


@broken(page_alloc.free_pages, "pages_conserved")
def free_pages_does_not_merge(original):
    def free_pages(m, page, order):
        top, page_alloc.MAX_ORDER = page_alloc.MAX_ORDER, order
        try:
            original(m, page, order)
        finally:
            page_alloc.MAX_ORDER = top

    return free_pages


@broken(page_alloc.alloc_pages, "pages_conserved", "inuse")
def alloc_pages_forgets_the_tails(original):
    def alloc_pages(m, node, order):
        page = original(m, node, order)
        for i in range(1, 1 << order):
            m.store(page + i * PAGE.SIZE + PAGE.head, page + i * PAGE.SIZE)
        return page

    return alloc_pages


@broken(memcg_caches.unregister_child, "registry", design="v1")
def unregister_leaves_the_slot(original):
    def unregister_child(m, s):
        slot = m.load(m.load(s + CACHE.root) + CACHE.slots) + memcontrol.kmemcg_id(m, m.load(s + CACHE.memcg))
        done = original(m, s)
        m.store(slot, s)
        return done

    return unregister_child


@broken(slab_common._retire, "conservation", design="v1")
def destroyed_cache_takes_its_statistics_along(original):
    def _retire(m, s):
        retired = m.mem[slab_common.world(m, slab_common.WORLD.retired) + 8]
        original(m, s)
        m.mem[slab_common.world(m, slab_common.WORLD.retired) + 8] = retired

    return _retire


@broken(slab_common.count, "conservation")
def frees_are_not_counted(original):
    return lambda m, counter: None if counter == OPS.free else original(m, counter)


@broken(shrink._sort_partial, "locks")
def shrink_keeps_the_list_lock(original):
    def _sort_partial(m, s, n, sort):
        discard = original(m, s, n, sort)
        spin_lock(m, n + NODE.list_lock, 2)
        return discard

    return _sort_partial


@broken(partial.put_cpu_partial, "locks")
def drain_forgets_to_turn_interrupts_on(original):
    def put_cpu_partial(m, s, page, drain):
        original(m, s, page, drain)
        m.store(m.pcpu, 1)

    return put_cpu_partial


def tour(world: SmallWorld) -> Iterator[str]:
    """Every path of the allocator in a few steps; yields after each."""
    small = world.alloc(0, 0, count=640)
    yield "fill ten slabs"
    world.free(0, [small.pop() for _ in range(4)])
    yield "free into the own CPU slab"
    world.free(1, [small.pop(i * 50) for i in range(10)])
    yield "free into full slabs of another CPU"
    small += world.alloc(1, 0, count=40)
    yield "allocate from the CPU partial list"
    world.free(1, small[:500])
    yield "empty slabs"
    large = world.alloc(1, 2, count=70)
    yield "slabs of several pages"
    world.free(0, large[::2])
    world.free(1, large[1::2])
    yield "empty them"
    world.shrink(0)
    yield "shrink"
    world.alloc(0, 0, count=100)
    yield "allocate from the node partial list"
    held = world.child_with_objects(1, 0, 300)
    yield "a child cache"
    world.offline(1)
    yield "its cgroup goes offline"
    world.free(1, held[:200])
    world.free(0, held[200:])
    yield "its objects are freed"
    world.work()
    yield "deferred work"
    world.free(0, world.child_with_objects(2, 1, 20))
    world.offline(2)
    yield "a child without objects goes offline"
    world.work()
    yield "deferred work"
    held = world.child_with_objects(3, 0, 300)
    world.offline(3)
    world.work()
    yield "deferred work for a cgroup with objects"
    world.free(1, held)
    yield "its objects are freed"


def first_caught(world: SmallWorld) -> set[str]:
    """The names found broken after the first step that breaks any."""
    for _ in tour(world):
        found = world.check().broken()
        if found:
            return found
    return set()


@pytest.mark.parametrize("name", ALLOCATORS)
def test_broken_allocator_is_caught_by_name(name, monkeypatch):
    fault = ALLOCATORS[name]
    replacement = fault.build(fault.original)
    used = 0
    for module in MODULES:
        for attribute, value in list(vars(module).items()):
            if value is fault.original:
                monkeypatch.setattr(module, attribute, replacement)
                used += 1
    assert used
    world = SmallWorld(fault.design)
    assert first_caught(world) == fault.caught_by
    world.close()


def test_the_tour_itself_is_sound():
    """Without a fault the same steps of the same designs leave every invariant intact."""
    for design in {fault.design for fault in ALLOCATORS.values()}:
        world = SmallWorld(design)
        assert first_caught(world) == set()
        world.close()
