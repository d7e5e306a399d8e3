"""Virtual time: the machine with a clock for each CPU and a price for each access (feature VTIME).

    words     the tables: prices, clocks, what time is spent on
    lines     the cache lines: who has them, what an access costs, and who waits for whom
    tags      what a CPU's caches, its TLB and its prefetcher remember of them
    calendar  locks: when they are held, and when the next one gets them
    calls     interrupts, grace periods, work: what one CPU asks of others
    turns     an access at a time: who is next
    queues    … locks that are held, and who waits for them
    stops     … calls that wait until a CPU can be stopped, grace periods
    heap      numbers by the times at which they are due
    steps     which of the two ways it is, where they differ
    waits     what of it each machine does in its own way
    native    what compiled code does instead of a bare instruction
    machine   the interpreted machine, and the tables' memory

Imports the parts of `shm` that locks and interrupts stand on. One process plays all CPUs, an operation at a time
(`stress.engine.virtual`) or an access at a time (`stress.engine.flows`), so the tables need no protection. Times are
integers, in picoseconds: the same everywhere.
"""
