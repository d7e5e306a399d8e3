"""SLAB as of Linux 3.16 (mm/slab.c), with the patches of the series as features.

Objects that are not handed out wait in *array caches*, LIFO stacks of pointers: one per CPU, one
shared by the CPUs of a node, and, with several nodes, an alien one for each pair of nodes. Only when
those are empty or full does a CPU go to the slabs of its node.

Lock order (see shm.locks for the whole table):

    slab_mutex            list of caches, creation, destruction; the reaper only tries it
      alien lock          one alien array
        node list_lock    the node's three lists of slabs, free_objects, free_limit, free_touched, its
                          shared array, and every slab's `active` and index array
          zone lock       slabs are made with interrupts on and no lock, but destroyed under list_lock

Who may write what: a CPU's array_cache only that CPU, interrupts off; `limit` of arrays and free_limit
of a dead cache the kworker in shrink (P8v2, P8v3, F_FLIM), under the lock of the array or node, and a
CPU's own by its IPI; `next_reap` any CPU of the node without a lock (two that see it due both scan).

A slab is in exactly one state, told by `active`, the number of its objects that are handed out *or
wait in an array*: full (active == num) · partial · free (active == 0), each on the list of that name
of its node. The index array names the free objects at its places active … num - 1.

So an empty slab hides in two ways: on slabs_free, or as a slab all of whose objects wait in arrays.
The periodic reaper empties both in time; it keeps no minimum.

Modules: state (words), sizing, setup (arrays and nodes of a new cache), alloc, free, drain (arrays
and free slabs back; shrink, shutdown), reap (periodic work), inspect (what /proc/slabinfo shows).
"""
