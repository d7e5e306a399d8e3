"""Owners of single objects (F_OBJCG): vectors, references and charges of every obj_cgroup balance."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from allocators.core.world import OBJCG, PAGE_BYTES, PAGE_WORDS, STOCK, STOCK_AT, WORLD, WORLD_AT
from allocators.invariants.rcu import queued
from allocators.invariants.sheaves import RCU_PLACE, sheaves_of
from allocators.invariants.snapshot import Snapshot
from allocators.memcg.memcontrol import WORK_OBJCG_FREE
from allocators.memcg.objcg import MADE, NONE, POINTER_BYTES
from shm.layout import view


def owners(w: Snapshot) -> Iterator[str]:
    """Every owner pointer belongs to an object that is handed out and leads to an obj_cgroup; references
    = objects + stocks + 1 while online; charged pages = objects, stocks and rest to the byte."""
    if not w.m.has("F_OBJCG"):
        return
    plan, count = w.layout.plan, w.layout.objcgs
    objcgs = view(w.words, OBJCG, plan["objcgs"], count)
    states = w.words[plan["obj_cgroups"] : plan["obj_cgroups"] + w.layout.last_frame]
    slab = np.zeros(w.layout.last_frame, bool)
    slab[w.frames] = True
    for frame in np.flatnonzero((states != NONE) & ((states != MADE) | ~slab)):
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


def _books(w: Snapshot, objcgs: np.ndarray, held: np.ndarray, size: np.ndarray) -> Iterator[str]:
    plan, count = w.layout.plan, len(objcgs)
    parts = w.words[plan["objcg_refs"] : plan["objcg_refs"] + w.layout.nr_cpus * count].reshape(-1, count).sum(axis=0)
    stocks, stocked = np.zeros(count, np.int64), np.zeros(count, np.int64)
    for cpu in range(w.layout.nr_cpus):
        o, kept = (w.mem[w.area(cpu) + STOCK_AT + f] for f in (STOCK.objcg, STOCK.bytes))
        owner, rest = divmod(o - plan["objcgs"], OBJCG.SIZE)
        if o and (rest or not 0 <= owner < count or not objcgs["used"][owner]):
            yield f"the stock of CPU {cpu} is for word {o}, which is no obj_cgroup"
        elif o:
            stocks[owner] += 1
            stocked[owner] += kept
    doomed = {a for f, a, _ in queued(w.mem, w.layout, "workqueue") if f == WORK_OBJCG_FREE}
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
        charged = int(size[i] + stocked[i] + o["charged"])
        if charged % PAGE_BYTES:
            yield (
                f"{name}: {size[i]} bytes of objects, {stocked[i]} in stocks and {o['charged']} left over are no whole "
                "pages"
            )
        memcg = int(w.memcg_ids(o["memcg"]))
        if (memcg >= 0) == bool(o["offline"]):
            yield f"{name}: it belongs to word {o['memcg']}"
        elif memcg >= 0 and (
            w.memcgs["kmem"][memcg] * PAGE_BYTES != charged
            or w.memcgs["objcg"][memcg] != plan["objcgs"] + i * OBJCG.SIZE
        ):
            yield (
                f"{name}: memcg {memcg} is charged {w.memcgs['kmem'][memcg]} pages, its objects and stocks have "
                f"{charged} bytes"
            )
