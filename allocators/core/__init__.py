"""What every allocator stands on.

    world               the singletons of a segment, per-CPU counters, the kernel's clock
    page_alloc          the buddy allocator of the nodes' zones
    lists               doubly linked lists
    page_pair           a slab's freelist and counts in one word
    kmem_cache          a cache's descriptor and the global list of them
    injection, bugs     failures on purpose; how compiled code reports what must not be

Imports `shm` only.
"""
