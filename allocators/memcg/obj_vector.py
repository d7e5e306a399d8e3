"""The vector of a slab: a pointer to its obj_cgroup for each object (slab->obj_cgroups, later slabobj_ext).

    obj_cgroups   a word per page frame: 0 no vector, 1 one is being made, 2 there is one, 3 one could not be had
    owners        a mirror of the page frames: the vector of a slab lies where its words lie, word 0 for
                  object 0; a kernel takes it from kmalloc, so its bytes are counted (`owner_bytes`)

Who may write: an owner word whoever has the object in hand.
"""

from __future__ import annotations

from allocators.core.injection import vector_alloc_fails
from allocators.core.kmem_cache import CACHE
from allocators.core.page_alloc import PAGE, address_of
from allocators.core.page_pair import objects_of
from allocators.core.world import MEM_MAP, OPS, PAGE_WORDS, WORLD, WORLD_AT, count, world
from shm.atomics import cmpxchg, cpu_relax, fetch_add, load, load_acquire, read_once, store, store_release, write_once
from shm.compiler import dual, dual_slow
from shm.machine import Machine

POINTER_BYTES = 8
NONE, BEING_MADE, MADE, FAILED = 0, 1, 2, 3


@dual
def owner_word(m: Machine, s: int, page: int, obj: int) -> int:
    start = address_of(page)
    return (
        world(m, WORLD.owners)
        + start
        - world(m, WORLD.first_frame) * PAGE_WORDS
        + (obj - start) // load(m, s + CACHE.size)
    )


@dual_slow
def make_vector(m: Machine, page: int) -> bool:
    """memcg_alloc_page_obj_cgroups; False when there is none.

    Another CPU may have an object of this slab in hand too: one makes it. F_BUG_VECFAIL (6.10 to 6.17): who gets no
    memory for it says so by a plain store, over what another may have made meanwhile.
    """
    state = world(m, WORLD.obj_cgroups) + (page - MEM_MAP) // PAGE.SIZE
    if vector_alloc_fails(m):
        if m.has("F_BUG_VECFAIL"):
            write_once(m, state, FAILED)
        else:
            cmpxchg(m, state, NONE, FAILED)
        return load_acquire(m, state) == MADE
    before = read_once(m, state)
    if (before == NONE or before == FAILED) and cmpxchg(m, state, before, BEING_MADE) == before:
        objects = objects_of(read_once(m, page + PAGE.pair))
        first = world(m, WORLD.owners) + address_of(page) - world(m, WORLD.first_frame) * PAGE_WORDS
        for i in range(objects):
            store(m, first + i, 0)
        count(m, OPS.owner_vector)
        held = fetch_add(m, WORLD_AT + WORLD.owner_bytes, objects * POINTER_BYTES) + objects * POINTER_BYTES
        # Racy by intent: two CPUs that pass the peak at the same time may lose the higher of the two.
        if held > read_once(m, WORLD_AT + WORLD.owner_bytes_peak):
            write_once(m, WORLD_AT + WORLD.owner_bytes_peak, held)
        store_release(m, state, MADE)
    while True:
        now = load_acquire(m, state)
        if now == MADE or now == FAILED:
            return now == MADE
        cpu_relax(m)


@dual
def drop_vector(m: Machine, page: int) -> None:
    """memcg_free_page_obj_cgroups: a slab goes back to the page allocator; no object of it is in use."""
    state = world(m, WORLD.obj_cgroups) + (page - MEM_MAP) // PAGE.SIZE
    if load(m, state) == MADE:
        store(m, state, NONE)
        fetch_add(m, WORLD_AT + WORLD.owner_bytes, -POINTER_BYTES * objects_of(load(m, page + PAGE.pair)))
    elif load(m, state) == FAILED:
        store(m, state, NONE)
