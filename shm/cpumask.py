"""Sets of CPUs, a word at a time: bit i of a word that begins with CPU `first` is CPU first + i.

Whoever means several CPUs goes through the words in ascending order, makes one and is done with
it before the next (`shm.ipi.smp_call_mask`, `shm.cpu_work.work_on_cpus`). So a set lives in a local of its maker: it
can be lost to no handler and no other task of the CPU, which a scratch mask of the CPU could be, as calls nest (a CPU
that waits for others does their work, which may call CPUs itself) and tasks preempt each other. A kernel allocates a
mask, and calls CPUs one by one when it gets none (v3.16 on_each_cpu_cond).
"""

from __future__ import annotations

from shm.atomics import area_of, load, read_once
from shm.compiler import dual
from shm.machine import CPU, MACHINE, Machine

CPUS_IN_WORD = 63  # words are signed


@dual
def cpus_from(m: Machine, first: int) -> int:
    """How many CPUs a word that begins with `first` has bits for: CPUS_IN_WORD, or those up to the last CPU."""
    return min(load(m, MACHINE.nr_cpus) - first, CPUS_IN_WORD)


@dual
def cpu_online_mask(m: Machine, first: int) -> int:
    """The CPUs from `first` that are online, the kworker's included."""
    word = 0
    for i in range(cpus_from(m, first)):
        if read_once(m, area_of(m, first + i) + CPU.online):
            word |= 1 << i
    return word
