"""Whose are the finds beyond the catalogue? Judged by hand, one by one."""

from __future__ import annotations

from typing import NamedTuple

KERNEL, OURS, SCENE, UNJUDGED = "the kernel's", "ours", "the scene's", "not judged"


class Judgement(NamedTuple):
    """Of finds of a kind: whose they are, and why. part: of the find's text. designs, models (any name of a scene),
    allocator: empty for all."""

    kind: str
    whose: str
    why: str
    part: str = ""
    designs: frozenset[str] = frozenset()
    models: frozenset[str] = frozenset()
    allocator: str = ""


def _in(*names: str) -> frozenset[str]:
    return frozenset(names)


_PICKED = _in("R10", "alloc-vs-offline")
_CHILDREN = _in("linux-3.15", "linux-3.16", "full-tracking", "rfc-reparent", "v1", "v2", "v3", "linux-4.0", "linux-5.3")

# The first that fits counts.
JUDGEMENTS: tuple[Judgement, ...] = (
    Judgement(
        "leak", SCENE, "a CPU's array is emptied by the periodic reaper, and time stands still here", "cpu_array",
        allocator="slab",
    ),
    Judgement(
        "leak", KERNEL, "the old self-destruction shrinks a dead cache once; what is freed or kept later stays",
        designs=_in("linux-3.15"),
    ),
    Judgement(
        "leak", KERNEL, "a dead cache that is not empty at its offline stays for ever: why the series was written",
        designs=_in("linux-3.16", "full-tracking"),
    ),
    Judgement("leak", KERNEL, "R12", "cpu_partial", _in("v1")),
    Judgement("leak", KERNEL, "R6, in the series itself", "cpu_partial", _in("v2", "v3"), _in("R6")),
    Judgement("leak", KERNEL, "R8", "node_partial", _in("v1", "v2"), _in("R8")),
    Judgement("leak", KERNEL, "R13", "node_partial", _in("v1", "v2", "v3", "linux-4.0", "linux-5.3"), _in("R13")),
    Judgement(
        "leak", KERNEL, "an allocation picked its cache before the offline, and makes a CPU slab of a dead one",
        "cpu_slab", models=_PICKED,
    ),
    Judgement(
        "use after free", KERNEL, "R4's form: cpu_partial is read after the push (our reading; no report is known)",
        ".cpu_partial of cache", _in("linux-5.3"),
    ),
    Judgement("use after free", KERNEL, "R1", "stat cpu_partial_free", models=_in("R1")),
    Judgement("use after free", KERNEL, "R9", "flush_cpu_slab", models=_in("R9")),
    Judgement("use after free", KERNEL, "R10", models=_PICKED, designs=_CHILDREN),
    Judgement("assertion", KERNEL, "R10", models=_PICKED, designs=_CHILDREN),
    Judgement("use after free", KERNEL, "R1b, of a task that migrates", "cache_ref_tryget", _in("rfc-reparent")),
    Judgement(
        "use after free", OURS,
        "a grace period stands for the references there, and it does not wait for a free that is preempted",
        "cache_ref_put", _in("full-tracking"),
    ),
    Judgement(
        "corruption", KERNEL, "the creation of a child that was queued before the offline makes one after it",
        "kmem_dead is 0", _CHILDREN, _in("create-vs-offline"),
    ),
    Judgement("assertion", KERNEL, "R11", "", _CHILDREN, _in("R11")),
    Judgement("use after free", KERNEL, "R11", "", _CHILDREN, _in("R11")),
    Judgement("assertion", KERNEL, "B25: until 6.12 no destroy waited for kfree_rcu", "assertion 5", models=_in("B25")),
    Judgement(
        "data race", OURS, "the sort buckets are the world's, for the kworker alone; a kernel has them on its stack",
        "shrink_scratch", models=_in("R9"),
    ),
    Judgement("data race", KERNEL, "R9: nothing orders a shrink and the destruction", "", _CHILDREN, _in("R9")),
    Judgement(
        "data race", KERNEL, "R10: nothing orders an allocation that picked the cache and the destruction", "_retire",
        _CHILDREN, _PICKED,
    ),
    Judgement("data race", KERNEL, "R1: nothing orders the statistic and the destruction", "_retire", models=_in("R1")),
    Judgement("data race", KERNEL, "B28", "_from_node", _in("linux-7.2")),
)  # fmt: skip


def judgement_of(models: list[str], design: str, allocator: str, kind: str, text: str) -> tuple[str, str]:
    """Whose a find is, and why; UNJUDGED and "" when nobody has said."""
    for judged in JUDGEMENTS:
        if (
            judged.kind == kind
            and judged.part in text
            and (not judged.designs or design in judged.designs)
            and (not judged.models or judged.models & set(models))
            and judged.allocator in ("", allocator)
        ):
            return judged.whose, judged.why
    return UNJUDGED, ""
