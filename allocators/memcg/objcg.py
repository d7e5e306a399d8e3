"""Owners of single objects: one set of caches for all cgroups, v5.9 (obj_cgroup; feature F_OBJCG).

An accounted object has a pointer to its obj_cgroup in a vector of its slab, made when the slab gets its
first accounted object. An obj_cgroup belongs to a memcg until that goes offline, then to the parent,
here the root cgroup (0): one pointer write, whatever number of objects. It lives as long as an object
or a stock refers to it; the memcg does not.

    OBJCG         references (per CPU until the memcg goes offline, as in allocators.memcg.cache_ref), the memcg
    STOCK         per CPU: bytes that are charged already and not used, for one obj_cgroup (F_STOCK5: for each of five)
    obj_cgroups   a word per page frame: 0 no vector, 1 one is being made, 2 there is one, 3 one could not be had
    owners        a mirror of the page frames: the vector of a slab lies where its words lie, word 0 for
                  object 0; a kernel takes it from kmalloc, so its bytes are counted (`owner_bytes`)

F_OBJCGNODE, 7.1: a memcg has an obj_cgroup for each node, and an allocation takes that of its CPU's node. A stock of
one slot is then drained whenever objects go from node to node. F_STOCKMEMCG: a slot serves all obj_cgroups of its
memcg, so the bytes of one of them are no whole pages, those of all are. F_STOCK5, 7.2: five slots. F_PAGESTOCK: pages
come from the CPU's page stock (allocators.memcg.page_stock); with F_STOCK5 they go there after a free.

Who may write: a STOCK its CPU; an owner word whoever has the object in hand; `memcg` the offline.
Charging never fails: no limit is modelled.

A kernel holds a STOCK with interrupts off (later a local lock), and takes and drops references, and reads `memcg` and
MEMCG.objcg, inside RCU read sections. No interrupt handler here touches any of them, so it is preemption that is
kept off (feature PREEMPT).
"""

from __future__ import annotations

from allocators.core.bugs import BUG_NULL
from allocators.core.injection import vector_alloc_fails
from allocators.core.kmem_cache import CACHE
from allocators.core.page_alloc import PAGE, address_of, head_of
from allocators.core.page_pair import objects_of
from allocators.core.world import (
    MEM_MAP,
    OBJCG,
    OPS,
    PAGE_BYTES,
    PAGE_WORDS,
    STOCK,
    STOCK_AT,
    STOCK_SLOTS,
    STOCK_TURN_AT,
    WORLD,
    WORLD_AT,
    count,
    node_of_cpu,
    world,
)
from allocators.memcg.cache_ref import BIAS
from allocators.memcg.memcontrol import MEMCG, WORK_OBJCG_FREE, kmemcg_id, queue_work
from allocators.memcg.page_stock import charge_memcg, drain_all_stock, refill_stock, try_charge
from shm.atomics import (
    area_of,
    bug,
    cmpxchg,
    cpu_area,
    cpu_relax,
    fetch_add,
    load,
    load_acquire,
    peek_book,
    preempt_disable,
    preempt_enable,
    read_once,
    store,
    store_release,
    this_cpu,
    write_once,
    xchg,
)
from shm.compiler import dual, dual_slow
from shm.cpu_work import work_on_cpus
from shm.cpumask import CPUS_IN_WORD, cpus_from
from shm.machine import CPU, MACHINE, Machine
from shm.rcu import synchronize_sched

POINTER_BYTES = 8
DRAIN_OBJ_STOCK = 4  # work on a CPU (shm.cpu_work), beside page_stock's
NONE, BEING_MADE, MADE, FAILED = 0, 1, 2, 3


@dual
def _part(m: Machine, o: int, cpu: int) -> int:
    """The word that holds a CPU's part of the references."""
    number = (o - world(m, WORLD.objcgs)) // OBJCG.SIZE
    return world(m, WORLD.objcg_refs) + cpu * world(m, WORLD.max_objcgs) + number


@dual
def objcg_get(m: Machine, o: int) -> None:
    """Take a reference."""
    count(m, OPS.objcg_ref)
    if m.has("PREEMPT"):
        preempt_disable(m)
    if read_once(m, o + OBJCG.ref_atomic):
        fetch_add(m, o + OBJCG.refcnt, 1)
    else:
        a = _part(m, o, this_cpu(m))
        store(m, a, load(m, a) + 1)
    if m.has("PREEMPT"):
        preempt_enable(m)


@dual
def objcg_put(m: Machine, o: int) -> None:
    """Drop a reference; the last one has the descriptor freed by a work item."""
    count(m, OPS.objcg_ref)
    if m.has("PREEMPT"):
        preempt_disable(m)
    if read_once(m, o + OBJCG.ref_atomic):
        if fetch_add(m, o + OBJCG.refcnt, -1) == 1:
            queue_work(m, WORK_OBJCG_FREE, o, 0)
    else:
        a = _part(m, o, this_cpu(m))
        store(m, a, load(m, a) - 1)
    if m.has("PREEMPT"):
        preempt_enable(m)


@dual
def _charge_pages(m: Machine, o: int, pages: int) -> None:
    """obj_cgroup_charge_pages; the root cgroup is not charged."""
    if m.has("PREEMPT"):
        preempt_disable(m)
    memcg = read_once(m, o + OBJCG.memcg)
    if memcg:
        try_charge(m, memcg, pages)
    if m.has("PREEMPT"):
        preempt_enable(m)


@dual_slow
def _drain_stock(m: Machine, a: int) -> None:
    """drain_obj_stock, one slot: whole pages go back to the memcg, the rest to the obj_cgroup. Preemption off."""
    o = load(m, a + STOCK.objcg)
    if o == 0:
        return
    count(m, OPS.drain_obj_stock)
    held = load(m, a + STOCK.bytes)
    memcg = read_once(m, o + OBJCG.memcg)
    if held >= PAGE_BYTES and memcg:
        charge_memcg(m, memcg, -(held // PAGE_BYTES))
    if held % PAGE_BYTES:
        fetch_add(m, o + OBJCG.charged, held % PAGE_BYTES)
    write_once(m, a + STOCK.objcg, 0)
    store(m, a + STOCK.bytes, 0)
    objcg_put(m, o)


@dual
def _slot_of(m: Machine, o: int) -> int:
    """The slot of this CPU's stock that serves `o`, 0 when none does. Preemption off."""
    a = cpu_area(m) + STOCK_AT
    if m.has("F_STOCK5"):
        for i in range(STOCK_SLOTS):
            if load(m, a + i * STOCK.SIZE + STOCK.objcg) == o:
                return a + i * STOCK.SIZE
        return 0
    held = load(m, a + STOCK.objcg)
    if held == o:
        return a
    # Racy by intent: while their memcg goes offline one may belong to it and the other not. They are told apart then.
    if m.has("F_STOCKMEMCG") and held and read_once(m, held + OBJCG.memcg) == read_once(m, o + OBJCG.memcg):
        return a
    return 0


@dual
def _new_slot(m: Machine, o: int) -> int:
    """A slot for `o`, which has none: an empty one, else what is in the next in turn is drained. Preemption off."""
    a = cpu_area(m) + STOCK_AT
    if m.has("F_STOCK5"):
        i = 0
        while i < STOCK_SLOTS and load(m, a + i * STOCK.SIZE + STOCK.objcg):
            i += 1
        if i == STOCK_SLOTS:
            turn = cpu_area(m) + STOCK_TURN_AT
            i = load(m, turn)
            store(m, turn, (i + 1) % STOCK_SLOTS)
        a += i * STOCK.SIZE
    _drain_stock(m, a)
    objcg_get(m, o)
    write_once(m, a + STOCK.objcg, o)
    store(m, a + STOCK.bytes, xchg(m, o + OBJCG.charged, 0))
    return a


@dual
def _refill_stock(m: Machine, o: int, size: int, freed: bool) -> None:
    """refill_obj_stock: bytes that were charged for `o` and are not used. freed: an object had them.

    More than a page drains the slot. F_STOCK5: after a free whole pages go back, and the slot stays.
    """
    if m.has("PREEMPT"):
        preempt_disable(m)
    a = _slot_of(m, o)
    if a == 0:
        a = _new_slot(m, o)
    store(m, a + STOCK.bytes, load(m, a + STOCK.bytes) + size)
    held = load(m, a + STOCK.bytes)
    if held > PAGE_BYTES:
        if not m.has("F_STOCK5"):
            _drain_stock(m, a)
        elif freed:
            store(m, a + STOCK.bytes, held % PAGE_BYTES)
            memcg = read_once(m, o + OBJCG.memcg)
            if memcg:
                refill_stock(m, memcg, held // PAGE_BYTES)
    if m.has("PREEMPT"):
        preempt_enable(m)


@dual
def _charge(m: Machine, o: int, size: int) -> None:
    """obj_cgroup_charge: from the stock, or whole pages, whose rest goes to the stock."""
    if m.has("PREEMPT"):
        preempt_disable(m)
    a = _slot_of(m, o)
    enough = a != 0 and load(m, a + STOCK.bytes) >= size
    if enough:
        store(m, a + STOCK.bytes, load(m, a + STOCK.bytes) - size)
    if m.has("PREEMPT"):
        preempt_enable(m)
    if enough:
        return
    pages = (size + PAGE_BYTES - 1) // PAGE_BYTES
    _charge_pages(m, o, pages)
    if pages * PAGE_BYTES > size:
        _refill_stock(m, o, pages * PAGE_BYTES - size, False)


@dual
def _word_of(m: Machine, memcg: int, node: int) -> int:
    """The word that has a memcg's obj_cgroup for a node."""
    if m.has("F_OBJCGNODE"):
        return world(m, WORLD.node_objcgs) + kmemcg_id(m, memcg) * world(m, WORLD.nr_nodes) + node
    return memcg + MEMCG.objcg


@dual
def _objcgs_of_a_memcg(m: Machine) -> int:
    """F_OBJCGNODE: one for each node."""
    if m.has("F_OBJCGNODE"):
        return world(m, WORLD.nr_nodes)
    return 1


@dual
def _node_here(m: Machine) -> int:
    """The node whose obj_cgroup an allocation takes: its CPU's, wherever the slab will be."""
    if m.has("F_OBJCGNODE"):
        return node_of_cpu(m, this_cpu(m))
    return 0


@dual
def full_size(m: Machine, s: int) -> int:
    """obj_full_size: bytes that one object is charged, its owner pointer included."""
    return load(m, s + CACHE.size) * 8 + POINTER_BYTES


@dual
def pre_alloc(m: Machine, s: int, memcg: int) -> int:
    """memcg_slab_pre_alloc_hook: charge one object; the obj_cgroup, or 0 for the root cgroup."""
    if memcg == 0:
        return 0
    if m.has("PREEMPT"):
        preempt_disable(m)
    o = load_acquire(m, _word_of(m, memcg, _node_here(m)))
    if o:
        objcg_get(m, o)
    if m.has("PREEMPT"):
        preempt_enable(m)
    if o:
        _charge(m, o, full_size(m, s))
    return o


@dual
def post_alloc(m: Machine, s: int, o: int, obj: int) -> None:
    """memcg_slab_post_alloc_hook: the object gets its owner, or the charge goes back.

    An object whose slab can have no vector is not accounted.
    """
    page = head_of(m, obj) if obj else 0
    owned = obj != 0
    if owned and load_acquire(m, world(m, WORLD.obj_cgroups) + (page - MEM_MAP) // PAGE.SIZE) != MADE:
        owned = _make_vector(m, page)
    if owned:
        objcg_get(m, o)
        store(m, _owner_word(m, s, page, obj), o)
    else:
        _refill_stock(m, o, full_size(m, s), True)
    objcg_put(m, o)


@dual
def before_free(m: Machine, s: int, obj: int, page: int) -> None:
    """memcg_slab_free_hook: uncharge the object and drop its owner."""
    if load_acquire(m, world(m, WORLD.obj_cgroups) + (page - MEM_MAP) // PAGE.SIZE) != MADE:
        return
    owner = _owner_word(m, s, page, obj)
    o = load(m, owner)
    if o:
        if m.has("STATS") and peek_book(m, o + OBJCG.offline):
            count(m, OPS.dead_free)
        count(m, OPS.owned_free)
        store(m, owner, 0)
        _refill_stock(m, o, full_size(m, s), True)
        objcg_put(m, o)


@dual
def _owner_word(m: Machine, s: int, page: int, obj: int) -> int:
    start = address_of(page)
    return (
        world(m, WORLD.owners)
        + start
        - world(m, WORLD.first_frame) * PAGE_WORDS
        + (obj - start) // load(m, s + CACHE.size)
    )


@dual_slow
def _make_vector(m: Machine, page: int) -> bool:
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


@dual
def create_objcg(m: Machine, memcg: int) -> bool:
    """memcg_online_kmem; False when too few descriptors are left. memcg_slab_mutex held."""
    nodes = _objcgs_of_a_memcg(m)
    left = load(m, WORLD_AT + WORLD.objcg_free)
    for _ in range(nodes - 1):
        if left:
            left = load(m, left + OBJCG.next_free)
    if left == 0:
        return False
    for node in range(nodes):
        o = load(m, WORLD_AT + WORLD.objcg_free)
        store(m, WORLD_AT + WORLD.objcg_free, load(m, o + OBJCG.next_free))
        store(m, o + OBJCG.next_free, 0)
        store(m, o + OBJCG.memcg, memcg)
        store(m, o + OBJCG.charged, 0)
        store(m, o + OBJCG.offline, 0)
        store(m, o + OBJCG.ref_atomic, 0)
        store(m, o + OBJCG.refcnt, 1)
        store(m, o + OBJCG.used, 1)
        store_release(m, _word_of(m, memcg, node), o)
    return True


@dual
def _end_kill(m: Machine, o: int) -> None:
    """The references that CPUs counted are added up, and the memcg's own one goes. After a grace period."""
    total = -1 - BIAS
    for cpu in range(load(m, MACHINE.nr_cpus)):
        a = _part(m, o, cpu)
        total += load(m, a)
        store(m, a, 0)
    if fetch_add(m, o + OBJCG.refcnt, total) == -total:
        queue_work(m, WORK_OBJCG_FREE, o, 0)


@dual
def reparent_objcg(m: Machine, memcg: int) -> None:
    """memcg_reparent_objcgs: a pointer write for each obj_cgroup, and the memcg's own references go. Kworker only.

    F_PAGESTOCK: then the CPUs' page stocks give up what they have for the memcg. Interrupts and preemption on.
    """
    nodes = _objcgs_of_a_memcg(m)
    moved = 0  # the first of those moved, linked by next_free
    for node in range(nodes):
        word = _word_of(m, memcg, node)
        o = load(m, word)
        store_release(m, word, 0)
        write_once(m, o + OBJCG.offline, 1)
        write_once(m, o + OBJCG.memcg, 0)
        fetch_add(m, o + OBJCG.refcnt, BIAS)
        write_once(m, o + OBJCG.ref_atomic, 1)
        store(m, o + OBJCG.next_free, moved)
        moved = o
    synchronize_sched(m)
    # Nobody charges to the memcg any more; what it was charged is charged to the root cgroup now.
    if m.has("F_PAGESTOCK"):
        drain_all_stock(m, memcg)
    if m.has("F_STOCKLOOK") or m.has("F_BUG_STOCKLOOK"):
        _drain_other_stocks(m, memcg)
    store(m, memcg + MEMCG.kmem, 0)
    while moved:
        after = load(m, moved + OBJCG.next_free)
        store(m, moved + OBJCG.next_free, 0)
        _end_kill(m, moved)
        moved = after


@dual
def _stock_is_of(m: Machine, a: int, memcg: int) -> bool:
    """obj_stock_flush_required: is a slot of another CPU's stock for this memcg? Its CPU may drain it meanwhile.

    F_BUG_STOCKLOOK (5.9 to 6.3): the pointer is read once to test it and once to follow it.
    """
    o = read_once(m, a + STOCK.objcg)
    if o == 0:
        return False
    if m.has("F_BUG_STOCKLOOK"):
        o = read_once(m, a + STOCK.objcg)
        if o == 0:
            bug(m, BUG_NULL, a)
    return read_once(m, o + OBJCG.memcg) == memcg


@dual
def _drain_other_stocks(m: Machine, memcg: int) -> None:
    """drain_all_stock, its part for the stocks of objects; waits. Interrupts and preemption on.

    At an offline what was the memcg's is its parent's already, so it finds none.
    """
    for first in range(0, load(m, MACHINE.nr_cpus), CPUS_IN_WORD):
        mask = 0
        for i in range(cpus_from(m, first)):
            for slot in range(STOCK_SLOTS if m.has("F_STOCK5") else 1):
                a = area_of(m, first + i) + STOCK_AT + slot * STOCK.SIZE
                if _stock_is_of(m, a, memcg) and read_once(m, area_of(m, first + i) + CPU.online):
                    mask |= 1 << i
        if mask:
            work_on_cpus(m, first, mask, DRAIN_OBJ_STOCK, memcg)


@dual
def drain_local_obj_stock(m: Machine) -> None:
    """Every slot of this CPU's stock goes back. Preemption off."""
    for slot in range(STOCK_SLOTS if m.has("F_STOCK5") else 1):
        _drain_stock(m, cpu_area(m) + STOCK_AT + slot * STOCK.SIZE)


@dual
def free_objcg(m: Machine, o: int) -> None:
    """obj_cgroup_release: what its stocks left of a page each is whole pages together. memcg_slab_mutex held.

    F_STOCKMEMCG: together with those of other obj_cgroups that have the same parent.
    """
    if m.has("F_STOCKMEMCG"):
        left = WORLD_AT + WORLD.objcg_left_over
        store(m, left, load(m, left) + load(m, o + OBJCG.charged))
    store(m, o + OBJCG.used, 0)
    store(m, o + OBJCG.next_free, load(m, WORLD_AT + WORLD.objcg_free))
    store(m, WORLD_AT + WORLD.objcg_free, o)
