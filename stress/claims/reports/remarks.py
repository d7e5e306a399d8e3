"""What was found where a prediction misses, or agrees for a reason worth knowing; measured, and written by hand.

The figures are of the run that printed docs/sheaves.md.
"""

from __future__ import annotations

REMARKS = {
    "R1": (
        "Measured: `linux-6.18` makes 37 million frees a second (256 B), where 34 to 36 million requests of 6.19 were "
        "reported. It limits CPU partial lists by slabs, as a recorded kernel does, so this flow drains them after "
        "every few slabs, under node 0's list_lock, which is held 82 to 97 % of the time. What misses is 7.0's loss: "
        "as many, or a quarter more, where 13 million were reported. Without the limit "
        "(`linux-6.18-F_PARTIALSLABS`) 6.18 makes 121 million, and 7.0 0.30 of that, where 0.36 to 0.38 were reported."
    ),
    "R3": (
        "Measured: bursts that fit into two sheaves never leave them, and sheaves are then no faster and no slower "
        "than CPU slabs. Larger ones, back to back, are bound by the barn's lock, one for the 32 to 96 CPUs of a "
        "node, held 91 to 97 % of the time, so sheaves make them 6 to 17 times slower; a microsecond of other work "
        "with each operation makes that lock idle, and hides the rest. Then only bursts of 384 gain, 18 % under 6.19, "
        "and 10 % under 7.0, where nothing was reported. A sheaf's miss asks the barn first, in 6.19 too, so the CPU "
        "slabs behind it serve only what the barn lacks. What the benchmark does with maple nodes must be known to "
        "say more."
    ),
    "R4": (
        "The report compares with a kernel that refills from its own node only, which is no design here; the mended "
        "one stands for it. Measured: small bursts wait for the barns' locks, held 88 % of the time, large ones for "
        "the nodes' list_locks, held 73 to 87 %, whether those of other nodes are taken or only tried: as both nodes "
        "do the same, a node is seldom short of slabs while the other has more than min_partial. Reported were 55 % "
        "of all cycles in the slow path of spinlocks before, 73 % after."
    ),
    "R5": (
        "Measured: on one CPU 6.19 and 7.0 do the same, as both have the same sheaves; so the allocator's own "
        "instructions are not where a fork's 7 to 11 % went, as far as the model goes, and half the caching costs "
        "nothing in bursts up to 1024 objects. kvfree_rcu is 2.3 times dearer here: 6.19's objects of caches without "
        "sheaves are freed in batches by a worker, whose time is no CPU's; 7.0's go into rcu_free sheaves."
    ),
    "R6": ("What the tests allocate was not told; the first bad commit gives sheaves to most caches."),
    "R7": (
        "Measured: per-node owners cost 57 % of the rate on two CPUs alone and 84 % on 224, where 68 % were reported; "
        "the line of an obj_cgroup is what CPUs wait for. The stopgap makes up for it, as reported. How dear a line's "
        "way is between complexes is another machine's median in the profile."
    ),
    "R8": (
        "The microbenchmark is not to be had: what is played is one CPU's burst of 65,536 objects with its pages "
        "and its frees, of which the building of freelists is a small part, so it is held to no figure. On 192 CPUs "
        "bursts are bound by list_locks, and 2 to 5 % are below what can be told."
    ),
    "R10": (
        "What goes to slabs in the one-way flow (0.02 %) is a sheaf or two while it begins, of few rounds; the "
        "published share is of two million operations."
    ),
}
