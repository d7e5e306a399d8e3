"""Who knows whom: lists of descriptors, slot arrays, tables; and the machine's own state at rest."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from allocators.core.bugs import BUGS
from allocators.core.kmem_cache import CACHE, CACHE_LIVE
from allocators.core.page_alloc import ZONE
from allocators.core.world import WORLD, WORLD_AT
from allocators.invariants.snapshot import Snapshot
from allocators.memcg.memcontrol import MEMCG, SLOT_PENDING
from shm.machine import CPU, MACHINE
from shm.ring import RING


def registry(w: Snapshot) -> Iterator[str]:
    """slab_caches and the free list hold every descriptor once; slots, children and tables point to
    live caches that point back; offlined = destroyed + those that are left."""
    listed, problem = _follow(w, w.mem[WORLD_AT + WORLD.slab_caches], CACHE.next, CACHE.prev)
    if problem:
        yield f"slab_caches {problem}"
    free, broken = _follow(w, w.mem[WORLD_AT + WORLD.cache_free], CACHE.next)
    if broken:
        yield f"the list of free cache descriptors {broken}"
    state = w.caches["state"]
    for caches, name, right in ((listed, "slab_caches", CACHE_LIVE), (free, "the list of free descriptors", 0)):
        wrong = [i for i in caches if state[i] != right]
        if wrong:
            yield f"cache {wrong[0]} is on {name} and its state is {state[wrong[0]]}"
    if not problem and not broken:
        for i in sorted(set(range(len(state))) - set(listed) - set(free)):
            yield f"{w.cache_name(i)} is on no list (state {state[i]})"
        counted = w.mem[WORLD_AT + WORLD.nr_caches]
        if counted != len(listed):
            yield f"nr_caches is {counted}, slab_caches has {len(listed)}"
    yield from _slots(w)
    yield from _children(w)
    yield from _memcg_lists(w)
    yield from _table(w)
    offlined, destroyed = (w.mem[WORLD_AT + f] for f in (WORLD.offlined, WORLD.destroyed))
    left = int(np.count_nonzero(w.caches["offline"][w.live_caches]))
    if offlined != destroyed + left:
        yield f"{offlined} caches went offline, {destroyed} of them were destroyed and {left} are left"


def _follow(w: Snapshot, s: int, forward: int, back: int = 0) -> tuple[list[int], str]:
    """Descriptor numbers along a list, and what is wrong with it ("" when nothing is)."""
    seen: dict[int, None] = {}
    before = 0
    while s:
        i = w.cache_id(s)
        if i < 0:
            return list(seen), f"leads to word {s}, which is no cache descriptor"
        if i in seen:
            return list(seen), f"comes back to cache {i}"
        if back and w.mem[s + back] != before:
            return list(seen), f"has cache {i} with prev {w.mem[s + back]}, its predecessor is {before}"
        seen[i] = None
        before, s = s, w.mem[s + forward]
    return list(seen), ""


def _slots(w: Snapshot) -> Iterator[str]:
    """Slots of live root caches lead to children that know them; children are in their slots."""
    base, size = w.layout.plan.regions["slots"]
    memcgs = w.layout.limits.memcgs
    is_child = w.caches["root"][w.live_caches] != 0
    # F_CSS, F_REPARENT, F_REPARENT_SLABS: the offline takes a child out of its slot; F_REPARENT: its memcg is the root
    # cgroup then.
    rooted = (w.caches["offline"] != 0) & w.m.has("F_REPARENT")
    unpublished = (w.caches["offline"] != 0) & (w.m.has("F_CSS") or w.m.has("F_REPARENT_SLABS")) | rooted
    at = w.caches["slots"] - base
    sound = (at >= 0) & (at % memcgs == 0) & (at + memcgs <= size)
    for root in w.live_caches[~is_child]:
        if not sound[root]:
            yield f"{w.cache_name(root)}: its slot array is said to be at word {w.caches['slots'][root]}"
            continue
        slots = w.words[base + at[root] :][:memcgs]
        taken = np.flatnonzero((slots != 0) & (slots != SLOT_PENDING))
        child = w.cache_ids(slots[taken])
        right = (
            (child >= 0)
            & ~unpublished[child]
            & (w.caches["root"][child] == w.cache_at(root))
            & (w.memcg_ids(w.caches["memcg"][child]) == taken)
        )
        for i, c in zip(taken[~right], child[~right]):
            yield f"{w.cache_name(root)}: slot {i} is word {slots[i]}, {w.cache_name(c)}"
    children = w.live_caches[is_child]
    root, memcg = w.cache_ids(w.caches["root"][children]), w.memcg_ids(w.caches["memcg"][children])
    for child in children[(root < 0) | (memcg < 0) & ~rooted[children]]:
        yield f"{w.cache_name(child)}: its root or its memcg does not exist"
    has_slot = (root >= 0) & (memcg >= 0) & sound[root] & ~unpublished[children]
    for child, slot in zip(children[has_slot], (w.caches["slots"][root] + memcg)[has_slot]):
        if w.words[slot] != w.cache_at(child):
            yield f"{w.cache_name(child)} is not in its slot, which is word {w.words[slot]}"


def _children(w: Snapshot) -> Iterator[str]:
    """Every child is once on the list of its memcg (-1: the root cgroup, to which F_REPARENT moves)."""
    seen = np.zeros(len(w.caches), np.int64)
    lists = [
        (int(i), int(w.memcgs["children"][i]))
        for i in np.flatnonzero((w.memcgs["used"] != 0) & (w.memcgs["children"] != 0))
    ]
    for i, first in [*lists, (-1, w.mem[WORLD_AT + WORLD.reparented])]:
        children, problem = _follow(w, first, CACHE.memcg_next, CACHE.memcg_prev)
        if problem:
            yield f"the children of memcg {i}: the list {problem}"
        seen[children] += 1
        its = np.array(children, np.int64)
        for c in its[(w.caches["state"][its] != CACHE_LIVE) | (w.memcg_ids(w.caches["memcg"][its]) != i)]:
            yield f"{w.cache_name(c)} (state {w.caches['state'][c]}) is among the children of memcg {i}"
    child = w.caches["root"][w.live_caches] != 0
    for c in w.live_caches[seen[w.live_caches] != child]:
        yield f"{w.cache_name(c)} is on {seen[c]} lists of children"


def _memcg_lists(w: Snapshot) -> Iterator[str]:
    """Free memcg descriptors are those not in use; the tallies count the others."""
    used = w.memcgs["used"] != 0
    free, at = set(), w.mem[WORLD_AT + WORLD.memcg_free]
    while at:
        i = int(w.memcg_ids(at))
        if i < 0 or i in free:
            yield f"the list of free memcgs {'leads to word ' + str(at) if i < 0 else 'comes back to ' + str(i)}"
            return
        free.add(i)
        at = w.mem[at + MEMCG.next_free]
    for i in sorted(free ^ set(np.flatnonzero(~used).tolist())):
        yield f"memcg {i} is {'in use and' if used[i] else 'not in use and not'} on the list of free ones"
    online = w.memcgs["online"] != 0
    for field, now in (("cgroups_online", used & online), ("cgroups_offline", used & ~online)):
        counted = w.mem[WORLD_AT + getattr(WORLD, field)]
        if counted != np.count_nonzero(now):
            yield f"{field} is {counted}, there are {np.count_nonzero(now)}"


def _table(w: Snapshot) -> Iterator[str]:
    """The workload's cache indices lead to live caches that know their index."""
    base = w.layout.plan["cache_table"]
    table = w.words[base : base + w.layout.limits.cache_indices]
    for index in np.flatnonzero(table):
        cache = int(w.cache_ids(table[index]))
        if cache < 0 or w.caches["index"][cache] != index:
            yield f"cache index {index} leads to word {table[index]}, {w.cache_name(cache)}"


def locks(w: Snapshot) -> Iterator[str]:
    """At rest nobody holds a lock, and every CPU has interrupts and preemption on."""
    words = [(WORLD_AT + getattr(WORLD, name), name) for name in ("slab_mutex", "memcg_slab_mutex")]
    words += [
        (w.layout.plan["zones"] + n * ZONE.SIZE + ZONE.lock, f"the zone lock of node {n}")
        for n in range(w.layout.limits.nodes)
    ]
    words += [(w.layout.plan[ring] + RING.lock, f"the lock of the {ring}") for ring in ("workqueue", "rcu_queue")]
    words += [(w.area(c) + CPU.ipi_lock, f"the interrupt mailbox of CPU {c}") for c in range(w.layout.nr_cpus)]
    for word, name in words:
        if w.mem[word]:
            yield f"{name} is held by CPU {w.mem[word] - 1}"
    for cache, node in np.argwhere(w.nodes["list_lock"] != 0).tolist():
        yield (
            f"the list_lock of {w.cache_name(cache)}, node {node}, is held by CPU "
            f"{w.nodes['list_lock'][cache, node] - 1}"
        )
    for cpu in range(w.layout.nr_cpus):
        irq, preempt, pending = (w.mem[w.area(cpu) + f] for f in (CPU.irq, CPU.preempt, CPU.ipi_pending))
        if irq or preempt or pending:
            yield f"CPU {cpu} rests with irq {irq}, preempt {preempt} and ipi_pending {pending}"


def bug(w: Snapshot) -> Iterator[str]:
    """No assertion of the allocators has failed."""
    code, value, cpu = (w.mem[a] for a in (MACHINE.bug, MACHINE.bug_value, MACHINE.bug_cpu))
    if code:
        yield f"{BUGS.get(code, f'assertion {code}')} (on CPU {cpu}, value {value})"
