"""Workloads: what each CPU allocates and frees, and when cgroups come and go, as tapes and a schedule of int64 words.

    tape, writer, checks    the format, how one is written, what a sound one is
    registry                finds the scenarios by name; `build` makes a workload of one
    scenario, parameters    what a scenario is, and what the parameters of several share
    settings                texts into parameters
    workloads/              a folder per scenario: question, parameters, tapes
    traces/                 recorded kernels as workloads

Imports nothing of the other floors: a tape knows caches, slots and cgroups by number, and neither an allocator nor a
process.
"""
