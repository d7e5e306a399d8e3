"""What concerns caches of any allocator, and the world they live in.

    layout, boot        where things are in a segment; the state before the first allocation
    kinds, vectors      what each allocator does, for those who build a world of it, and for the engine
    slab_common         allocate and free by cgroup, create, shrink, destroy: the way in
    memcg_caches        child caches: created, kept, destroyed, and the deferred work for that
    offline             a cgroup goes offline

Imports the allocators, `allocators.memcg`, `allocators.core` and `shm`; the invariants look at it from above.
"""
