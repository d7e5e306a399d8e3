"""What the figures say, in sentences. Each is derived from numbers of the result and from nothing else.

A sentence claims no more than its numbers carry: what it says of a speed is the verdict of
`stress.judge.verdict`. Causes come from the design's switches and are worded as such.
"""

from __future__ import annotations

from allocators.catalogue import DEFAULT, facts
from allocators.expectations import why_left
from stress.judge.ratio import Ratio, least_pairs
from stress.judge.verdict import verdict_of
from stress.report import table
from stress.report.correspondence import differing
from stress.report.table import lock_name, order, place_name
from stress.result.data import Design, Result
from stress.show import units

PAGE_BYTES = 4096


def sentences(result: Result) -> list[str]:
    """Everything worth saying: violated invariants, fate of dead caches, speed, locks; in this order."""
    said = [invariant(v.invariant, v.design, v.description) for v in result.invariants.violated]
    if not said and result.invariants.checked:
        said.append(f"All {len(result.invariants.checked)} invariants that were checked hold.")
    if result.partial:
        said.append(f"This result is partial: {(result.partial_reason or 'the reason is not known').rstrip('.')}.")
    names = order(result)
    said += [failed for name in names if (failed := failures(name, result.designs[name]))]
    about = facts(result.allocator)
    if not about.has_children:
        said.append(
            f"{about.name} has no caches of cgroups (accounting their memory needs SLUB or SLAB), so none can be left "
            f"behind and no cgroup is pinned{f': {about.instead}' if about.instead else ''}."
        )
        if len(names) > 1:
            said.append(
                f"No switch of {' and '.join(names)} changes {about.name}: they are the same code, and what differs "
                "between them is noise."
            )
    for name in names:
        said.append(fate(name, result.designs[name], result.partial, result.allocator))
    doubt = "; do not rely on it, for the reasons given below" if result.trust.grade == "poor" else ""
    for name in names:
        if name == result.baseline or name not in result.ratios:
            continue
        ratios = result.ratios[name]
        for what, value in (
            ("frees into live caches", ratios.live),
            ("frees into dead caches", ratios.dead),
            ("mixed allocations and frees", ratios.mixed),
        ):
            if value.estimate is not None and about.has_children:
                rests_on = table.launches(result, value.pairs)
                said.append(f"{name}: {what}: {speed(value, result.baseline, rests_on)}{doubt}.")
        if not ratios.free_throughput.pairs and not ratios.mixed.pairs and not result.serial:
            said.append(f"{name}: no launch in common with {result.baseline}: nothing can be said about its speed.")
        cost = locks(
            name,
            result.designs[name],
            result.baseline,
            result.designs.get(result.baseline),
            lock_name(result.allocator),
        )
        if cost:
            said.append(cost)
    if other := differing([result.designs[name] for name in names]):
        said.append(other)
    if result.serial and not result.blocks:
        said.append("Speed was not measured: the CPUs were stepped by one process.")
    return said


def invariant(name: str, design: str, description: str) -> str:
    """A violated invariant, with the state that violates it."""
    return f"INVARIANT VIOLATED under {design}: {name}: {description.rstrip('.')}."


def failures(name: str, design: Design) -> str:
    """What failed because `--fail` asked for it; "" when nothing did."""
    counts = [
        units.plural(n, what)
        for key, what in (
            ("page_allocs_failed_on_purpose", "page allocation"),
            ("shrink_allocs_failed_on_purpose", "sort array"),
        )
        if (n := design.operations.get(key))
    ]
    return f"{name}: {' and '.join(counts)} failed on purpose." if counts else ""


def fate(name: str, design: Design, partial: bool = False, allocator: str = DEFAULT) -> str:
    """What became of the caches of removed cgroups under one design."""
    dead = design.dead_caches
    if dead.offlined is None or dead.left is None:
        return f"{name}: no counted pass was completed: what became of its dead caches is not known."
    if not facts(allocator).has_children:
        return _shared_pages(name, design)
    if dead.offlined == 0 and "F_OBJCG" in design.switches:
        released = (
            "every removed cgroup was released"
            if not design.cgroups_pinned
            else f"{units.plural(design.cgroups_pinned, 'removed cgroup')} not released"
        )
        peak = design.operations.get("owner_bytes_peak")
        cost = f"; owner pointers took up to {peak:,} bytes" if peak else ""
        return f"{name}: cgroups have no caches of their own, so none could be left; {released}{cost}."
    if dead.offlined == 0:
        return f"{name}: no removed cgroup left a cache behind, so this run says nothing about dead caches."
    caches = "cache" if dead.offlined == 1 else "caches"
    if dead.left == 0:
        whole = f"the only {caches}" if dead.offlined == 1 else f"all {dead.offlined:,} {caches}"
        were = "was" if dead.offlined == 1 else "were"
        return f"{name}: {whole} of removed cgroups {were} destroyed{_took(design, ', ')}."
    holding = (design.slabs_left or 0) - sum(design.empty_slabs.values())
    when = "when the run stopped" if partial else "at the end" if holding > 0 else "after the last free"
    text = (
        f"{name}: {dead.left:,} of {dead.offlined:,} {caches} of removed cgroups "
        f"{'is' if dead.left == 1 else 'are'} still there {when}"
    )
    clauses = [text, *_hidden(design, holding), *_pinned(design)]
    if dead.destroyed:
        clauses.append(
            f"the other {dead.destroyed:,} {'was' if dead.destroyed == 1 else 'were'} destroyed{_took(design, ' ')}"
        )
    why = "" if holding > 0 else why_left(design.switches, allocator, design.empty_slabs)
    return "; ".join(clauses) + "." + (f" {why}" if why else "")


def _shared_pages(name: str, design: Design) -> str:
    """SLOB: there are no dead caches; what its pages were used for."""
    counts = design.operations
    if not design.counted_passes:
        return f"{name}: no counted pass was completed: what its pages were used for is not known."
    most = counts.get("peak_pages", 0)
    said = [f"{name}: at most {units.plural(most, 'page')} {'was' if most == 1 else 'were'} in shared use"]
    if most:
        said[0] += f", {counts['free_bytes_at_peak'] / (PAGE_BYTES * most):.0%} of them free"
    pinned = sum(
        counts.get(key, 0)
        for key in ("pages_small", "pages_medium", "pages_large", "pages_full", "pages_of_large_objects")
    )
    said.append(f"live objects pin {units.plural(pinned, 'page')} at the end" if pinned else "none is left at the end")
    if design.cgroups_pinned:
        said.append(f"{units.plural(design.cgroups_pinned, 'removed cgroup')} not released")
    return "; ".join(said) + "."


def _took(design: Design, joint: str) -> str:
    lifetime = design.lifetime_seconds
    if lifetime.p50 is None or lifetime.max is None:
        return ""
    # A re-parented cache goes before its objects do.
    since = "their cgroups went offline" if "F_REPARENT_SLABS" in design.switches else "the last free"
    return f"{joint}{units.seconds(lifetime.p50)} after {since} (median; longest {units.seconds(lifetime.max)})"


def _hidden(design: Design, holding: int) -> list[str]:
    places = {place_name(place): n for place, n in design.empty_slabs.items() if n}
    empty = sum(places.values())
    said = []
    if empty:
        where = ", ".join(f"{n:,} in {place}" for place, n in sorted(places.items(), key=lambda item: -item[1]))
        whose = (
            f"{empty:,} of their {design.slabs_left:,} slabs"
            if holding > 0
            else units.plural(empty, "slab") + " of theirs"
        )
        said.append(f"{whose} {'is' if empty == 1 else 'are'} empty, hidden in: {where}")
    if holding > 0:
        said.append(f"{units.plural(holding, 'slab')} still {'holds' if holding == 1 else 'hold'} live objects")
    return said


def _pinned(design: Design) -> list[str]:
    pinned = [
        units.plural(n, what) for n, what in ((design.pages_left, "page"), (design.cgroups_pinned, "cgroup")) if n
    ]
    return [f"they pin {' and '.join(pinned)}"] if pinned else []


def speed(value: Ratio, baseline: str, rests_on: str) -> str:
    """What a ratio of throughputs allows to be said, with its interval. rests_on: see `table.launches`."""
    verdict = verdict_of(value)
    assert value.estimate is not None and verdict is not None
    than = _than(units.change(value.estimate), baseline)
    if value.low is None:
        need = least_pairs(verdict.confidence)
        return f"cannot tell: only {rests_on}, {need} are needed (on these: {than}){units.more_time(verdict)}"
    span = units.interval(value)
    if verdict.call == "equivalent":
        small = ", a difference smaller than the margin" if verdict.different else ""
        return f"equivalent (within ±{units.percent(verdict.margin)}{small}): {than} {span}"
    if verdict.call == "cannot tell":
        return f"cannot tell: {than} {span}, and that includes no change{units.more_time(verdict)}"
    return f"{than} {span}"


def _than(about: str, baseline: str) -> str:
    return f"as fast as {baseline}" if about == "as fast" else f"{about} than {baseline}"


def locks(name: str, design: Design, baseline: str, before: Design | None, lock: str = "list_lock") -> str:
    """The exact cost in locks and compare-and-swaps per free beside the baseline's; "" when unknown."""
    if before is None:
        return ""
    parts = []
    for key, what in (("list_lock", f"{lock} acquisitions"), ("page_cas", "page CAS")):
        mine, theirs = getattr(design.per_free, key), getattr(before.per_free, key)
        if mine is None or theirs is None:
            continue
        factor = "" if not theirs or not mine else f" (×{mine / theirs:.2f})"
        parts.append(f"{units.per_unit(mine)} {what}{factor}")
    if not parts:
        return ""
    return f"{name}: {' and '.join(parts)} per free, in brackets against {baseline}."
