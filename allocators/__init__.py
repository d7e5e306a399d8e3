"""The kernel's side: pages, slab allocators, memory cgroups and what happens to their caches, as switches and designs.

    world, boot                 where everything lies in a segment; setting it up
    page_alloc, slab_pages      the buddy allocator; slabs' pages and their charge
    kmem_cache, slab_common     a cache; creating, shrinking and destroying caches; the way in
    memcontrol, memcg_caches, cache_ref, offline, objcg
                                cgroups, their caches of their own, and how those die
    slub/, slab/, slob/         the three allocators
    designs                     named sets of switches, light: imports neither NumPy nor Numba
    injection, bugs             failures on purpose; how compiled code reports what must not be
    invariants/                 what must hold of a world at rest

Imports `shm` only, and knows nothing of processes, tapes or reports. Import from the modules.
"""
