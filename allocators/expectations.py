"""What a design's switches let one expect of dead caches that are left; what each switch does is in `designs`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from allocators.catalogue import facts
from allocators.switches import SWITCHES


def why_left(switches: Iterable[str], allocator: str, empty_slabs: Mapping[str, int]) -> str:
    """Why dead caches without live objects are still there, in a sentence. empty_slabs: theirs, by place."""
    has = set(switches)
    self_discarding = any(switch in SWITCHES and SWITCHES[switch].group == "P7" for switch in has)
    if "F_WORK" in has and not self_discarding:
        return (
            "Expected: the work that the offline schedules shrinks a cache once, and from then on the free path keeps "
            "the last empty slabs, so the last page never goes."
        )
    if "F_CSS" in has and self_discarding and "P2" not in has:
        return "Its caches go when their cgroup is released, and each page that is charged pins the cgroup."
    if "F_REPARENT_SLABS" in has:
        return "Its switches do not explain this: every slab should have moved to the root cache."
    if not has & {"P2", "F_WORK", "F_CSS"}:
        return "Expected: without P2 nothing destroys a cache that had live objects when its cgroup went."
    if facts(allocator).settles:
        return "In time the periodic reaper empties every cache: allow it more of it (--settle)."
    if not self_discarding:
        return "Expected: without P7 the free path keeps the last empty slabs of a cache, so its last slab never goes."
    if "P7" in has and "F_ALLCPU" not in has and empty_slabs.get("cpu_partial"):
        return (
            "In line with R12: the sentinel is not planted on CPUs that held nothing of the cache when its cgroup "
            "went offline; frees on such a CPU hoard empty slabs again."
        )
    if "F_OBO" not in has and empty_slabs.get("node_partial"):
        return "In line with R7: without F_OBO a slab found empty off the list is kept, one per node."
    return "Its switches do not explain this."
