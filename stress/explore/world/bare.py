"""A machine with nothing on it but per-CPU areas and words: for litmus tests, lock-free toys and measuring."""

from __future__ import annotations

from collections.abc import Callable

from shm.locks import PERCPU_WORDS
from shm.machine import CPU, MACHINE
from stress.explore.space.space import Body, Space

STRIDE = -(-PERCPU_WORDS // 64) * 64


def bare_space(programs: list[Callable], words: int = 16, *, tso: bool = False, **more) -> tuple[Space, int]:
    """A space in which CPU i runs programs[i](m, base) on `words` zeroed words from `base`; and base."""
    cpus = len(programs)
    base = MACHINE.SIZE + STRIDE * cpus
    mem = [0] * (base + words)
    for field, value in {
        "nr_cpus": cpus,
        "workers": cpus,
        "percpu_base": MACHINE.SIZE,
        "percpu_stride": STRIDE,
    }.items():
        mem[getattr(MACHINE, field)] = value
    for cpu in range(cpus):
        mem[MACHINE.SIZE + STRIDE * cpu + CPU.online] = 1
    bodies = [Body(f"cpu{i}", i, lambda m, program=program: program(m, base)) for i, program in enumerate(programs)]
    return Space(mem, bodies, tso=tso, **more), base
