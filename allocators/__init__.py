"""The kernel's side: pages, slab allocators, memory cgroups and what happens to their caches, as switches and designs.

    core/           the world in a segment, pages, a cache's descriptor, lists, failures on purpose
    memcg/          memory cgroups, their charges and references, owners of objects, slabs' pages
    slub/ slab/ slob/   the three allocators; they do not know each other
    caches/         what concerns caches of any allocator: create, shrink, destroy, offline; boot and layout
    invariants/     what must hold of a world at rest
    catalogue       the facts of each allocator, which the rest asks by its name
    switches, designs       one change to the kernel each; named sets of them

The deeds of each allocator, under the same name, are in `caches.kinds`.
Each of these imports those above it and `shm`; none knows processes, tapes or reports. Import from the modules.
"""
