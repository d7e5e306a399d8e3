"""Stocks of single objects: bytes charged in advance, per CPU (obj_stock_pcp, v5.9 to 7.3).

A slot has bytes of one obj_cgroup; F_STOCKMEMCG: it serves all obj_cgroups of its memcg, so the bytes of one of them
are no whole pages, those of all are. F_STOCK5: five slots, drained in turn. With F_PAGESTOCK pages come from the CPU's
page stock (allocators.memcg.page_stock), and with F_STOCK5 they go there after a free.

Who may write: a STOCK its CPU. A kernel holds it with interrupts off (later a local lock), and reads `memcg` inside an
RCU read section. No interrupt handler here touches either, so it is preemption that is kept off (feature PREEMPT).
Charging never fails: no limit is modelled.
"""

from __future__ import annotations

from allocators.core.bugs import BUG_NULL
from allocators.core.world import OBJCG, OPS, PAGE_BYTES, STOCK, STOCK_AT, STOCK_SLOTS, STOCK_TURN_AT, count
from allocators.memcg.obj_refs import objcg_get, objcg_put
from allocators.memcg.page_stock import charge_memcg, refill_stock, try_charge
from shm.atomics import (
    area_of,
    bug,
    cpu_area,
    fetch_add,
    load,
    preempt_disable,
    preempt_enable,
    read_once,
    store,
    write_once,
    xchg,
)
from shm.compiler import dual, dual_slow
from shm.cpu_work import work_on_cpus
from shm.cpumask import CPUS_IN_WORD, cpus_from
from shm.machine import CPU, MACHINE, Machine

DRAIN_OBJ_STOCK = 4  # work on a CPU (shm.cpu_work), beside page_stock's


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
def refill_obj_stock(m: Machine, o: int, size: int, freed: bool) -> None:
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
def obj_cgroup_charge(m: Machine, o: int, size: int) -> None:
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
        refill_obj_stock(m, o, pages * PAGE_BYTES - size, False)


@dual
def drain_local_obj_stock(m: Machine) -> None:
    """Every slot of this CPU's stock goes back. Preemption off."""
    for slot in range(STOCK_SLOTS if m.has("F_STOCK5") else 1):
        _drain_stock(m, cpu_area(m) + STOCK_AT + slot * STOCK.SIZE)


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
def drain_other_obj_stocks(m: Machine, memcg: int) -> None:
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
