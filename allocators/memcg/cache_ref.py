"""References of a child cache that are counted per CPU while its memcg is online: v5.3, a percpu_ref.

`CACHE.refcnt` holds 1 for the online memcg, each CPU's part lies in its kmem_cache_cpu. The offline
switches to `refcnt` alone: it adds a bias so that nobody can see zero, sets `ref_atomic`, waits for a
grace period, adds the parts of all CPUs and takes bias and base away. Whoever then drops the last
reference destroys the cache; F_REPARENT_SLABS: lets its slabs move to the root cache. Without either the switch never
happens (F_FREEREF alone).

A part is written by its CPU only, with what is one unlocked instruction in a kernel; it may be
negative, since a reference is often dropped on another CPU. The grace period makes the switch safe:
whoever read `ref_atomic` as 0 has finished its operation when the parts are added; hence preemption is
off (feature PREEMPT), as a kernel holds rcu_read_lock_sched.
"""

from __future__ import annotations

from allocators.core.kmem_cache import CACHE, KMEM_CACHE_CPU
from allocators.core.world import OPS, count
from shm.atomics import (
    area_of,
    cmpxchg,
    cpu_area,
    fetch_add,
    load,
    preempt_disable,
    preempt_enable,
    read_once,
    store,
    write_once,
)
from shm.compiler import dual
from shm.machine import MACHINE, Machine

BIAS = 1 << 40


@dual
def _add_here(m: Machine, s: int, n: int) -> None:
    a = cpu_area(m) + load(m, s + CACHE.cpu_slab) + KMEM_CACHE_CPU.ref
    store(m, a, load(m, a) + n)


@dual
def inc_not_zero(m: Machine, a: int) -> bool:
    """Count one more in a word unless it is 0 (atomic_inc_not_zero)."""
    seen = read_once(m, a)
    while seen:
        now = cmpxchg(m, a, seen, seen + 1)
        if now == seen:
            return True
        seen = now
    return False


@dual
def cache_ref_get(m: Machine, s: int, n: int) -> None:
    """Take `n` references; the caller knows that there is one."""
    count(m, OPS.cache_ref)
    if m.has("PREEMPT"):
        preempt_disable(m)
    if read_once(m, s + CACHE.ref_atomic):
        fetch_add(m, s + CACHE.refcnt, n)
    else:
        _add_here(m, s, n)
    if m.has("PREEMPT"):
        preempt_enable(m)


@dual
def cache_ref_tryget(m: Machine, s: int) -> bool:
    """Take a reference unless the last one is gone (percpu_ref_tryget)."""
    if m.has("PREEMPT"):
        preempt_disable(m)
    counted = read_once(m, s + CACHE.ref_atomic) == 0
    if counted:
        cache_ref_get(m, s, 1)
    if m.has("PREEMPT"):
        preempt_enable(m)
    if counted:
        return True
    count(m, OPS.cache_ref)
    return inc_not_zero(m, s + CACHE.refcnt)


@dual
def cache_ref_put(m: Machine, s: int, n: int) -> bool:
    """Drop `n` references; True when they were the last: then the caller sees to the cache's end."""
    count(m, OPS.cache_ref)
    last = False
    if m.has("PREEMPT"):
        preempt_disable(m)
    if read_once(m, s + CACHE.ref_atomic):
        last = fetch_add(m, s + CACHE.refcnt, -n) == n
    else:
        _add_here(m, s, -n)
    if m.has("PREEMPT"):
        preempt_enable(m)
    return last


@dual
def cache_ref_begin_kill(m: Machine, s: int) -> None:
    """First half of percpu_ref_kill; a grace period must follow. Kworker only."""
    fetch_add(m, s + CACHE.refcnt, BIAS)
    write_once(m, s + CACHE.ref_atomic, 1)


@dual
def cache_ref_end_kill(m: Machine, s: int) -> bool:
    """Second half: add all CPUs' parts, drop the base; True when no reference is left."""
    total = -1 - BIAS
    for cpu in range(load(m, MACHINE.nr_cpus)):
        a = area_of(m, cpu) + load(m, s + CACHE.cpu_slab) + KMEM_CACHE_CPU.ref
        total += load(m, a)
        store(m, a, 0)
    return fetch_add(m, s + CACHE.refcnt, total) == -total
