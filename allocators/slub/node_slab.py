"""SLUB without CPU slabs (v7.0; F_NOCPUSLAB): one object, or a chain of them, to and from a slab of a node.

A slab is on its node's partial list, full, or off the list in the hand of one who refills a sheaf from it. It has no
CPU. `PAGE.prev` says which: OFF_LIST, or a link (a kernel has the flag SL_partial). It is written under list_lock,
and read under it. A slab that is found full is on no list, so that free puts it there; a slab in a refiller's hand
is left to that.

Whoever may change on which list a slab is (it was full, or is empty now) takes list_lock before the swap of the page
pair, and drops it when the swap fails.
"""

from __future__ import annotations

from allocators.core.kmem_cache import CACHE, NODE, node_of
from allocators.core.page_alloc import PAGE, address_of, head_of
from allocators.core.page_pair import freelist_of, inuse_of, objects_of, page_pair
from allocators.core.world import OPS, WORLD, count, world
from allocators.slub.alloc import NO_NODE, new_slab, searches_other_nodes, this_node
from allocators.slub.discard import discard_slab
from allocators.slub.partial import add_partial, enough_partial, remove_partial
from allocators.slub.state import OFF_LIST, STAT, cas_page, stat
from shm.atomics import fetch_add, load, local_irq_restore, local_irq_save, read_once, store, write_once
from shm.compiler import dual, dual_slow
from shm.locks import LIST_LOCK, spin_lock, spin_trylock, spin_unlock
from shm.machine import Machine

LOOK_AHEAD = 3  # objects of other slabs that are passed while a chain is gathered


@dual
def take_off(m: Machine, n: int, page: int) -> None:
    """A slab leaves its node's list; list_lock held."""
    remove_partial(m, n, page)
    store(m, page + PAGE.prev, OFF_LIST)


@dual
def lock_node(m: Machine, n: int, other: bool) -> bool:
    """Take list_lock, interrupts off. F_REMOTETRY: of another node only if it is free."""
    if m.has("F_REMOTETRY") and other:
        return spin_trylock(m, n + NODE.list_lock, LIST_LOCK)
    spin_lock(m, n + NODE.list_lock, LIST_LOCK)
    return True


@dual_slow
def free_chain(m: Machine, s: int, page: int, head: int, tail: int, objects: int) -> None:
    """__slab_free: so many objects of one slab, linked from `head` to `tail`, go back to it."""
    offset = load(m, s + CACHE.offset)
    n = 0
    flags = 0
    listed = False
    while True:
        if n:
            spin_unlock(m, n + NODE.list_lock)
            local_irq_restore(m, flags)
            n = 0
        old = read_once(m, page + PAGE.pair)
        prior = freelist_of(old)
        store(m, tail + offset, prior)
        new = (head << 32) | ((old & 0xFFFFFFFF) - objects)
        if prior == 0 or inuse_of(new) == 0:
            n = node_of(m, s, load(m, page + PAGE.node))
            flags = local_irq_save(m)
            spin_lock(m, n + NODE.list_lock, LIST_LOCK)
            listed = load(m, page + PAGE.prev) != OFF_LIST
        if cas_page(m, s, page, old, new):
            break
    if n == 0:
        return
    discard = False
    if prior and not listed:
        pass  # who has it in hand sees to it
    elif inuse_of(new) == 0 and enough_partial(m, s, n):
        discard = True
        if prior:
            take_off(m, n, page)
            stat(m, s, STAT.free_remove_partial)
    elif prior == 0:
        add_partial(m, n, page, True)
        stat(m, s, STAT.free_add_partial)
    spin_unlock(m, n + NODE.list_lock)
    local_irq_restore(m, flags)
    if discard:
        stat(m, s, STAT.free_slab)
        discard_slab(m, s, page)


@dual
def free_one(m: Machine, s: int, page: int, obj: int) -> None:
    """A user's free that goes by the sheaves."""
    count(m, OPS.slow)
    stat(m, s, STAT.free_slowpath)
    free_chain(m, s, page, obj, obj, 1)


@dual
def free_last(m: Machine, s: int, array: int, held: int) -> int:
    """build_detached_freelist: the last of `held` objects of an array goes back to its slab, and with it those of the
    same slab that a short look ahead finds. Returns how many are left.
    """
    offset = load(m, s + CACHE.offset)
    held -= 1
    tail = load(m, array + held)
    page = head_of(m, tail)
    head = tail
    objects = 1
    look = LOOK_AHEAD
    i = held
    while i > 0 and look > 0:
        i -= 1
        obj = load(m, array + i)
        if head_of(m, obj) == page:
            store(m, obj + offset, head)
            head = obj
            objects += 1
            held -= 1
            store(m, array + i, load(m, array + held))
        else:
            look -= 1
    free_chain(m, s, page, head, tail, objects)
    return held


@dual
def _one_from_node(m: Machine, s: int, n: int, other: bool) -> int:
    """get_from_partial_node: one object of the first slab of a node; 0 when there is none."""
    if read_once(m, n + NODE.nr_partial) == 0:
        return 0
    obj = 0
    flags = local_irq_save(m)
    if lock_node(m, n, other):
        obj = _first_object(m, s, n)
        spin_unlock(m, n + NODE.list_lock)
    local_irq_restore(m, flags)
    return obj


@dual
def try_one_from_node(m: Machine, s: int, n: int) -> int:
    """The same of one who may not spin: 0 also when list_lock is taken."""
    if read_once(m, n + NODE.nr_partial) == 0:
        return 0
    obj = 0
    flags = local_irq_save(m)
    if spin_trylock(m, n + NODE.list_lock, LIST_LOCK):
        obj = _first_object(m, s, n)
        spin_unlock(m, n + NODE.list_lock)
    local_irq_restore(m, flags)
    return obj


@dual
def _first_object(m: Machine, s: int, n: int) -> int:
    """An object of the first slab on a node's list, 0 when that is empty; list_lock held."""
    obj = 0
    page = load(m, n + NODE.first)
    while page and obj == 0:
        after = load(m, page + PAGE.next)
        while True:
            # Others free into it all the while, so it does not become full by anybody but us.
            old = read_once(m, page + PAGE.pair)
            obj = freelist_of(old)
            rest = load(m, obj + load(m, s + CACHE.offset))
            if cas_page(m, s, page, old, (rest << 32) | ((old & 0xFFFFFFFF) + 1)):
                break
        if rest == 0:
            take_off(m, n, page)
        page = after
    return obj


@dual_slow
def alloc_one(m: Machine, s: int, node: int) -> int:
    """The slow path of one object: from a partial slab, else from a new one; 0 when out of memory."""
    count(m, OPS.slow)
    stat(m, s, STAT.alloc_slowpath)
    home = this_node(m) if node == NO_NODE else node
    obj = _one_from_node(m, s, node_of(m, s, home), False)
    nodes = world(m, WORLD.nr_nodes)
    if obj == 0 and node == NO_NODE and nodes > 1 and searches_other_nodes(m):
        for i in range(1, nodes):
            n = node_of(m, s, (home + i) % nodes)
            if read_once(m, n + NODE.nr_partial) > read_once(m, s + CACHE.min_partial):
                obj = _one_from_node(m, s, n, True)
                if obj:
                    break
    if obj == 0:
        page = fresh_slab(m, s, home)
        if page:
            obj = address_of(page)
            open_slab(m, s, page, 1)
    return obj


@dual
def fresh_slab(m: Machine, s: int, node: int) -> int:
    """allocate_slab: a slab that nobody knows, its freelist not made yet; 0 when out of memory."""
    flags = local_irq_save(m)
    page = new_slab(m, s, node)
    if page:
        stat(m, s, STAT.alloc_slab)
    local_irq_restore(m, flags)
    return page


@dual
def open_slab(m: Machine, s: int, page: int, taken: int) -> None:
    """The first `taken` objects of a fresh slab are in use; the others are its freelist, and it goes first on its
    node's list.

    F_REFILL72: the freelist is made of those that are left only.
    """
    offset = load(m, s + CACHE.offset)
    size = load(m, s + CACHE.size)
    objects = objects_of(load(m, page + PAGE.pair))
    obj = address_of(page)
    first = 0
    if m.has("F_REFILL72") or m.has("F_REFILL73"):
        first = taken
    for i in range(first, objects):
        store(m, obj + i * size + offset, obj + (i + 1) * size if i + 1 < objects else 0)
    n = node_of(m, s, load(m, page + PAGE.node))
    fetch_add(m, n + NODE.nr_slabs, 1)
    fetch_add(m, n + NODE.total_objects, objects)
    rest = obj + taken * size if taken < objects else 0
    write_once(m, page + PAGE.pair, page_pair(rest, taken, objects, 0))
    if rest:
        flags = local_irq_save(m)
        spin_lock(m, n + NODE.list_lock, LIST_LOCK)
        add_partial(m, n, page, False)
        spin_unlock(m, n + NODE.list_lock)
        local_irq_restore(m, flags)
