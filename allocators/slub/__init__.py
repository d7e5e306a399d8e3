"""SLUB as of Linux 3.16 (mm/slub.c), with the patches of the series as features.

Lock order (each above those below it; see shm.locks for the whole table):

    slab_mutex            list of caches, creation, destruction
      node list_lock      n.partial, n.nr_partial, and moving a slab on or off that list
        page pair         freelist + counters of one slab, by compare-and-swap, no lock

The CPU that froze a slab owns its list position: only it may put the slab on a list again. Any CPU
may free into any slab at any time through the page pair; the free that finds a slab full and
unfrozen freezes it for its own CPU, and so becomes its owner.

A slab is in exactly one state: CPU slab (frozen, c.page) · CPU partial (frozen, on c.partial) ·
node partial (not frozen, on n.partial) · full (not frozen, on no list; with F_FULL a child's full slab
is on n.full) · being discarded. F_REPARENT_SLABS: of a child that is given up, frees leave a slab where it is, and its
owner changes under the page's bit lock, which is taken inside list_lock.

Modules: state (words), sizing, alloc, free, partial (CPU and node partial lists), deactivate (CPU slab back to the
node, flush), discard, shrink (shrink and close), sysfs (what a user writes), reparent (F_REPARENT_SLABS), sheaf_state
and sheaf (F_SHEAF: arrays of objects before all this), inspect (what /sys/kernel/slab shows).
"""
