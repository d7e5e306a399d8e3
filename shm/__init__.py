"""The machine: shared memory, struct layouts, atomics, locks, interrupts, grace periods, clock.

Knows nothing of slabs or cgroups. Import from the modules; `shm.native` must be imported before
anything is compiled (`shm.compiler.entry` users do so through `stress.engine`).
"""
