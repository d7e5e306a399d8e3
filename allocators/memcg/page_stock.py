"""Pages that are charged to a memcg already and not used, per CPU (memcg_stock_pcp; feature F_PAGESTOCK, as of 6.16).

A charge of few pages takes 64 at once, so most charges of a memcg's objects write no word that CPUs share. A CPU's
page stock has seven slots, a memcg each; a slot holds a css reference, so a memcg that goes offline is pinned until its
slots are drained: its offline has the CPUs that have one do that. Slots are drained in turn when all are taken (6.16: a
random one). F_PAGESTOCKPUT, 7.3: a slot whose pages are used up drops its reference at once.

Only its CPU writes a PAGE_STOCK, with preemption off; `memcg` is read by the offline too. Whoever charges reads which
memcg an obj_cgroup belongs to in the same section: a grace period after the last of a memcg's obj_cgroups moved no slot
comes to be for it.

A kernel's offline does not wait for the drain, and leaves isolated CPUs out; here it waits for all.
"""

from __future__ import annotations

from allocators.core.world import (
    OPS,
    PAGE_STOCK,
    PAGE_STOCK_AT,
    PAGE_STOCK_SLOTS,
    PAGE_STOCK_TURN_AT,
    count,
)
from allocators.memcg.memcontrol import MEMCG, css_put
from shm.atomics import area_of, cpu_area, fetch_add, load, read_once, store, write_once
from shm.compiler import dual, dual_slow
from shm.cpu_work import work_on_cpus
from shm.cpumask import CPUS_IN_WORD, cpus_from
from shm.machine import CPU, MACHINE, Machine

BATCH = 64  # MEMCG_CHARGE_BATCH, pages
DRAIN_STOCK = 3  # work on a CPU (shm.cpu_work); 1 and 2 are the allocator's flushes


@dual
def charge_memcg(m: Machine, memcg: int, pages: int) -> None:
    """page_counter_charge, or with pages < 0 its opposite: atomically, in the memcg's own word."""
    count(m, OPS.objcg_charge)
    fetch_add(m, memcg + MEMCG.kmem, pages)


@dual
def _slot_of(m: Machine, memcg: int) -> int:
    a = cpu_area(m) + PAGE_STOCK_AT
    for i in range(PAGE_STOCK_SLOTS):
        if load(m, a + i * PAGE_STOCK.SIZE + PAGE_STOCK.memcg) == memcg:
            return a + i * PAGE_STOCK.SIZE
    return 0


@dual_slow
def _drain(m: Machine, a: int) -> None:
    """drain_stock: a slot's pages and its reference go back."""
    memcg = load(m, a + PAGE_STOCK.memcg)
    if memcg == 0:
        return
    count(m, OPS.drain_stock)
    pages = load(m, a + PAGE_STOCK.pages)
    if pages:
        charge_memcg(m, memcg, -pages)
    write_once(m, a + PAGE_STOCK.memcg, 0)
    store(m, a + PAGE_STOCK.pages, 0)
    css_put(m, memcg)


@dual_slow
def _new_slot(m: Machine, memcg: int) -> int:
    first = cpu_area(m) + PAGE_STOCK_AT
    a = _slot_of(m, 0)
    if a == 0:
        turn = cpu_area(m) + PAGE_STOCK_TURN_AT
        i = load(m, turn)
        store(m, turn, (i + 1) % PAGE_STOCK_SLOTS)
        a = first + i * PAGE_STOCK.SIZE
        _drain(m, a)
    fetch_add(m, memcg + MEMCG.css, 1)
    write_once(m, a + PAGE_STOCK.memcg, memcg)
    return a


@dual
def refill_stock(m: Machine, memcg: int, pages: int) -> None:
    """Pages that are charged to a memcg and not used; more than a batch goes back. Preemption off."""
    if not m.has("F_PAGESTOCK") or pages > BATCH:
        charge_memcg(m, memcg, -pages)
        return
    a = _slot_of(m, memcg)
    if a == 0:
        a = _new_slot(m, memcg)
    held = load(m, a + PAGE_STOCK.pages) + pages
    store(m, a + PAGE_STOCK.pages, held)
    if held > BATCH:
        _drain(m, a)


@dual
def _consume(m: Machine, memcg: int, pages: int) -> bool:
    """consume_stock: pages from this CPU's slot for the memcg; False when it has fewer."""
    a = _slot_of(m, memcg)
    if a == 0:
        return False
    held = load(m, a + PAGE_STOCK.pages) - pages
    if held < 0:
        return False
    store(m, a + PAGE_STOCK.pages, held)
    if m.has("F_PAGESTOCKPUT") and held == 0:
        write_once(m, a + PAGE_STOCK.memcg, 0)
        css_put(m, memcg)
    return True


@dual
def try_charge(m: Machine, memcg: int, pages: int) -> None:
    """Charge pages: from the stock, or a batch, whose rest goes to the stock. Preemption off; no limit is modelled."""
    if not m.has("F_PAGESTOCK") or pages > BATCH:
        charge_memcg(m, memcg, pages)
    elif not _consume(m, memcg, pages):
        charge_memcg(m, memcg, BATCH)
        if pages < BATCH:
            refill_stock(m, memcg, BATCH - pages)


@dual
def drain_local_stock(m: Machine) -> None:
    """Every slot of this CPU goes back. Preemption off."""
    a = cpu_area(m) + PAGE_STOCK_AT
    for i in range(PAGE_STOCK_SLOTS):
        _drain(m, a + i * PAGE_STOCK.SIZE)


@dual
def _has_slot(m: Machine, cpu: int, memcg: int) -> bool:
    """Reads another CPU's words without any lock: it may give the slot up meanwhile, and gets none any more."""
    a = area_of(m, cpu) + PAGE_STOCK_AT
    for i in range(PAGE_STOCK_SLOTS):
        if read_once(m, a + i * PAGE_STOCK.SIZE + PAGE_STOCK.memcg) == memcg:
            return True
    return False


@dual
def drain_all_stock(m: Machine, memcg: int) -> None:
    """Every CPU that has a slot for the memcg drains all of its slots; waits. Interrupts and preemption on."""
    for first in range(0, load(m, MACHINE.nr_cpus), CPUS_IN_WORD):
        mask = 0
        for i in range(cpus_from(m, first)):
            if _has_slot(m, first + i, memcg) and read_once(m, area_of(m, first + i) + CPU.online):
                mask |= 1 << i
        if mask:
            work_on_cpus(m, first, mask, DRAIN_STOCK, memcg)
