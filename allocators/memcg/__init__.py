"""Memory cgroups as the allocators see them.

    memcontrol      a memcg, its charges and css references, and which cache an allocation of it takes
    cache_ref       references that operations take on child caches
    objcg           owners of single objects (F_OBJCG): their life, and what an allocation and a free ask of them
    obj_refs        references to them
    obj_stock       bytes charged in advance, per CPU
    obj_vector      which object has which owner
    page_stock      pages charged in advance, per CPU (F_PAGESTOCK)
    slab_pages      a slab's pages: charged when they come, uncharged when they go

Imports `allocators.core` and `shm`.
"""
