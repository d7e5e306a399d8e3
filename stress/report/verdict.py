"""The answer of a run in one sentence: what became of dead caches under each design, and what frees cost."""

from __future__ import annotations

from allocators.catalogue import facts
from stress.judge.ratio import Ratio
from stress.judge.verdict import verdict_of
from stress.report.table import launches, order
from stress.result.data import Result
from stress.show import units


def verdict(result: Result) -> str:
    """One sentence; it claims no more than the sentences of the report, and a violated invariant comes before all."""
    if result.invariants.violated:
        broken = result.invariants.violated[0]
        more = len(result.invariants.violated) - 1
        others = f", and {units.plural(more, 'more violation')}" if more else ""
        what = f"INVARIANT VIOLATED under {broken.design}: {broken.invariant}{others}"
        return f"{what}: no figure of this run is to be relied on."
    clauses = [clause for clause in (fates(result), _speeds(result)) if clause]
    text = "; ".join(clauses) or "this run measured nothing"
    partial = f" (partial: {result.partial_reason or 'the reason is not known'})" if result.partial else ""
    return text[0].upper() + text[1:] + partial + "."


def fates(result: Result) -> str:
    """Of 720 caches of removed cgroups linux-3.16 leaves 713 behind, v1 2 and v3 none."""
    if not facts(result.allocator).has_children:
        return f"{result.allocator.upper()} has no caches of cgroups, so none can be left behind"
    known = [
        (name, dead.offlined, dead.left)
        for name in order(result)
        if (dead := result.designs[name].dead_caches).offlined and dead.left is not None
    ]
    if not known:
        return ""
    created = {offlined for _, offlined, _ in known}
    same = len(created) == 1
    parts: list[str] = []
    for name, offlined, left in known:
        count = "none" if left == 0 else "all" if left == offlined else f"{left:,}"
        count += "" if same else f" of {offlined:,}"
        parts.append(f"{name} {count}" if parts else f"{name} leaves {count} behind")
    listed = parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
    whole = (
        f"of {units.plural(created.pop(), 'cache')} of removed cgroups" if same else "of the caches of removed cgroups"
    )
    return f"{whole} {listed}"


def _speeds(result: Result) -> str:
    """Speed of each other design beside the baseline; frees where they were timed apart, else mixed operations."""
    if result.serial and not result.blocks:
        return "speed was not measured, as one process stepped all CPUs"
    if not facts(result.allocator).has_children:
        return ""  # all designs are one
    by_kind: dict[str, list[str]] = {}
    for name in order(result):
        ratios = result.ratios.get(name)
        if ratios is None:
            continue
        value, what = (
            (ratios.free_throughput, "frees") if ratios.free_throughput.pairs else (ratios.mixed, "operations")
        )
        if value.estimate is not None:
            by_kind.setdefault(what, []).append(f"{name} {speed(value, launches(result, value.pairs))}")
    return "; ".join(f"{what} against {result.baseline}: {', '.join(said)}" for what, said in by_kind.items())


def speed(value: Ratio, rests_on: str) -> str:
    """A ratio in a few words, by the same verdict as `sentences.speed`."""
    verdict = verdict_of(value)
    assert value.estimate is not None and verdict is not None
    if value.low is None:
        return f"cannot tell from {rests_on}"
    about = units.change(value.estimate) if verdict.call in ("faster", "slower") else verdict.call
    return f"{about} {units.interval(value)}"
