"""`python -m stress inspect`: what a machine's slab files say, and what would mend it.

    state    the data: caches, cgroups, what a file says of them
    parse    files as kernels and tools print them
    orders   what SLUB's sizing makes of a cache, and where a file differs
    report   sentences, table, JSON, and the command that plays a like workload
    command  read, judge, print

May import `stress.show`, `allocators.slub.sizing` and what is below.
"""
