"""Switches: each is one change to the kernel, off unless a design has it on."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True, slots=True)
class Switch:
    """One change. group: at most one of a group can be on. needs: any one of these must be on too; requires: all of
    these. conflicts: none of these may be on with it. defining: a design with it is no such design on an allocator
    that does not read it (other switches are then merely without effect)."""

    name: str
    summary: str
    allocators: tuple[str, ...]
    group: str = ""
    needs: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    conflicts: tuple[str, ...] = ()
    defining: bool = False


_SLUB, _SLAB, _BOTH = ("slub",), ("slab",), ("slub", "slab")


SWITCHES: dict[str, Switch] = {
    s.name: s
    for s in (
        Switch("P1", "a child counts its slabs, not its pages", _BOTH),
        Switch(
            "P2",
            "a child is destroyed when its last slab is freed; +1 while its memcg is online",
            _BOTH,
            group="destruction",
        ),
        Switch(
            "F_CSS",
            "charged pages pin the memcg, children do not: they are destroyed with it, all together",
            _BOTH,
            group="destruction",
            defining=True,
        ),
        Switch(
            "F_REPARENT",
            "children move to the parent cgroup at offline and go with their last slab; references per CPU while "
            "online",
            _BOTH,
            group="destruction",
            defining=True,
        ),
        Switch(
            "F_REPARENT_SLABS",
            "slabs of children move to the root cache at offline, and the child is destroyed; frees in between are of "
            "a slow mode (13 May 2014)",
            _SLUB,
            group="destruction",
            requires=("F_FULL", "F_FREEREF"),
            conflicts=("P3", "P3v3", "P7v4"),
            defining=True,
        ),
        Switch(
            "F_ALLOCREF",
            "an allocation holds a reference to the child that it uses (remedy of R10)",
            _BOTH,
            needs=("F_REPARENT",),
        ),
        Switch(
            "F_WORK",
            "the offline and each release of a dead child's last page schedule work that shrinks or destroys it",
            _BOTH,
            group="destruction",
            defining=True,
        ),
        Switch("P3", "children of an offline memcg are marked dead", _BOTH, group="P3"),
        Switch("P3v3", "the dead mark with a write and a read barrier", _BOTH, group="P3"),
        Switch("P4", "kmem_cache_shrink cannot fail: empty slabs go without the sort array", _SLUB, group="P4"),
        Switch("P4v3", "the same, with one bucket on the stack when the array cannot be had", _SLUB, group="P4"),
        Switch(
            "P4v4",
            "shrink sorts into a fixed number of buckets: nothing is allocated, nothing can fail (4.0)",
            _SLUB,
            group="P4",
        ),
        Switch("P5", "kmem_cache_shrink returns nothing", ()),
        Switch("P6", "no compare-and-swap when the allocation side refills the CPU partial list", _SLUB),
        Switch(
            "P7",
            "dead caches: no empty slab stays, the CPU partial list is disabled by a sentinel",
            _SLUB,
            group="P7",
            needs=("P3", "P3v3"),
        ),
        Switch(
            "P7v2",
            "dead caches: no empty slab stays, the CPU partial list is flushed after each push, by IPI if the slab is "
            "elsewhere",
            _SLUB,
            group="P7",
            needs=("P3", "P3v3"),
        ),
        Switch(
            "P7v3",
            "dead caches: no empty slab stays, the CPU partial list is drained after each push",
            _SLUB,
            group="P7",
            needs=("P3", "P3v3"),
        ),
        Switch(
            "P7v4",
            "deactivation sets cpu_partial and min_partial to 0; a push that finds cpu_partial 0 is flushed (4.0)",
            _SLUB,
            group="P7",
        ),
        Switch(
            "P7a",
            "dead caches: a free decides before its swap on the page that the slab is not frozen (19 May 2014)",
            _SLUB,
            group="P7",
            needs=("P3", "P3v3"),
        ),
        Switch(
            "P7b",
            "dead caches: a free tests before the push that the CPU partial list is not used (30 May 2014)",
            _SLUB,
            group="P7",
            needs=("P3", "P3v3"),
        ),
        Switch(
            "P8",
            "dead caches: the periodic reaper drains them fully, not by a fifth",
            _SLAB,
            group="P8",
            needs=("P3", "P3v3"),
        ),
        Switch(
            "P8v2",
            "dead caches: all array caches have the limit 0, so each free goes to its slab",
            _SLAB,
            group="P8",
            needs=("P3", "P3v3"),
        ),
        Switch(
            "P8v3",
            "dead caches: no per-CPU array, each free goes to its slab; the reaper skips them",
            _SLAB,
            group="P8",
            needs=("P3", "P3v3"),
        ),
        Switch(
            "F_FLIM",
            "P8v3 with free_limit 0 instead of a test for dead caches at each slab freed",
            _SLAB,
            needs=("P8v3",),
        ),
        Switch("F_OBO", "a slab is discarded at nr_partial >= min_partial (before 3.16 final: >)", _SLUB),
        Switch("F_NRP", "shrink takes every node's list_lock, also where nr_partial reads 0", _SLUB),
        Switch(
            "F_OBJCG",
            "one set of caches; each object points to its owner, and the owner's pointer to the memcg moves at offline "
            "(5.9)",
            _SLUB,
            conflicts=(
                "P1",
                "P2",
                "P3",
                "P3v3",
                "P7",
                "P7v2",
                "P7v3",
                "P7v4",
                "P7a",
                "P7b",
                "F_CSS",
                "F_REPARENT",
                "F_WORK",
                "F_FULL",
                "F_FREEREF",
                "F_MB",
            ),
            defining=True,
        ),
        Switch(
            "F_OBJCGNODE",
            "a memcg has an owner for each node, and an allocation takes that of its CPU's node (7.1)",
            _SLUB,
            requires=("F_OBJCG",),
        ),
        Switch(
            "F_STOCKMEMCG",
            "a CPU's stock of charged bytes serves all owners of one memcg (7.1)",
            _SLUB,
            group="stock",
            requires=("F_OBJCGNODE",),
        ),
        Switch(
            "F_STOCK5",
            "a CPU's stock of charged bytes has five slots, an owner each (7.2)",
            _SLUB,
            group="stock",
            requires=("F_OBJCG",),
        ),
        Switch(
            "F_PAGESTOCK",
            "pages are charged 64 at once, and what is not used stays with the CPU, for seven memcgs (6.16)",
            _SLUB,
            requires=("F_OBJCG",),
        ),
        Switch(
            "F_PAGESTOCKPUT",
            "a memcg whose charged pages a CPU has used up is not pinned by it (7.3)",
            _SLUB,
            requires=("F_PAGESTOCK",),
        ),
        Switch(
            "F_SHEAF",
            "per-CPU sheaves of free objects and a barn of sheaves per node, in front of SLUB (6.18)",
            _SLUB,
            needs=("F_OBJCG",),
            defining=True,
        ),
        Switch("F_SHEAFASK", "only caches that ask for sheaves have them (6.18)", _SLUB, needs=("F_SHEAF",)),
        Switch(
            "F_RCUSHEAF",
            "objects of kfree_rcu wait for their grace period by the sheaf, charged until then (6.18)",
            _SLUB,
            requires=("F_SHEAF",),
        ),
        Switch(
            "F_618SHRINK",
            "shrink and shutdown flush the CPUs first and empty the barns then, although there are CPU slabs (6.18)",
            _SLUB,
            needs=("F_SHEAF",),
        ),
        Switch(
            "F_PARTIALSLABS",
            "CPU partial lists are limited by their slabs: 240, 104, 48 or 12 objects by size, free or not (5.16)",
            _SLUB,
            conflicts=("F_NOCPUSLAB",),
        ),
        Switch(
            "F_NOCPUSLAB",
            "no CPU slabs and no CPU partial lists; sheaves are filled from the nodes' slabs (7.0)",
            _SLUB,
            requires=("F_SHEAF",),
            conflicts=("F_618SHRINK",),
            defining=True,
        ),
        Switch(
            "F_CAP7",
            "every cache has sheaves, of 60, 28, 12 or 4 objects by their size (7.0)",
            _SLUB,
            requires=("F_SHEAF",),
            conflicts=("F_SHEAFASK",),
        ),
        Switch(
            "F_REFILL7",
            "what is left of a freelist after a refill is freed; slabs not touched go to the list's head (7.0)",
            _SLUB,
            group="refill",
            requires=("F_NOCPUSLAB",),
        ),
        Switch(
            "F_REFILL72",
            "what is left is swapped back without a lock, and goes with slabs not touched to the list's tail (7.2)",
            _SLUB,
            group="refill",
            requires=("F_NOCPUSLAB",),
        ),
        Switch(
            "F_REFILL73",
            "the same, swapped back under list_lock (7.3)",
            _SLUB,
            group="refill",
            requires=("F_NOCPUSLAB",),
        ),
        Switch(
            "F_REMOTETRY", "other nodes' list_lock is only tried for a refill (7.0)", _SLUB, requires=("F_NOCPUSLAB",)
        ),
        Switch(
            "F_GATE",
            "an allocation that may not block refills no sheaf: with the barn empty it takes one object (7.0-rc1)",
            _SLUB,
            requires=("F_SHEAF",),
        ),
        Switch(
            "F_BARNONLINE",
            "nodes without memory have barns, and their CPUs free objects of any node to their sheaves (7.1)",
            _SLUB,
            requires=("F_NOCPUSLAB",),
        ),
        Switch(
            "F_REFILLFLUSH",
            "what a refill that failed has got is flushed before its sheaf is freed (7.0)",
            _SLUB,
            requires=("F_NOCPUSLAB",),
        ),
        Switch(
            "F_NOLOCK",
            "allocations and frees that may not spin try every lock; such a free is left to an interrupt (6.18)",
            _SLUB,
            requires=("F_NOCPUSLAB",),
        ),
        Switch(
            "F_RT",
            "PREEMPT_RT: the local lock of a CPU's sheaves is a real one, whose holder may be preempted",
            _SLUB,
            requires=("F_NOCPUSLAB",),
        ),
        Switch(
            "F_FLUSHLOCK",
            "a flush waits for the local lock before it empties main; before, it gave up (7.0; matters with F_RT)",
            _SLUB,
            requires=("F_NOCPUSLAB",),
        ),
        Switch(
            "F_BUG_VECFAIL",
            "who gets no memory for a slab's vector of owners says so by a plain store (6.10 to 6.17)",
            _SLUB,
            requires=("F_OBJCG",),
        ),
        Switch(
            "F_STOCKLOOK",
            "the offline looks into every CPU's stock of charged bytes, and has those of the memcg drained",
            _SLUB,
            group="stock look",
            requires=("F_OBJCG",),
        ),
        Switch(
            "F_BUG_STOCKLOOK",
            "the same, with the pointer read once to be tested and once to be followed (5.9 to 6.3)",
            _SLUB,
            group="stock look",
            requires=("F_OBJCG",),
        ),
        Switch(
            "F_UNLINKLOCKED",
            "the destruction of a root cache deletes its sysfs directory under slab_mutex (to 5.19)",
            _SLUB,
        ),
        Switch(
            "F_FULL", "full slabs of child caches are on a list of their node, under list_lock", _SLUB, defining=True
        ),
        Switch("F_FREEREF", "every free into a child cache takes and drops a per-CPU reference", _BOTH),
        Switch("F_NP", "a free is not preemptible", _SLUB),
        Switch("F_RCU", "a grace period lies between a child's last slab and its destruction", _BOTH, needs=("P2",)),
        Switch("F_MB", "every CPU passes a full barrier after the dead mark", _BOTH, needs=("P3", "P3v3")),
        Switch("F_GP", "a grace period lies between the dead mark and the shrink", _BOTH, needs=("P3", "P3v3")),
        Switch(
            "F_FLUSHWORK",
            "the destruction of a root cache lets deferred work and grace periods end first (2018)",
            _BOTH,
        ),
        Switch("F_SYSFS", "a write to a root cache's min_partial leaves its dead children alone", _SLUB),
        Switch(
            "F_ALLCPU",
            "a dead cache's flush goes to every CPU, not only to those that hold something",
            _SLUB,
            needs=("P3", "P3v3"),
        ),
    )
}
