"""A node's barn of full and empty sheaves, and where new sheaves come from (v6.18 and v7.0 barn_*; F_SHEAF).

Both lists are stacks. Their lengths are looked at without the lock, so a limit may be exceeded by a sheaf per CPU.
"""

from __future__ import annotations

from allocators.core.world import OPS, count
from allocators.slub.sheaf_state import BARN, POOL, SHEAF, barn_of, pool_of
from allocators.slub.state import STAT, stat
from shm.atomics import load, local_irq_restore, local_irq_save, read_once, store, write_once
from shm.compiler import dual
from shm.locks import BARN_LOCK, spin_lock, spin_trylock, spin_unlock
from shm.machine import Machine


@dual
def barn_at(m: Machine, s: int, node: int) -> int:
    """The barn of a node, 0 where there is none."""
    barn = barn_of(m, s, node)
    if m.has("F_NOCPUSLAB") and load(m, barn + BARN.present) == 0:
        return 0
    return barn


@dual
def exchange(m: Machine, wanted: int, nr_wanted: int, given: int, nr_given: int, barn: int, sheaf: int) -> int:
    """barn_replace_*: take the first sheaf of one list and put `sheaf` on the other; 0 when there is none."""
    return _exchange(m, wanted, nr_wanted, given, nr_given, barn, sheaf, False)


@dual
def try_exchange(m: Machine, wanted: int, nr_wanted: int, given: int, nr_given: int, barn: int, sheaf: int) -> int:
    """The same of one who may not spin: 0 also when the lock is taken."""
    return _exchange(m, wanted, nr_wanted, given, nr_given, barn, sheaf, True)


@dual
def _exchange(
    m: Machine, wanted: int, nr_wanted: int, given: int, nr_given: int, barn: int, sheaf: int, tried: bool
) -> int:
    if read_once(m, nr_wanted) == 0:
        return 0
    flags = local_irq_save(m)
    if tried:
        if not spin_trylock(m, barn + BARN.lock, BARN_LOCK):
            local_irq_restore(m, flags)
            return 0
    else:
        spin_lock(m, barn + BARN.lock, BARN_LOCK)
    found = load(m, wanted)
    if found:
        store(m, wanted, load(m, found + SHEAF.next))
        write_once(m, nr_wanted, load(m, nr_wanted) - 1)
        store(m, sheaf + SHEAF.next, load(m, given))
        store(m, given, sheaf)
        write_once(m, nr_given, load(m, nr_given) + 1)
    spin_unlock(m, barn + BARN.lock)
    local_irq_restore(m, flags)
    if found:
        count(m, OPS.barn_exchange)
    return found


@dual
def push(m: Machine, lock: int, head: int, counter: int, sheaf: int) -> None:
    """Put a sheaf on a list; counter: its length, or 0 for the pool."""
    flags = local_irq_save(m)
    spin_lock(m, lock, BARN_LOCK)
    store(m, sheaf + SHEAF.next, load(m, head))
    store(m, head, sheaf)
    if counter:
        write_once(m, counter, load(m, counter) + 1)
    spin_unlock(m, lock)
    local_irq_restore(m, flags)


@dual
def pop(m: Machine, lock: int, head: int, counter: int) -> int:
    """Take a sheaf from a list; 0 when it is empty."""
    flags = local_irq_save(m)
    spin_lock(m, lock, BARN_LOCK)
    sheaf = load(m, head)
    if sheaf:
        store(m, head, load(m, sheaf + SHEAF.next))
        if counter:
            write_once(m, counter, load(m, counter) - 1)
    spin_unlock(m, lock)
    local_irq_restore(m, flags)
    return sheaf


@dual
def new_sheaf(m: Machine, s: int) -> int:
    """alloc_empty_sheaf; 0 when there is none."""
    pool = pool_of(m, s)
    sheaf = pop(m, pool + POOL.lock, pool + POOL.unused, 0)
    if sheaf:
        stat(m, s, STAT.sheaf_alloc)
    return sheaf


@dual
def free_sheaf(m: Machine, s: int, sheaf: int) -> None:
    """free_empty_sheaf."""
    pool = pool_of(m, s)
    stat(m, s, STAT.sheaf_free)
    push(m, pool + POOL.lock, pool + POOL.unused, 0, sheaf)


@dual
def empty_of_barn(m: Machine, barn: int) -> int:
    """barn_get_empty_sheaf; 0 when the barn has none."""
    if read_once(m, barn + BARN.nr_empty) == 0:
        return 0
    return pop(m, barn + BARN.lock, barn + BARN.empty, barn + BARN.nr_empty)


@dual
def put_empty(m: Machine, s: int, barn: int, sheaf: int) -> None:
    """barn_put_empty_sheaf, or free it when the barn has enough."""
    if barn and read_once(m, barn + BARN.nr_empty) < load(m, barn + BARN.max_empty):
        push(m, barn + BARN.lock, barn + BARN.empty, barn + BARN.nr_empty, sheaf)
    else:
        free_sheaf(m, s, sheaf)


@dual
def put_full(m: Machine, s: int, barn: int, sheaf: int) -> None:
    """barn_put_full_sheaf, whatever the limit."""
    stat(m, s, STAT.barn_put)
    push(m, barn + BARN.lock, barn + BARN.full, barn + BARN.nr_full, sheaf)
