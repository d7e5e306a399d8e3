"""SLOB: sizes, blocks in a page, first fit and next fit, what a free does, and a second, plain model of all of it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from slob_model import SlobModel
from small_world import SmallWorld

from allocators.caches.slab_common import kmem_cache_destroy, kmem_cache_shrink
from allocators.core.kmem_cache import CACHE
from allocators.core.page_alloc import KIND_SLAB, PAGE, page_of
from allocators.core.world import PAGE_WORDS, WORLD, WORLD_AT
from allocators.invariants import empty_slabs, hoarded_by_dead, left_behind, page_census
from allocators.slob.alloc import slob_alloc
from allocators.slob.inspect import blocks, pages, statistics
from allocators.slob.sizing import slob_sizing
from allocators.slob.state import (
    LISTS,
    OBJECT_MASK,
    PAGE_UNITS,
    SLOB,
    block_next,
    block_units,
    get_unit,
    set_block,
    set_unit,
)


def slob_world(**options) -> SmallWorld:
    return SmallWorld("linux-3.16", allocator="slob", **options)


def address(ref: int) -> int:
    return ref & OBJECT_MASK


def page(ref: int) -> int:
    return page_of(address(ref))


def unit(ref: int) -> int:
    """First unit of an object in its page."""
    return address(ref) % PAGE_WORDS * 4


def listed(world: SmallWorld) -> dict[str, list[int]]:
    return {name: list(pages(world.kworker, name)) for name in LISTS}


def count(world: SmallWorld, cache: int, name: str) -> int:
    return sum(statistics(world.kworker, world.roots[cache], world.layout.nr_cpus)[name])


@pytest.mark.parametrize(
    "object_size, align, by_rcu, expected",
    (
        (1, 1, False, (1, 8, 0)),
        (9, 8, False, (9, 8, 0)),
        (64, 64, False, (64, 64, 0)),
        (9, 8, True, (33, 8, 0)),  # struct slob_rcu lies behind the object
        (4095, 8, False, (4095, 8, 0)),
        (4096, 8, False, (4096, 8, 0)),
        (4080, 8, True, (4104, 8, 1)),
        (9000, 8, False, (9000, 8, 2)),
    ),
)
def test_sizing(object_size, align, by_rcu, expected):
    s = slob_sizing(object_size, align, destroy_by_rcu=by_rcu)
    assert (s.size, s.align, s.order) == expected


@pytest.mark.parametrize("size, align", ((0, 8), (64, 3), (64, 0), (64, 8192), (5 << 20, 8)))
def test_sizes_that_no_cache_has(size, align):
    with pytest.raises(ValueError):
        slob_sizing(size, align)


def test_every_unit_of_a_word_holds_a_signed_number_of_its_own():
    world = slob_world()
    m, base = world.kworker, world.layout.first_frame * PAGE_WORDS
    world.mem[base] = world.mem[base + 1] = -1
    numbers = (2048, -2048, 0, 1, -1, 32767, -32768, 3)
    for turn in range(8):
        for i in range(8):
            set_unit(m, base, i, numbers[(i + turn) % 8])
        assert [get_unit(m, base, i) for i in range(8)] == [numbers[(i + turn) % 8] for i in range(8)]


@pytest.mark.parametrize(
    "block, units, after", ((0, 2048, 2048), (3, 1, 2048), (7, 1, 9), (5, 2, 2047), (2047, 1, 2048), (2046, 2, 2048))
)
def test_blocks_describe_themselves(block, units, after):
    world = slob_world()
    m, base = world.kworker, world.layout.first_frame * PAGE_WORDS
    set_block(m, base, block, units, after)
    assert (block_units(m, base, block), block_next(m, base, block)) == (units, after)
    assert get_unit(m, base, block) == (units if units > 1 else -after)


def test_objects_of_all_caches_and_cgroups_share_a_page():
    world = slob_world(sizes=(64, 40))
    world.create(1)
    world.create(2)
    objects = [world.alloc(cpu, cache, cgroup)[0] for cpu in (0, 1) for cache in (0, 1) for cgroup in (0, 1, 2)]
    assert len({page(o) for o in objects}) == 1
    assert [unit(o) for o in objects] == [0, 32, 64, 96, 116, 136, 156, 188, 220, 252, 272, 292]
    assert world.mem[page(objects[0]) + PAGE.slab_cache] == 0
    world.work()
    assert world.tally("nr_caches") == 2
    assert world.check().violated == []


def test_a_removed_cgroup_is_gone_at_once_and_its_object_pins_only_its_page():
    world = slob_world()
    world.create(1)
    mine = world.alloc(0, 0, 1)
    others = world.alloc(0, 0, 0, 20)
    world.offline(1)
    world.work()
    assert world.memcg(1) == 0
    assert (world.tally("offlined"), world.tally("cgroups_offline")) == (0, 0)
    assert left_behind(world.kworker, world.layout) == (0, 0, 0)
    assert empty_slabs(world.kworker, world.layout) == {} and list(hoarded_by_dead(world.kworker, world.layout)) == []
    world.free(1, others)
    assert page_census(world.kworker, world.layout)["pages_small"] == 1
    world.free(1, mine)
    assert page_census(world.kworker, world.layout) == {
        "pages_small": 0, "pages_medium": 0, "pages_large": 0, "pages_full": 0, "pages_of_large_objects": 0,
        "free_bytes": 0, "peak_pages": 1, "free_bytes_at_peak": 4096 - 64,
    }  # fmt: skip
    assert world.check().violated == []


@pytest.mark.parametrize(
    "size, name", ((255, "small"), (256, "medium"), (1023, "medium"), (1024, "large"), (4000, "large"))
)
def test_the_size_chooses_the_list(size, name):
    world = slob_world(sizes=(size,))
    (obj,) = world.alloc(0, 0)
    assert listed(world) == {n: [page(obj)] if n == name else [] for n in LISTS}


def test_a_full_page_is_on_no_list_and_comes_back_by_the_size_of_what_is_freed():
    world = slob_world(sizes=(2048, 1024, 128))
    large = world.alloc(0, 0) + world.alloc(0, 1)
    page_ = page(large[0])
    assert listed(world) == {"small": [], "medium": [], "large": [page_]}
    full = world.alloc(0, 1)
    assert listed(world) == {"small": [], "medium": [], "large": []}
    assert page_census(world.kworker, world.layout)["pages_full"] == 1
    world.free(0, full)
    assert listed(world) == {"small": [], "medium": [], "large": [page_]}
    # Small objects look at small pages only: they get a page of their own, though this one has room.
    small = world.alloc(0, 2, count=32)
    assert {page(o) for o in small} == {page(small[0])} != {page_} and listed(world)["small"] == []
    world.free(0, small[:1])
    assert listed(world)["small"] == [page(small[0])]
    assert world.check().violated == []


def test_the_alignment_splits_a_free_block():
    world = slob_world(sizes=(10, 64))
    m = world.kworker
    first = world.alloc(0, 0)[0]
    page_ = page(first)
    assert blocks(m, page_) == [(5, PAGE_UNITS - 5)]
    second = world.alloc(0, 0)[0]  # 8-byte alignment: units 8 to 13; 5 to 8 stay free
    assert unit(second) == 8 and blocks(m, page_) == [(5, 3), (13, PAGE_UNITS - 13)]
    assert count(world, 0, "alloc_aligned") == 1
    third = slob_alloc(world.machine(0), world.roots[1], 64, 256, -1)
    assert unit(third) == 128 and blocks(m, page_) == [(5, 3), (13, 115), (160, PAGE_UNITS - 160)]


def test_freed_blocks_are_joined_on_both_sides():
    world = slob_world(sizes=(64,))
    m = world.kworker
    objects = world.alloc(0, 0, count=64)
    page_ = page(objects[0])
    assert blocks(m, page_) == []
    world.free(1, [objects[10]])
    assert blocks(m, page_) == [(320, 32)]
    world.free(1, [objects[12]])
    world.free(1, [objects[8]])
    assert blocks(m, page_) == [(256, 32), (320, 32), (384, 32)]
    world.free(1, [objects[11]])
    assert blocks(m, page_) == [(256, 32), (320, 96)]
    world.free(1, [objects[9]])
    assert blocks(m, page_) == [(256, 160)]
    world.free(1, [objects[7], objects[13], objects[0], objects[63]])
    assert blocks(m, page_) == [(0, 32), (224, 224), (2016, 32)]
    assert count(world, 0, "free_coalesced") == 6
    assert world.check().violated == []


def test_the_last_object_gives_the_page_back_at_once():
    world = slob_world(sizes=(64, 4000))
    objects = world.alloc(0, 0, count=64)
    page_ = page(objects[0])
    world.free(0, objects[1:])
    assert world.mem[page_ + PAGE.kind] == KIND_SLAB
    world.free(1, objects[:1])
    assert world.mem[page_ + PAGE.kind] != KIND_SLAB
    assert listed(world)["small"] == [] and count(world, 0, "free_page") == 1
    world.free(0, world.alloc(0, 1))  # alone in its page, which is on the list
    assert world.check().violated == []


def test_the_next_search_begins_where_the_last_one_ended():
    world = slob_world(sizes=(160, 240))
    objects = world.alloc(0, 0, count=75)  # three pages of 25, 96 bytes free in each
    a, b, c = (page(objects[i]) for i in (0, 25, 50))
    assert listed(world)["small"] == [c, b, a]
    world.free(0, objects[26:28])
    held = world.alloc(0, 1)  # 240 bytes fit only where two neighbours went
    assert page(held[0]) == b
    assert listed(world)["small"] == [b, a, c]
    assert count(world, 1, "alloc_rotated") == 1 and count(world, 1, "alloc_pages_scanned") == 2
    assert world.check().violated == []


def test_a_page_that_becomes_full_hands_the_beginning_to_the_next_one():
    world = slob_world(sizes=(128, 248))
    objects = world.alloc(0, 0, count=96)  # three pages of 32, all full
    a, b, c = (page(objects[i]) for i in (0, 32, 64))
    world.free(0, [objects[0], objects[32], objects[33], objects[64]])
    assert listed(world)["small"] == [c, b, a]
    held = world.alloc(0, 1)
    assert page(held[0]) == b and blocks(world.kworker, b) == [(124, 4)]
    assert listed(world)["small"] == [b, a, c]
    world.free(0, held)
    world.free(0, objects[65:66])
    assert [unit(o) for o in world.alloc(0, 0, count=2)] == [0, 64]  # b is full now
    assert listed(world)["small"] == [a, c]
    (last,) = world.alloc(0, 0)
    assert page(last) == a and listed(world)["small"] == [c]
    assert world.check().violated == []


def test_objects_of_a_page_or_more_have_their_own_pages():
    world = slob_world(sizes=(4096, 9000))
    objects = world.alloc(0, 0) + world.alloc(0, 1)
    assert [world.mem[page(o) + PAGE.order] for o in objects] == [0, 2]
    assert page_census(world.kworker, world.layout)["pages_of_large_objects"] == 5
    assert world.check().violated == []
    world.free(1, objects)
    assert world.check().violated == [] and page_census(world.kworker, world.layout)["pages_of_large_objects"] == 0


def test_objects_that_wait_for_a_grace_period_stay_where_they_are():
    world = slob_world(sizes=(9, 5000), by_rcu=(0, 1))
    objects = world.alloc(0, 0, count=30) + world.alloc(0, 1, count=2)
    world.free(1, objects[:20] + objects[30:])
    assert world.check().violated == []
    assert count(world, 0, "free_deferred") == 20 and count(world, 0, "free_to_partial") == 0
    assert len(set(objects) & set(world.alloc(0, 0, count=20))) == 0
    world.work()
    assert count(world, 0, "free_to_partial") == 20 and count(world, 1, "free_large") == 2
    assert world.mem[world.layout.plan["slob"] + SLOB.waiting] == 0
    assert world.check().violated == []


def test_shrink_and_shutdown_do_nothing():
    world = slob_world(by_rcu=(1,))
    objects = world.alloc(0, 0, count=100) + world.alloc(0, 1, count=3)
    world.free(0, objects[:50])
    before = world.words.copy()
    assert kmem_cache_shrink(world.kworker, world.roots[0]) == 0
    assert (world.words == before).all()
    world.free(0, objects[100:])
    assert kmem_cache_destroy(world.kworker, world.roots[1])  # after those that wait for a grace period
    assert world.mem[world.layout.plan["slob"] + SLOB.waiting] == 0
    assert kmem_cache_destroy(world.kworker, world.roots[0])  # whether it has objects cannot be told
    assert world.check().broken() == {"inuse", "conservation"}


def test_memory_that_runs_out_is_a_failed_allocation():
    world = slob_world(sizes=(4096, 64), memory=4 << 20)
    objects = world.alloc(0, 0, count=1100)
    assert len(objects) == 1024 and world.alloc(0, 1) == []
    assert world.check().violated == []
    world.free(1, objects[:1])
    assert len(world.alloc(1, 1, count=65)) == 64
    assert world.check().violated == []


def test_kmem_cache_alloc_takes_any_node_and_slob_alloc_the_node_asked_for():
    world = slob_world(cpus=2, nodes=2)
    node = lambda obj: world.mem[page_of(obj) + PAGE.node]
    (first,) = world.alloc(0, 0)
    (second,) = world.alloc(1, 0)  # CPU 1 sits on node 1
    assert page(first) == page(second)
    s = world.roots[0]
    assert [node(slob_alloc(world.machine(0), s, 64, 8, n)) for n in (1, 0, 1)] == [1, 0, 1]
    (third,) = world.alloc(0, 0)
    assert world.mem[WORLD_AT + WORLD.nr_nodes] == 2 and node(address(third)) in (0, 1)


SIZES = (2, 9, 64, 130, 600, 1000, 3000, 4095)


@pytest.mark.parametrize("nodes", (1, 2))
def test_random_play_keeps_all_invariants(nodes):
    world = slob_world(cpus=4, nodes=nodes, sizes=(*SIZES, 4096, 20000), memory=12 << 20, by_rcu=(1, 3, 9))
    for i, _ in enumerate(world.churn(seed=nodes, operations=1500)):
        if i % 50 == 49:
            assert world.check().violated == []
    world.free(1, list(world.live.elements()))
    world.work()
    report = world.check()
    assert report.violated == [] and "inuse" in report.checked
    assert sum(page_census(world.kworker, world.layout)[f"pages_{name}"] for name in LISTS) == 0


steps = st.lists(
    st.one_of(
        st.tuples(st.just("alloc"), st.integers(0, len(SIZES) - 1), st.integers(1, 40)),
        st.tuples(st.just("free"), st.integers(0, 400), st.integers(1, 30)),
    ),
    max_size=60,
)


@settings(max_examples=60)
@given(steps)
def test_a_plain_model_places_every_object_the_same(script):
    """Lists of intervals and Python lists of pages against linked blocks in shared memory, address by address."""
    world, model = slob_world(sizes=SIZES, memory=8 << 20), SlobModel()
    numbers: dict[int, int] = {}  # PAGE -> the model's page
    held: list[tuple[int, int]] = []
    for what, a, times in script:
        for _ in range(times):
            if what == "alloc":
                (ref,) = world.alloc(0, a)
                number, at = model.alloc(SIZES[a], 8)
                if number not in numbers.values():
                    numbers[page(ref)] = number
                assert (numbers[page(ref)], unit(ref)) == (number, at)
                held.append((ref, SIZES[a]))
            elif held:
                ref, size = held.pop(a % len(held))
                number = numbers[page(ref)]
                if model.free(number, unit(ref), size):
                    del numbers[page(ref)]
                world.free(0, [ref])
    assert {name: [numbers[p] for p in found] for name, found in listed(world).items()} == model.lists
    for p, number in numbers.items():
        assert blocks(world.kworker, p) == model.pages[number]
    assert world.check().violated == []
    world.close()


def test_what_a_cache_is_made_of():
    world = slob_world(sizes=(9,), by_rcu=(0,))
    s = world.roots[0]
    assert [world.mem[s + f] for f in (CACHE.object_size, CACHE.size, CACHE.offset, CACHE.oo_order)] == [9, 33, 8, 0]
