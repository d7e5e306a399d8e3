"""The machine: shared memory, struct layouts, atomics, locks, interrupts, grace periods, clock.

    layout, segment, machine        structs as word offsets; memory; one CPU's view of it
    atomics, native                 what both engines do; its lowering to machine instructions
    compiler, entry, code_cache     how functions reach Numba; entry points; where compiled code is kept
    numba_internals, features_pass, lean    what is used of Numba's internals; features as constants; the short pipeline
    machine_type, reuse, kept       the machine's type, and what was asked of it; what programs that count share,
                                    in a process and on disk
    stacks                          compiled code left in its middle: stacks of their own for virtual CPUs
    hooks                           a plugin's code in the place of a function's, under the plugin's switch
    locks, ipi, cpu_work, rcu, ring, waiting, idle  what a kernel builds on them
    preemption, placement           was a thread taken off its CPU; compiled code at another place of its page
    histogram, clock, xorshift, sources

Knows nothing of slabs or cgroups and imports nothing of the project. Import from the modules; `shm.entry`
brings what the machine means natively (`shm.native`).
"""
