"""Books that must balance: references and charges of children and memcgs, and the statistics."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from allocators.catalogue import SHEAF_STATISTICS
from allocators.core.world import (
    CACHES_AT,
    KMEM_CACHE_CPU_WORDS,
    OPS,
    OPS_AT,
    PAGE_STOCK,
    PAGE_STOCK_AT,
    PAGE_STOCK_SLOTS,
    STAT_WORDS,
    WORLD,
    WORLD_AT,
)
from allocators.invariants.rcu import queued
from allocators.invariants.sheaves import sheaved
from allocators.invariants.snapshot import Snapshot
from allocators.memcg.cache_ref import BIAS
from allocators.memcg.memcontrol import (
    RCU_REPARENT_SLABS,
    RCU_UNREGISTER,
    WORK_CREATE_CHILD,
    WORK_CSS_FREE,
    WORK_REPARENT_SLABS,
    WORK_SHRINK_OR_DESTROY,
    WORK_UNREGISTER,
)
from allocators.memcg.page_stock import BATCH
from allocators.slub.state import STATISTICS
from shm.layout import view


def page_stocks(w: Snapshot) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """By memcg: slots that the CPUs' page stocks have for it, pages in them; and what is wrong with a slot."""
    slots, pages = np.zeros(len(w.memcgs), np.int64), np.zeros(len(w.memcgs), np.int64)
    wrong: list[str] = []
    if not w.m.has("F_PAGESTOCK"):
        return slots, pages, wrong
    least = 1 if w.m.has("F_PAGESTOCKPUT") else 0
    for cpu in range(w.layout.nr_cpus):
        seen = set()
        stock = view(w.words, PAGE_STOCK, w.area(cpu) + PAGE_STOCK_AT, PAGE_STOCK_SLOTS)
        for slot, (word, kept) in enumerate(stock.tolist()):
            memcg = int(w.memcg_ids(np.array(word, np.int64)))
            if word and (memcg < 0 or not w.memcgs["used"][memcg] or word in seen):
                wrong.append(
                    f"the page stock of CPU {cpu}: slot {slot} is for word {word}, which is no memcg or twice there"
                )
            elif word:
                slots[memcg] += 1
                pages[memcg] += kept
            if not (least <= kept <= BATCH if word else kept == 0):
                wrong.append(f"the page stock of CPU {cpu}: slot {slot} has {kept} pages for word {word}")
            seen.add(word)
    return slots, pages, wrong


def references(w: Snapshot) -> Iterator[str]:
    """refcnt = slabs (P1; else pages) + 1 while online (P2, F_REPARENT: with the parts of the CPUs;
    F_REPARENT_SLABS: 1, then a bias more until it is given up, then 0); kmem = pages charged;
    css = online + children + queued creations + 1 while dead with charges (F_CSS: online + pages charged
    + queued creations; F_PAGESTOCK: + slots of page stocks); nothing is at 0 unnoticed."""
    pages = 1 << w.order
    known = w.cache >= 0
    weights = np.ones(len(pages)) if w.m.has("P1") else pages
    held = np.bincount(w.cache[known], weights[known], len(w.caches)).astype(np.int64)
    children = w.live_caches[w.caches["root"][w.live_caches] != 0]
    by_reference = w.m.has("P2") or w.m.has("F_REPARENT")
    on = (w.caches["offline"][children] == 0) & by_reference
    parts = w.cpu_slabs["ref"].sum(axis=0)
    if w.m.has("F_REPARENT") or w.m.has("F_REPARENT_SLABS"):
        refcnt = w.caches["refcnt"][children] + parts[children]
        for cache in children[(w.caches["ref_atomic"][children] != 0) != (w.caches["offline"][children] != 0)]:
            yield f"{w.cache_name(cache)}: ref_atomic is {w.caches['ref_atomic'][cache]}"
        settled = children[(w.caches["ref_atomic"][children] != 0) & (w.caches["refcnt"][children] < BIAS)]
    else:
        refcnt = w.caches["refcnt"][children]
        settled = w.live_caches
    for cache in settled[parts[settled] != 0]:
        yield f"{w.cache_name(cache)}: {parts[cache]} references are counted per CPU"
    unit = "slabs" if w.m.has("P1") else "pages"
    if w.m.has("F_REPARENT_SLABS"):
        yield from _of_frees(w, children, refcnt)
        refcnt = held[children]
    for i in np.flatnonzero(refcnt != held[children] + on):
        yield (
            f"{w.cache_name(children[i])}: refcnt is {refcnt[i]}, it has {held[children[i]]} "
            f"{unit}{' and is online' if on[i] else ''}"
        )
    if by_reference:
        doomed = _asked(w, children, "workqueue", WORK_UNREGISTER) | _asked(w, children, "rcu_queue", RCU_UNREGISTER)
        for cache in children[(refcnt == 0) & ~doomed]:
            yield f"{w.cache_name(cache)}: refcnt is 0, and its destruction is not queued"
    if w.m.has("F_WORK"):
        scheduled = _asked(w, children, "workqueue", WORK_SHRINK_OR_DESTROY)
        for cache in children[(w.caches["work_pending"][children] != 0) != scheduled]:
            yield (
                f"{w.cache_name(cache)}: work_pending is {w.caches['work_pending'][cache]}, and its work is "
                f"{'not ' if w.caches['work_pending'][cache] else ''}queued"
            )
        for cache in children[(refcnt == 0) & (w.caches["dead"][children] != 0) & ~scheduled]:
            yield f"{w.cache_name(cache)}: refcnt is 0, and its destruction is not queued"
    owner = w.memcg_ids(w.caches["memcg"][children])
    rooted = (w.caches["offline"][children] != 0) & (w.caches["memcg"][children] == 0) & w.m.has("F_REPARENT")
    for i in np.flatnonzero((owner < 0) & ~rooted):
        yield f"{w.cache_name(children[i])} belongs to word {w.caches['memcg'][children[i]]}, which is no memcg"
    yield from _memcgs(w, children[owner >= 0], owner[owner >= 0])


def _queued_for(w: Snapshot, ring: str, func: int) -> np.ndarray:
    """The words that a ring's items of this function are for."""
    return np.array([a for f, a, _ in queued(w.mem, w.layout, ring) if f == func], np.int64)


def _asked(w: Snapshot, children: np.ndarray, ring: str, func: int) -> np.ndarray:
    """By child: has a ring an item of this function for it?"""
    return np.isin(children, w.cache_ids(_queued_for(w, ring, func)))


def _of_frees(w: Snapshot, children: np.ndarray, refcnt: np.ndarray) -> Iterator[str]:
    """F_REPARENT_SLABS: at rest no free holds a reference, and what the offline began is queued."""
    killed = _asked(w, children, "rcu_queue", RCU_REPARENT_SLABS)
    moving = _asked(w, children, "workqueue", WORK_REPARENT_SLABS)
    offline = w.caches["offline"][children] != 0
    expected = np.where(offline, np.where(killed, 1 + BIAS, 0), 1)
    for i in np.flatnonzero(refcnt != expected):
        yield (
            f"{w.cache_name(children[i])}: refcnt is {refcnt[i]}, and no free is under way that holds a reference: "
            f"{expected[i]} is right"
        )
    for cache in children[offline & ~killed & ~moving]:
        yield f"{w.cache_name(cache)}: it is given up, and its re-parenting is not queued"


def _memcgs(w: Snapshot, children: np.ndarray, owner: np.ndarray) -> Iterator[str]:
    memcg_of = np.full(len(w.caches), -1)
    memcg_of[children] = owner
    payer = np.where(w.cache >= 0, memcg_of[w.cache], -1)
    charged = np.bincount(payer[payer >= 0], (1 << w.order)[payer >= 0], len(w.memcgs)).astype(np.int64)
    count = np.bincount(owner, minlength=len(w.memcgs))
    creations = w.memcg_ids(_queued_for(w, "workqueue", WORK_CREATE_CHILD))
    waiting = np.bincount(creations[creations >= 0], minlength=len(w.memcgs))
    freed = w.memcg_ids(_queued_for(w, "workqueue", WORK_CSS_FREE)).tolist()
    by_page = w.m.has("F_CSS")
    stocks, _, _ = page_stocks(w)
    for i in np.flatnonzero(w.memcgs["used"]):
        g = w.memcgs[i]
        name = f"memcg {i} (cgroup {g['cgroup']}, {'online' if g['online'] else 'offline'})"
        if g["kmem"] != charged[i] and not w.m.has("F_OBJCG"):
            yield f"{name}: kmem is {g['kmem']}, its children have {charged[i]} pages"
        if g["kmem_dead"] != (not g["online"] and g["kmem"] != 0 and not by_page and not w.m.has("F_OBJCG")):
            yield f"{name}: kmem_dead is {g['kmem_dead']} with {g['kmem']} pages charged"
        holders = charged[i] if by_page else count[i]
        expected = g["online"] + holders + waiting[i] + g["kmem_dead"] + stocks[i]
        if g["css"] != expected:
            yield (
                f"{name}: css is {g['css']}, not {expected} = {g['online']} online + {holders} "
                f"{'pages charged' if by_page else 'children'} + "
                f"{waiting[i]} queued creations + {g['kmem_dead']} for charges of the dead + {stocks[i]} page stocks"
            )
        elif expected == 0 and i not in freed:
            yield f"{name}: css is 0, and its descriptor is not queued to be freed"


def totals(w: Snapshot, statistics: Sequence[str]) -> tuple[dict[str, int], dict[str, int]]:
    """The statistics of all caches that are or ever were, and the operations; by name, over all CPUs.

    statistics: the allocator's names, in the order of their words.
    """
    # A free that v1 lets outlive its cache (R1) counts in a descriptor that is free already: sum all.
    caches = w.layout.limits.caches
    at = CACHES_AT + caches * KMEM_CACHE_CPU_WORDS
    areas = [w.area(cpu) for cpu in range(w.layout.nr_cpus)]
    retired = w.layout.plan["retired"]
    total = w.words[retired:][:STAT_WORDS].copy()
    for area in areas:
        total += w.words[area + at :][: caches * STAT_WORDS].reshape(caches, STAT_WORDS).sum(axis=0)
    ops = {name: sum(w.mem[a + OPS_AT + getattr(OPS, name)] for a in areas) for name in OPS._fields if name != "SIZE"}
    return dict(zip(statistics, total.tolist())), ops


def unbalanced(*books: tuple[str, int, int]) -> Iterator[str]:
    """The sentences of those books, (sentence, left side, right side), whose sides differ."""
    for text, left, right in books:
        if left != right:
            yield text.format(left, right)


def _of_slabs(s: dict[str, int], ops: dict[str, int]) -> list[tuple[str, int, int]]:
    """Before sheaves: every allocation and free is one of the CPU slab's or a slow one."""
    return [
        (
            "free_fastpath + free_slowpath is {}, there were {} frees",
            s["free_fastpath"] + s["free_slowpath"],
            ops["free"],
        ),
        (
            "alloc_fastpath + alloc_slowpath is {}, there were {} allocations, failed ones included",
            s["alloc_fastpath"] + s["alloc_slowpath"],
            ops["alloc"] + ops["alloc_failed"],
        ),
    ]


def _of_sheaves(w: Snapshot, s: dict[str, int], ops: dict[str, int]) -> list[tuple[str, int, int]]:
    """6.18 counts sheaves beside SLUB, which takes the refill's and the flush's objects; a refill that fails has asked
    SLUB for one object more. 7.0 counts users only: what sheaves serve is the fast path."""
    popped, pushed = ("alloc_pcs", "free_pcs")
    taken, given = ops["alloc"] + ops["alloc_failed"], ops["free"]
    if w.m.has("F_NOCPUSLAB"):
        popped, pushed = ("alloc_fastpath", "free_fastpath")
        laws = [
            (
                "alloc_fastpath + alloc_slowpath is {}, there were {} allocations, failed ones included",
                s["alloc_fastpath"] + s["alloc_slowpath"],
                taken,
            ),
            (
                "free_fastpath + free_slowpath + free_rcu_sheaf is {}, there were {} frees",
                s["free_fastpath"] + s["free_slowpath"] + s["free_rcu_sheaf"],
                given,
            ),
        ]
    else:
        laws = [
            (
                "free_fastpath + free_slowpath + free_pcs + free_rcu_sheaf - sheaf_flush is {}, there were {} frees",
                s["free_fastpath"] + s["free_slowpath"] + s["free_pcs"] + s["free_rcu_sheaf"] - s["sheaf_flush"],
                given,
            ),
            (
                "alloc_fastpath + alloc_slowpath + alloc_pcs - sheaf_refill is {}, there were {} allocations, failed "
                "ones and refills that failed included",
                s["alloc_fastpath"] + s["alloc_slowpath"] + s["alloc_pcs"] - s["sheaf_refill"],
                taken + ops["refill_failed"],
            ),
        ]
    leaks = w.m.has("F_NOCPUSLAB") and not w.m.has("F_REFILLFLUSH")
    if not (leaks and ops["refill_failed"]):
        # An object of a cache that was destroyed was flushed before.
        laws.append(
            (
                f"{pushed} + free_rcu_sheaf + sheaf_refill - {popped} - sheaf_flush is {{}}, sheaves hold {{}} objects",
                s[pushed] + s["free_rcu_sheaf"] + s["sheaf_refill"] - s[popped] - s["sheaf_flush"],
                len(sheaved(w)),
            )
        )
    return laws


def conservation(w: Snapshot) -> Iterator[str]:
    """Conservation of objects, slabs and pages over all caches that are or ever were."""
    s, ops = totals(w, (*STATISTICS, *SHEAF_STATISTICS))
    discarded = w.mem[WORLD_AT + WORLD.shrink_discarded]
    blocks, slabs = len(w.frames), int(np.count_nonzero(~w.discarded))
    yield from unbalanced(
        (
            "alloc_slab - free_slab - slabs discarded by shrink is {}, there are {} slabs",
            s["alloc_slab"] - s["free_slab"] - discarded,
            slabs,
        ),
        ("blocks allocated - blocks freed is {}, slabs have {}", ops["page_alloc"] - ops["page_free"], blocks),
        *(_of_sheaves(w, s, ops) if w.m.has("F_SHEAF") else _of_slabs(s, ops)),
        (
            "objects live by the caches' counts are {}, allocations - frees is {}",
            int(w.caches["live"][w.live_caches].sum()),
            ops["alloc"] - ops["free"],
        ),
    )
    if s["free_remove_partial"] > s["free_slab"]:
        yield f"free_remove_partial is {s['free_remove_partial']}, more than free_slab, {s['free_slab']}"
    if s["free_slowpath"] < s["free_frozen"] + s["cpu_partial_free"]:
        yield (
            f"free_slowpath is {s['free_slowpath']}, less than free_frozen {s['free_frozen']} + cpu_partial_free "
            f"{s['cpu_partial_free']}"
        )
    if w.live_objects is not None and len(w.live_objects) != ops["alloc"] - ops["free"]:
        yield f"{len(w.live_objects)} objects are handed out, allocations - frees is {ops['alloc'] - ops['free']}"
