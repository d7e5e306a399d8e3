"""What a census counts, against a plain walk of the same world: what hides in dead caches, sheaves and SLOB's pages."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from small_world import SmallWorld
from test_kfree_rcu import free_later
from test_slab import array_of, slab_node

from allocators.core.kmem_cache import CACHE, CACHE_LIVE, KMEM_CACHE_CPU, NODE
from allocators.core.page_alloc import KIND_BUDDY, KIND_FREE_TAIL, KIND_SLAB, PAGE, ZONE, head_of
from allocators.core.world import CACHES_AT, KMEM_CACHE_CPU_WORDS, MEM_MAP, PAGE_WORDS
from allocators.invariants import empty_slabs, hidden_objects, hoarded_by_dead, left_behind, page_census, sheaf_census
from allocators.sheaf_settings import SheafSettings
from allocators.slab.inspect import walk
from allocators.slab.state import ARRAY_CACHE, KMEM_CACHE_ARRAY, SLAB_NODE, alien_array, entry_of
from allocators.slob.inspect import blocks, pages
from allocators.slub.inspect import walk_partial
from allocators.slub.sheaf_state import BARN, PCS, SHEAF, barn_of, pcs_of
from allocators.slub.state import PARTIAL_DISABLED


def mixed(design: str, allocator: str) -> SmallWorld:
    """Four CPUs of two nodes freed most of two dead children: slabs in all places, empty and not; a live child, too.

    The first slab of all is empty and a dead child's; others wait for a grace period. The last descriptor is no cache,
    whatever it says.
    """
    world = SmallWorld(design, allocator=allocator, sizes=(64, 8192, 512), cpus=4, nodes=2, memory=8 << 20, by_rcu=(2,))
    for cgroup in (1, 2):
        world.create(cgroup)
        world.free(0, world.alloc(0, 0, cgroup) + world.alloc(0, 1, cgroup))
    world.work()
    world.shrink(0)
    world.shrink(1)
    small = world.alloc(0, 0, 1, 1500) + world.alloc(3, 0, 1, 1500)
    large, alive = world.alloc(1, 1, 1, 40), world.alloc(0, 0, 2, 1500)
    world.offline(1)
    for cpu in range(4):
        world.free(cpu, [obj for i, obj in enumerate(small) if i // 750 == cpu and i % 200 != 100])
    world.free(0, large[:20])
    world.free(2, large[21:])
    world.free(0, alive)
    world.free(0, world.alloc(0, 2, count=200))
    world.shrink(2)
    assert world.check().violated == [] and world.tally("rcu_slabs")
    world.live = +world.live
    last = world.layout.plan["caches"] + (world.layout.limits.caches - 1) * CACHE.SIZE
    world.mem[last + CACHE.offline] = world.mem[last + CACHE.oo_objects] = 1
    return world


def dead_caches(world: SmallWorld) -> list[int]:
    first = world.layout.plan["caches"]
    caches = [first + i * CACHE.SIZE for i in range(world.layout.limits.caches)]
    return [s for s in caches if world.mem[s + CACHE.state] == CACHE_LIVE and world.mem[s + CACHE.offline]]


def chain(world: SmallWorld, page: int) -> Iterator[int]:
    while page not in (0, PARTIAL_DISABLED):
        yield page
        page = world.mem[page + PAGE.next]


def by_place(world: SmallWorld) -> Iterator[tuple[str, int, list[int]]]:
    """SLUB: place, CPU or node, and pages of a list of a dead cache."""
    for s in dead_caches(world):
        number = (s - world.layout.plan["caches"]) // CACHE.SIZE
        for cpu in range(world.cpus):
            c = world.layout.area(cpu) + CACHES_AT + number * KMEM_CACHE_CPU_WORDS
            yield "cpu_slab", cpu, [page for page in [world.mem[c + KMEM_CACHE_CPU.page]] if page]
            yield "cpu_partial", cpu, list(chain(world, world.mem[c + KMEM_CACHE_CPU.partial]))
        for node in (0, 1):
            n = world.mem[s + CACHE.node] + node * NODE.SIZE
            yield "node_partial", node, list(walk_partial(world.kworker, n))


def by_array(world: SmallWorld) -> Iterator[tuple[str, int, list[int]]]:
    """SLAB: place, CPU or node, and objects of an array of a dead cache; the CPUs' first, then the shared ones."""
    found: dict[str, list[tuple[str, int, int]]] = {"cpu_array": [], "shared_array": [], "alien_array": []}
    for s in dead_caches(world):
        found["cpu_array"] += [("cpu_array", cpu, array_of(world, s, cpu)) for cpu in range(world.cpus)]
        for node in (0, 1):
            n = slab_node(world, s, node)
            found["shared_array"].append(("shared_array", node, world.mem[n + SLAB_NODE.shared]))
            found["alien_array"].append(("alien_array", node, alien_array(world.kworker, n, 1 - node)))
    for place, number, array in sum(found.values(), []):
        if array:
            yield place, number, [world.mem[entry_of(array, i)] for i in range(world.mem[array + ARRAY_CACHE.avail])]


def frame(page: int) -> int:
    return (page - MEM_MAP) // PAGE.SIZE


def hoarded(world: SmallWorld) -> list[tuple[str, int, int]]:
    return sorted((one.place, one.number, one.frame) for one in hoarded_by_dead(world.kworker, world.layout))


def slab_pages(world: SmallWorld) -> list[int]:
    pages = (MEM_MAP + frame * PAGE.SIZE for frame in range(world.layout.last_frame))
    return [page for page in pages if world.mem[page + PAGE.kind] == KIND_SLAB]


def pages_in_use(world: SmallWorld) -> set[int]:
    """Of slabs that have an object which is handed out."""
    return {head_of(world.kworker, obj) for obj in world.live}


@pytest.mark.parametrize("design", ("linux-3.15", "linux-3.16", "v1"))
def test_the_census_of_dead_slubs_is_that_of_a_plain_walk(design):
    """Before the work that shrinks them: empty slabs of dead caches, by list; what is not empty is no part of it."""
    world = mixed(design, "slub")
    in_use, lists = pages_in_use(world), list(by_place(world))
    empty = [(place, number, page) for place, number, pages in lists for page in pages if page not in in_use]
    assert hoarded(world) == sorted((place, number, frame(page)) for place, number, page in empty)
    assert len(empty) < sum(len(pages) for _, _, pages in lists), "lists have slabs that are not empty, too"
    places = {place: sum(p == place for p, _, _ in empty) for place in ("cpu_slab", "cpu_partial", "node_partial")}
    assert empty_slabs(world.kworker, world.layout) == places
    assert design == "v1" or frame(slab_pages(world)[0]) in {found[2] for found in hoarded(world)}
    assert places["cpu_partial"] and (design != "linux-3.15" or all(places.values()))


def test_a_frame_on_a_list_that_is_no_slab_is_none_that_is_hoarded():
    world = mixed("linux-3.16", "slub")
    before, first = hoarded(world), slab_pages(world)[0]
    world.mem[first + PAGE.kind] = KIND_FREE_TAIL
    assert hoarded(world) == [found for found in before if found[2] != frame(first)] != before


def test_the_census_of_dead_slabs_is_that_of_a_plain_walk():
    world = mixed("linux-3.16", "slab")
    in_use, objects = pages_in_use(world), {"cpu_array": 0, "shared_array": 0, "alien_array": 0, "slabs_free": 0}
    expected: list[tuple[str, int, int]] = []
    for s in dead_caches(world):
        for node in (0, 1):
            free_slabs = list(walk(world.kworker, slab_node(world, s, node) + SLAB_NODE.slabs_free))
            expected += [("slabs_free", node, page) for page in free_slabs]
            objects["slabs_free"] += len(free_slabs) * world.mem[s + CACHE.oo_objects]
    seen: set[int] = set()
    mixed_slabs = 0
    for place, number, waiting in by_array(world):
        objects[place] += len(waiting)
        pages = {head_of(world.kworker, obj) for obj in waiting}
        expected += [(place, number, page) for page in pages - in_use - seen]
        seen |= pages - in_use
        mixed_slabs += len(pages & in_use)
    assert hoarded(world) == sorted((place, number, frame(page)) for place, number, page in expected)
    assert {frame(slab_pages(world)[i]) for i in (0, -1)} <= {found[2] for found in hoarded(world)}
    assert mixed_slabs, "arrays have objects of slabs that are not empty, too"
    assert hidden_objects(world.kworker, world.layout) == objects
    places = {place: sum(p == place for p, _, _ in expected) for place in objects}
    assert empty_slabs(world.kworker, world.layout) == places
    assert all(objects.values()) and all(places.values())


@pytest.mark.parametrize("allocator", ("slub", "slab"))
def test_what_dead_caches_leave_behind_is_counted_in_slabs_and_pages(allocator):
    world = mixed("linux-3.16", allocator)
    dead, slabs = set(dead_caches(world)), slab_pages(world)
    orders = [world.mem[page + PAGE.order] for page in slabs if world.mem[page + PAGE.slab_cache] in dead]
    lost = next(page for page in slabs if world.mem[page + PAGE.slab_cache] not in dead)
    world.mem[lost + PAGE.slab_cache] += 1  # no cache's
    assert left_behind(world.kworker, world.layout) == (2, len(orders), sum(1 << order for order in orders))
    assert 0 < len(orders) < sum(1 << order for order in orders) and len(orders) < len(slabs)


def test_what_is_no_array_hides_nothing():
    world = mixed("linux-3.16", "slab")
    before = hidden_objects(world.kworker, world.layout)
    s = dead_caches(world)[0]
    lost = world.mem[array_of(world, s, 0) + ARRAY_CACHE.avail]
    base, words = world.layout.plan.regions["arrays"]
    world.mem[world.machine(0).pcpu + world.mem[s + CACHE.cpu_slab] + KMEM_CACHE_ARRAY.array] = base + words
    assert lost > 1
    assert hidden_objects(world.kworker, world.layout) == before | {"cpu_array": before["cpu_array"] - lost}


def test_a_word_in_an_array_that_is_no_object_is_in_no_slab():
    world = mixed("linux-3.16", "slab")
    before, in_use = hoarded(world), pages_in_use(world)
    array, i = next(
        (array_of(world, s, cpu), i)
        for s in dead_caches(world)
        for cpu in range(world.cpus)
        for i in range(world.mem[array_of(world, s, cpu) + ARRAY_CACHE.avail])
        if head_of(world.kworker, world.mem[entry_of(array_of(world, s, cpu), i)]) in in_use
    )
    world.mem[entry_of(array, i)] = -1
    assert hoarded(world) == before


def by_sheaf(world: SmallWorld) -> Iterator[tuple[str, int, list[int]]]:
    """Place, address and objects of a sheaf of a root cache; the sheaves of the CPUs first."""
    m, mem = world.kworker, world.mem
    found = []
    for s in world.roots:
        for cpu in range(world.layout.nr_cpus):
            at = [mem[pcs_of(m, s, cpu) + field] for field in (PCS.main, PCS.spare, PCS.rcu_free)]
            found += [("sheaf", sheaf) for sheaf in at if sheaf]
    for s in world.roots:
        for node in range(world.layout.limits.nodes):
            for field in (BARN.full, BARN.empty):
                sheaf = mem[barn_of(m, s, node) + field]
                while sheaf:
                    found.append(("barn", sheaf))
                    sheaf = mem[sheaf + SHEAF.next]
    for place, sheaf in found:
        yield place, sheaf, [mem[sheaf + SHEAF.objects + i] for i in range(mem[sheaf + SHEAF.size])]


def sheaf_census_by_hand(world: SmallWorld) -> dict[str, int]:
    """A slab is kept by sheaves when they have an object of it, and nobody else has."""
    found = dict.fromkeys(("objects_in_sheaf", "objects_in_barn", "slabs_kept_by_sheaf", "slabs_kept_by_barn"), 0)
    in_use, seen = pages_in_use(world), set()
    for place, _, objects in by_sheaf(world):
        found[f"objects_in_{place}"] += len(objects)
        kept = {head_of(world.kworker, obj) for obj in objects} - in_use - seen
        found[f"slabs_kept_by_{place}"] += len(kept)
        seen |= kept
    return found


def sheaved(design: str) -> SmallWorld:
    """Sheaves at CPUs of two nodes and in their barns; slabs that only sheaves keep, and others.

    One of one object is among the former, and the last frame of all.
    """
    world = SmallWorld(
        design,
        sizes=(64, 512, 4096, 32768),
        cpus=4,
        nodes=2,
        memory=8 << 20,
        sheaf_capacity=10,
        sheaves=SheafSettings(capacity=10, max_full=20),
    )
    while world.mem[world.layout.plan["zones"] + ZONE.SIZE + ZONE.free_pages] > 8:
        world.alloc(3, 2)
    small, medium, far = world.alloc(0, 0, count=600), world.alloc(1, 1, count=60), world.alloc(3, 0, count=512)
    for cpu, objects in ((0, small[:70]), (1, small[70:560:2]), (1, medium[9:]), (3, far[:150:-1])):
        world.free(cpu, objects)
    free_later(world, 1, medium[:5])
    world.free(0, world.alloc(0, 3))
    world.live = +world.live
    assert world.check().violated == []
    return world


@pytest.mark.parametrize("design", ("linux-6.18", "linux-7.0"))
def test_the_census_of_sheaves_is_that_of_a_plain_walk(design):
    world = sheaved(design)
    expected, slabs = sheaf_census_by_hand(world), slab_pages(world)
    kept = {head_of(world.kworker, obj) for _, _, objects in by_sheaf(world) for obj in objects} - pages_in_use(world)
    assert all(expected.values()) and {slabs[0], slabs[-1]} <= kept and frame(slabs[-1]) == world.layout.last_frame - 1
    assert sheaf_census(world.kworker, world.layout) == expected


@pytest.mark.parametrize("wild", (-1, 5, 2046 * PAGE_WORDS, 2047 * PAGE_WORDS, 1 << 40))
def test_a_word_in_a_sheaf_that_is_no_object_keeps_no_slab(wild):
    """Before all frames, of none, of two free ones, which say differently of which slab they are, behind all."""
    world = sheaved("linux-7.0")
    assert world.mem[MEM_MAP + 2047 * PAGE.SIZE + PAGE.kind] in (KIND_BUDDY, KIND_FREE_TAIL)
    world.mem[MEM_MAP + 2047 * PAGE.SIZE + PAGE.head] = 0
    world.mem[MEM_MAP + 2046 * PAGE.SIZE + PAGE.head] = MEM_MAP + 2046 * PAGE.SIZE
    before, in_use = sheaf_census(world.kworker, world.layout), pages_in_use(world)
    at = next(
        sheaf + SHEAF.objects + i
        for _, sheaf, objects in by_sheaf(world)
        for i, obj in enumerate(objects)
        if head_of(world.kworker, obj) in in_use
    )
    world.mem[at] = wild
    assert sheaf_census(world.kworker, world.layout) == before


def test_the_census_of_slob_s_pages_is_that_of_a_plain_walk():
    world = SmallWorld("linux-3.16", allocator="slob", sizes=(64, 600, 3000, 9000), memory=8 << 20)
    held = [obj for cache in range(4) for obj in world.alloc(0, cache, count=150 >> cache)]
    most = [page for page in slab_pages(world) if not world.mem[page + PAGE.slab_cache]]
    world.free(1, held[:60:7] + held[150:225])
    assert world.check().violated == []
    slabs = slab_pages(world)
    shared = [page for page in slabs if not world.mem[page + PAGE.slab_cache]]
    free_units = [sum(units for _, units in blocks(world.kworker, page)) for page in shared]
    found = page_census(world.kworker, world.layout)
    assert 0 < found.pop("free_bytes_at_peak") < 4096 * len(most)
    assert found == {
        **{f"pages_{name}": len(list(pages(world.kworker, name))) for name in ("small", "medium", "large")},
        "pages_full": free_units.count(0),
        "pages_of_large_objects": sum(1 << world.mem[page + PAGE.order] for page in slabs if page not in shared),
        "free_bytes": 2 * sum(free_units),
        "peak_pages": len(most),
    }
    assert all(number for name, number in found.items() if name != "pages_medium") and len(most) > len(shared)
