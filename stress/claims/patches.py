"""Claims 7 and 9: patch 4 when memory is short; patches 1 and 5, which change nothing."""

from __future__ import annotations

from typing import Any

import msgspec

from stress.claims.claim import Figure, Finding, Verdict, figure
from stress.claims.lab import Lab
from stress.result.data import Design

WITHOUT_P4, WITH_P4 = ("linux-3.16", "v1-P4"), ("linux-3.16+P4", "v1")
SAME = (("linux-3.16", "linux-3.16+P1", "linux-3.16+P1+P5"), ("v1-P1-P5", "v1-P5", "v1"))
WORKLOADS: tuple[tuple[str, dict[str, int]], ...] = (
    ("offline-storm", {"operations": 40_000}),
    ("dead-free", {"slabs": 64}),
    ("leak", {}),
)


def shrink_never_fails(lab: Lab) -> Finding:
    """Claim 7: leak, most of whose caches are empty at the offline, with and without failures of the sort array."""
    designs = [name for name in (*WITHOUT_P4, *WITH_P4) if lab.has(name)]
    settings = {"cgroups": lab.size(10, 3), "files": lab.size(300, 40)}
    sound = lab.run("leak", *designs, settings=settings).designs
    failing = lab.run("leak", *designs, settings=settings, fail=["shrink-alloc"]).designs
    return judge_shrink(sound, failing)


def judge_shrink(sound: dict[str, Design], failing: dict[str, Design]) -> Finding:
    """Holds if failure leaks caches without P4 and none more with it."""
    figures: list[Figure] = []
    more: dict[str, int] = {}
    for name in sound:
        ours, theirs = sound[name].dead_caches.left, failing[name].dead_caches.left
        if ours is None or theirs is None:
            return Finding(Verdict.UNKNOWN, f"{name} was not counted", figures)
        more[name] = theirs - ours
        figures.append(
            figure(
                f"{name}, caches left",
                [ours, theirs],
                f"{ours}, with failure {theirs}, of {failing[name].dead_caches.offlined}",
            )
        )
    if not all(name in more for name in WITH_P4) or not any(name in more for name in WITHOUT_P4):
        return Finding(Verdict.UNKNOWN, "a design with or without P4 is not built", figures)
    broken = [name for name in WITH_P4 if more.get(name)]
    if broken:
        return Finding(Verdict.FAILS, f"with P4 failure still leaks: {', '.join(broken)}", figures)
    if not any(more[name] > 0 for name in WITHOUT_P4 if name in more):
        return Finding(Verdict.FAILS, "failure leaks nothing without P4 either", figures)
    leaked = ", ".join(f"{name} {more[name]}" for name in WITHOUT_P4 if name in more)
    return Finding(Verdict.HOLDS, f"caches leaked by failure without P4: {leaked}; with it none", figures)


def no_change(lab: Lab, allocator: str) -> Finding:
    """Claim 9: the same tapes in the same order must leave the same of everything that is counted."""
    lab.need(allocator)
    runs: dict[str, list[Design]] = {}
    for scenario, settings in WORKLOADS:
        scaled = {key: lab.size(value, max(1, value // 20)) for key, value in settings.items()}
        for designs in SAME:
            result = lab.run(scenario, *designs, allocator=allocator, settings=scaled)
            runs[f"{scenario}, {' = '.join(designs)}"] = [result.designs[name] for name in designs]
    return judge_same(runs)


def judge_same(runs: dict[str, list[Design]]) -> Finding:
    """Holds if all counts of all designs of a run are equal."""
    figures, different = [], []
    for name, designs in runs.items():
        counts = [_counts(design) for design in designs]
        fields = {
            key
            for other in counts[1:]
            for key in counts[0].keys() | other.keys()
            if counts[0].get(key) != other.get(key)
        }
        compared = len(counts[0])
        text = f"differ in {', '.join(sorted(fields))}" if fields else f"{compared} counts equal"
        figures.append(figure(name, sorted(fields), text))
        if fields:
            different.append(name)
    if not runs or any(len(designs) < 2 or not all(d.frees for d in designs) for designs in runs.values()):
        return Finding(Verdict.UNKNOWN, "a run has nothing to compare", figures)
    if different:
        return Finding(Verdict.FAILS, f"counts differ: {'; '.join(different)}", figures)
    return Finding(Verdict.HOLDS, f"every count of {len(runs)} runs is the same", figures)


def _counts(design: Design) -> dict[str, Any]:
    """Every count by a dotted name; switches and speeds are not counts."""
    flat: dict[str, Any] = {}
    for field, value in msgspec.to_builtins(design).items():
        if field not in ("switches", "frees_per_second", "operations_per_second"):
            flat |= {f"{field}.{key}": v for key, v in value.items()} if isinstance(value, dict) else {field: value}
    return flat
