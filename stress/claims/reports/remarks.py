"""What was found where a prediction misses, or agrees for a reason worth knowing; measured, and written by hand.

The figures are of the run that printed docs/sheaves.md.
"""

from __future__ import annotations

REMARKS = {
    "R1": (
        "Measured: order and causes come out, the depth of the fall does not, unless a request has two objects. "
        "Under 7.0 each allocation takes node 0's list_lock, which is held all the time, at 21 million objects a "
        "second when other work spaces them, at 30 million when nothing does. One object a request so makes 21 "
        "million requests a second where 13 were reported. Two objects a request make 33, 15 and 24 million under "
        "6.19, 7.0 and 7.0 with barns, without any other work; reported were 34 to 36, 13 and 24. That would be "
        "agreement to 15 %; but the report does not tell how many there are, so it decides nothing. Both "
        "explanations are right, one after the other: barns give most back, and two nodes with memory, where no "
        "barn is missing, lose as much, to the partial lists that are gone."
    ),
    "R3": (
        "Measured: bursts that fit into two sheaves never leave them, and sheaves are then no faster and no slower "
        "than CPU slabs. Larger ones, back to back, are bound by the barn's lock, one for the 32 to 96 CPUs of a "
        "node, held 95 to 98 % of the time, so sheaves make them 10 to 30 times slower; a microsecond of other work "
        "with each operation makes that lock idle, and hides the rest. Nowhere does 6.19 gain a third. A sheaf's "
        "miss asks the barn first, in 6.19 too, so the CPU slabs behind it serve only what the barn lacks: as a "
        "second layer they are not seen to matter here. Capacity is: with 64 objects a sheaf bursts of 96 stay in "
        "two of them, and are 50 times as fast. What the benchmark does with maple nodes must be known to say more."
    ),
    "R4": (
        "The report compares with a kernel that refills from its own node only, which is no design here; the mended "
        "one stands for it. Measured: CPUs wait for the barns' locks, held 84 to 98 % of the time, and the nodes' "
        "list_locks are not what limits them; and as both nodes do the same, a node is seldom short of slabs while "
        "the other has more than min_partial. Reported were 55 % of all cycles in the slow path of spinlocks "
        "before, 73 % after."
    ),
    "R5": (
        "Measured: on one CPU 6.19 and 7.0 do the same up to what a barn holds, as both have the same sheaves; so "
        "the allocator's own instructions are not where a fork's 7 to 11 % went, as far as the model goes, and half "
        "the caching is not seen below bursts of 384 objects. kvfree_rcu is 2.4 times dearer here: 6.19's objects "
        "of caches without sheaves are freed in batches by a worker, whose time is no CPU's; 7.0's go into rcu_free "
        "sheaves."
    ),
    "R6": ("What the tests allocate was not told; the first bad commit gives sheaves to most caches."),
    "R7": (
        "Measured: 0.80 drains of a stock an operation under per-node owners, none before and with five slots, as "
        "was said; on two CPUs alone they cost 62 % of the rate. On 224 CPUs they should cost more, and cost less: "
        "the line of an obj_cgroup is taken 0.66 times an operation, once in 30 ns while all CPUs work, though to "
        "take it from another complex's CPU is 107 ns in the profile. An operation at a time charges such a line "
        "too little when a hundred CPUs want it (how far off it is on up to 16: scale.md), so this miss is virtual "
        "time's, not the design's."
    ),
    "R8": (
        "The microbenchmark is not to be had: what is played is one CPU's burst of 65,536 objects with its pages "
        "and its frees, of which the building of freelists is a small part, so it is held to no figure. On 192 CPUs "
        "bursts are bound by the barns' locks, and 2 to 5 % are below what can be told."
    ),
    "R10": (
        "What goes to slabs in the one-way flow (0.02 %) is a sheaf or two while it begins, of few rounds; the "
        "published share is of two million operations."
    ),
}
