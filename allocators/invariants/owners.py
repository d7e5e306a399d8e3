"""Owners of single objects (F_OBJCG): vectors, references and charges of every obj_cgroup balance."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from allocators.core.world import (
    OBJCG,
    PAGE_BYTES,
    PAGE_WORDS,
    STOCK,
    STOCK_AT,
    STOCK_SLOTS,
    WORLD,
    WORLD_AT,
)
from allocators.invariants.accounting import page_stocks
from allocators.invariants.rcu import queued
from allocators.invariants.sheaves import RCU_PLACE, sheaves_of
from allocators.invariants.snapshot import Snapshot
from allocators.memcg.memcontrol import WORK_OBJCG_FREE
from allocators.memcg.obj_vector import FAILED, MADE, NONE, POINTER_BYTES
from shm.layout import view


def owners(w: Snapshot) -> Iterator[str]:
    """Every owner pointer belongs to an object that is handed out and leads to an obj_cgroup; references
    = objects + stocks + 1 while online; charged pages = objects, stocks and rest to the byte, and page stocks."""
    if not w.m.has("F_OBJCG"):
        return
    plan, count = w.layout.plan, w.layout.objcgs
    objcgs = view(w.words, OBJCG, plan["objcgs"], count)
    states = w.words[plan["obj_cgroups"] : plan["obj_cgroups"] + w.layout.last_frame]
    slab = np.zeros(w.layout.last_frame, bool)
    slab[w.frames] = True
    settled = (states == MADE) | (states == FAILED)
    for frame in np.flatnonzero((states != NONE) & (~settled | ~slab)):
        yield (
            f"frame {frame}: its vector of owners is in state {states[frame]}, and it is "
            f"{'' if slab[frame] else 'no '}slab"
        )
    held, size, vector_bytes = np.zeros(count, np.int64), np.zeros(count, np.int64), 0
    live = None if w.live_objects is None else set(np.asarray(w.live_objects).tolist())
    if live is not None:
        live.update(*(sheaf.objects.tolist() for sheaf in sheaves_of(w) if sheaf.place == RCU_PLACE))
    for i in np.flatnonzero((states[w.frames] == MADE) & (w.cache >= 0)):
        start, objects, stride = int(w.frames[i]) * PAGE_WORDS, int(w.objects[i]), int(w.caches["size"][w.cache[i]])
        vector_bytes += objects * POINTER_BYTES
        first = plan["owners"] + start - w.layout.first_frame * PAGE_WORDS
        for number in np.flatnonzero(w.words[first : first + objects]).tolist():
            owner, rest = divmod(w.mem[first + number] - plan["objcgs"], OBJCG.SIZE)
            if rest or not 0 <= owner < count or not objcgs["used"][owner]:
                yield (
                    f"{w.slab_name(i)}: the owner of object {number} is word {w.mem[first + number]}, which is no "
                    "obj_cgroup"
                )
                continue
            if live is not None and start + number * stride not in live:
                yield f"{w.slab_name(i)}: object {number} has an owner and is not handed out"
            held[owner] += 1
            size[owner] += stride * 8 + POINTER_BYTES
    if vector_bytes != w.mem[WORLD_AT + WORLD.owner_bytes]:
        yield f"owner_bytes is {w.mem[WORLD_AT + WORLD.owner_bytes]}, the vectors have {vector_bytes}"
    yield from _books(w, objcgs, held, size)


def _stocks(w: Snapshot, objcgs: np.ndarray, slots: np.ndarray, stocked: np.ndarray) -> Iterator[str]:
    """Adds up into `slots` and `stocked` what the CPUs' stocks have of each obj_cgroup: slots and bytes."""
    for cpu in range(w.layout.nr_cpus):
        seen = set()
        has = view(w.words, STOCK, w.area(cpu) + STOCK_AT, STOCK_SLOTS if w.m.has("F_STOCK5") else 1)
        for o, kept in has.tolist():
            owner, rest = divmod(o - w.layout.plan["objcgs"], OBJCG.SIZE)
            if o and (rest or not 0 <= owner < len(objcgs) or not objcgs["used"][owner]):
                yield f"the stock of CPU {cpu} is for word {o}, which is no obj_cgroup"
            elif o:
                slots[owner] += 1
                stocked[owner] += kept
            if o in seen:
                yield f"the stock of CPU {cpu} has two slots for word {o}"
            seen |= {o} - {0}
            if kept < 0 or (kept and not o):
                yield f"the stock of CPU {cpu} has {kept} bytes for word {o}"


def _of_memcgs(w: Snapshot) -> np.ndarray:
    """By memcg and node, or just by memcg: its obj_cgroup's word."""
    if w.m.has("F_OBJCGNODE"):
        first, memcgs = w.layout.plan["node_objcgs"], w.layout.limits.memcgs
        return w.words[first : first + memcgs * w.layout.limits.nodes].reshape(memcgs, w.layout.limits.nodes)
    return w.memcgs["objcg"][:, np.newaxis]


def _books(w: Snapshot, objcgs: np.ndarray, held: np.ndarray, size: np.ndarray) -> Iterator[str]:
    plan, count = w.layout.plan, len(objcgs)
    cpus = w.layout.nr_cpus
    parts = w.words[plan["objcg_refs"] : plan["objcg_refs"] + cpus * count].reshape(cpus, count).sum(axis=0)
    stocks, stocked = np.zeros(count, np.int64), np.zeros(count, np.int64)
    yield from _stocks(w, objcgs, stocks, stocked)
    doomed = {a for f, a, _ in queued(w.mem, w.layout, "workqueue") if f == WORK_OBJCG_FREE}
    table = _of_memcgs(w)
    charged = np.zeros(len(w.memcgs), np.int64)  # bytes
    reparented = w.mem[WORLD_AT + WORLD.objcg_left_over]
    for i in np.flatnonzero(objcgs["used"]):
        o = objcgs[i]
        name = f"obj_cgroup {i} ({'of an offline memcg' if o['offline'] else 'online'})"
        expected = held[i] + stocks[i] + (not o["offline"])
        if o["refcnt"] + parts[i] != expected or o["ref_atomic"] != o["offline"] or (o["offline"] and parts[i]):
            yield (
                f"{name}: {o['refcnt']} + {parts[i]} references, not {expected} = {held[i]} objects + {stocks[i]} "
                "stocks + online"
            )
        if expected == 0 and plan["objcgs"] + i * OBJCG.SIZE not in doomed:
            yield f"{name}: it has no reference, and is not queued to be freed"
        mine = int(size[i] + stocked[i] + o["charged"])
        if mine % PAGE_BYTES and not w.m.has("F_STOCKMEMCG"):
            yield (
                f"{name}: {size[i]} bytes of objects, {stocked[i]} in stocks and {o['charged']} left over are no whole "
                "pages"
            )
        memcg = int(w.memcg_ids(o["memcg"]))
        if (memcg >= 0) == bool(o["offline"]):
            yield f"{name}: it belongs to word {o['memcg']}"
        elif memcg < 0:
            reparented += mine
        else:
            charged[memcg] += mine
            if np.count_nonzero(table[memcg] == plan["objcgs"] + i * OBJCG.SIZE) != 1:
                yield f"{name}: memcg {memcg} has the obj_cgroups {table[memcg].tolist()}"
    online = np.flatnonzero(np.logical_and(w.memcgs["used"], w.memcgs["online"])).tolist()
    for memcg in online:
        if not table[memcg].all():
            yield f"memcg {memcg} is online and has the obj_cgroups {table[memcg].tolist()}"
    if reparented % PAGE_BYTES and w.m.has("F_STOCKMEMCG"):
        yield f"the obj_cgroups of offline memcgs have {reparented} bytes, no whole pages"
    _, kept, wrong = page_stocks(w)
    yield from wrong
    for memcg in online:
        if w.memcgs["kmem"][memcg] * PAGE_BYTES != charged[memcg] + kept[memcg] * PAGE_BYTES:
            yield (
                f"memcg {memcg} is charged {w.memcgs['kmem'][memcg]} pages, its objects and stocks have "
                f"{charged[memcg]} bytes, page stocks {kept[memcg]} pages"
            )
