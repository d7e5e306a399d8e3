"""SLOB as of Linux 3.16 (mm/slob.c; specification section 3): no caches of objects at all, one heap of pages.

Objects of all caches, and so of all cgroups, lie side by side in single pages. A page with free
space is on one of three lists: small (for objects below 256 bytes), medium (below 1024) or large, by
the object that it was made for or, if it has been full since, by the one that was freed into it then.
An allocation walks its list, first fit in each page; the list then begins where the search ended (next
fit). An object of a page or more has pages of its own. A page without objects goes back at once:
nothing is kept, so nothing hides, but any object pins the page it lies in.

Accounting kernel memory to cgroups (MEMCG_KMEM) needs SLUB or SLAB. So here there are no child
caches, nothing is charged, and no patch of the series changes mm/slob.c but P5, by a return type.

Lock order (see shm.locks for the whole table): slob_lock, interrupts off, covers the three lists,
every page's `pair` and free blocks, and the counts beside the lists. It is held for no call of the
page allocator. Caches come and go under slab_mutex as everywhere.

Who may write what: the words of SLOB, `next`, `prev` and `pair` of a page in shared use, and the free
space in it under slob_lock; but `waiting` atomically by anybody, and the link at the end of an object
that waits for a grace period whoever frees it.

A page is in exactly one state: partly free (on one list, 0 < free units < 2048) · full (on no list)
· of one large object (on no list, `slab_cache` names the object's cache, which is 0 for the others).

To free an object one must know its size, which only its cache knows: a kernel's callers hand the
cache over (kmem_cache_free). Here what an allocation returns is a *reference*, the object's address
with the number of its cache above it, and that is what a free is given.

Not modelled: kmalloc's size header, as every cache of a workload is a kmem_cache; constructors.

Modules: state (words, blocks in a page, lists), sizing, alloc, free, cache (the doors: allocate,
free, deferred frees, shrink, shutdown), inspect.
"""
