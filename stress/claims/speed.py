"""Claims 4, 6 and 8: what live caches pay, for the series, for tracking full slabs, and for patch 6."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from stress.claims.claim import Figure, Finding, Verdict, figure
from stress.claims.lab import Lab, settling
from stress.judge import verdict as equivalence
from stress.judge.ratio import MIN_PAIRS, Ratio
from stress.result.data import Result
from stress.show import units

MARGIN = equivalence.DEFAULT_MARGIN  # what "no noticeable impact" is taken to mean
BURST_BYTES = 8 << 20  # of one CPU in free-burst
SERIES = ("v1", "v3")
AGAIN = 2.0  # times as long, when something is measured again
LONGER = 3.0  # times as long, for claims that rest on a single run


def no_impact(lab: Lab, allocator: str) -> Finding:
    """Claim 4: pairs and free-burst by object size, timed.

    Of some fifty intervals at 95 % confidence one or two miss the truth by chance. So what looks slow is measured
    again, for twice the time and by itself, and only what looks slow again is called so.
    """
    lab.need(allocator, SERIES)
    options = settling(allocator, 0.0)
    measured: list[tuple[str, Ratio]] = []
    for size in (64,) if lab.quick else (64, 256, 1024, 8192):
        objects = min(lab.size(8192, 500), BURST_BYTES // size)
        for scenario, kinds, settings in (
            ("pairs", ("mixed",), {"operations": lab.size(65_536, 20_000)}),
            ("free-burst", ("alloc", "live"), {"objects": objects, "bursts": 2}),
        ):
            settings = {"object_size": size} | settings
            run = partial(
                lab.run, scenario, "linux-3.16", allocator=allocator, serial=False, settings=settings, **options
            )
            first = timed(run(*SERIES), f"{size} B", kinds)
            measured += first.items()
            for design in SERIES:
                slow = [name for name, ratio in first.items() if name.endswith(f", {design}") and is_slow(ratio)]
                if slow:
                    again = timed(run(design, seconds=AGAIN * lab.timed_seconds), f"{size} B", kinds)
                    measured += [(f"{name}, again", again[name]) for name in slow]
    return judge_equivalence(measured)


def timed(result: Result, name: str, kinds: Sequence[str]) -> dict[str, Ratio]:
    """What was timed, in words, and the ratio of every design but the baseline, for these kinds of section."""
    words = {"mixed": "pairs", "alloc": "allocations", "live": "frees", "dead": "dead frees"}
    return {
        f"{name} {words[kind]}, {design}": getattr(ratios, kind)
        for design, ratios in result.ratios.items()
        for kind in kinds
    }


def is_slow(ratio: Ratio) -> bool:
    """Does the whole interval lie beyond the margin, on the slow side?"""
    return equivalence.beyond(ratio) == "slower"


def ratio_figure(name: str, ratio: Ratio) -> Figure:
    """Throughput against the baseline, with its interval."""
    value = {"estimate": ratio.estimate, "low": ratio.low, "high": ratio.high, "pairs": ratio.pairs}
    return Figure(name, value, units.ratio(ratio))


def judge_equivalence(ratios: Sequence[tuple[str, Ratio]]) -> Finding:
    """Holds if every interval lies within the margin; fails if one lies outside, on the slow side; else cannot tell.

    What was measured again ("…, again") is judged by that measurement.
    """
    figures = [ratio_figure(name, ratio) for name, ratio in ratios]
    latest = dict(ratios)
    last = {name: latest.get(f"{name}, again", ratio) for name, ratio in ratios if not name.endswith(", again")}
    known = {name: ratio for name, ratio in last.items() if ratio.low is not None}
    if len(known) < len(last) or not last:
        return Finding(Verdict.UNKNOWN, f"fewer than {MIN_PAIRS} launches", figures)
    slow = [name for name, ratio in known.items() if is_slow(ratio)]
    if slow:
        return Finding(Verdict.FAILS, f"more than {MARGIN:.0%} slower: {'; '.join(slow)}", figures)
    wide = [name for name, ratio in known.items() if not equivalence.not_slower(ratio)]
    if wide:
        return Finding(
            Verdict.UNKNOWN, f"{len(wide)} of {len(known)} intervals reach beyond {MARGIN:.0%} slower", figures
        )
    return Finding(Verdict.HOLDS, f"none of {len(known)} intervals reaches beyond {MARGIN:.0%} slower", figures)


def counted_and_timed(lab: Lab, scenario: str, design: str, settings: dict[str, int]) -> tuple[Result, Result]:
    """The same work under linux-3.16 and a design: serially for exact counts, on all CPUs, and longer, for its time."""
    run = partial(lab.run, scenario, "linux-3.16", design, settings=settings)
    return run(), run(serial=False, seconds=LONGER * lab.timed_seconds)


def full_tracking(lab: Lab) -> Finding:
    """Claim 6: remote-free, whose CPUs contend for each other's slabs; locks from the serial run."""
    lab.need("slub", ["full-tracking"])
    settings = {"object_size": 256, "rounds": lab.size(8, 4), "batch": lab.size(4096, 200)}
    counted, clocked = counted_and_timed(lab, "remote-free", "full-tracking", settings)
    before, after = (counted.designs[name] for name in ("linux-3.16", "full-tracking"))
    locks = [d.operations.get("list_lock", 0) / max(1, (d.frees or 0) + (d.allocations or 0)) for d in (before, after)]
    return judge_slowdown(clocked.ratios["full-tracking"].live, locks[0], locks[1])


def judge_slowdown(ratio: Ratio, locks_before: float, locks_after: float) -> Finding:
    """Holds if frees are noticeably slower; fails if they are not; else cannot tell."""
    figures = [
        ratio_figure("contended frees/s", ratio),
        figure(
            "list_lock per operation",
            [locks_before, locks_after],
            f"{units.per_unit(locks_before)} → {units.per_unit(locks_after)}",
        ),
    ]
    return slowdown(ratio, "frees", figures)


def slowdown(ratio: Ratio, what: str, figures: list[Figure]) -> Finding:
    """Holds if what was timed is noticeably slower; fails if it is not; else cannot tell."""
    if ratio.estimate is None or ratio.low is None or ratio.high is None:
        return Finding(Verdict.UNKNOWN, f"fewer than {MIN_PAIRS} launches", figures)
    said = f"{what} are {units.change(ratio.estimate)} {units.interval(ratio)}"
    if is_slow(ratio):
        return Finding(Verdict.HOLDS, said, figures)
    if equivalence.not_slower(ratio):
        return Finding(Verdict.FAILS, said, figures)
    return Finding(Verdict.UNKNOWN, f"{said}, which includes no noticeable change", figures)


def patch_6(lab: Lab) -> Finding:
    """Claim 8: compare-and-swaps of the refill exactly, and its time; remote-free refills from partly free slabs."""
    lab.need("slub", ["linux-3.16+P6"])
    settings = {"object_size": 256, "rounds": 8, "batch": lab.size(4096, 1000)}
    counted, clocked = counted_and_timed(lab, "remote-free", "linux-3.16+P6", settings)
    ratios = clocked.ratios["linux-3.16+P6"]
    return judge_patch_6(counted, {"allocations": ratios.alloc, "frees": ratios.live})


def judge_patch_6(counted: Result, ratios: dict[str, Ratio]) -> Finding:
    """Matters little: it saves one compare-and-swap per refilled slab, and no time beyond the margin."""
    before, after = counted.designs["linux-3.16"], counted.designs["linux-3.16+P6"]
    saved = before.operations["this_cpu_cas"] - after.operations["this_cpu_cas"]
    refills, allocations = before.stats.get("cpu_partial_node") or 0, before.allocations or 1
    figures = [
        figure("per-CPU CAS, before and after", [before.operations["this_cpu_cas"], after.operations["this_cpu_cas"]],
               f"{before.operations['this_cpu_cas']:,} → {after.operations['this_cpu_cas']:,}"),
        figure("CPU_PARTIAL_NODE (slabs put on the CPU's list by a refill)", refills, f"{refills:,}"),
        figure("saved per allocation", saved / allocations, units.per_unit(saved / allocations)),
        *(ratio_figure(f"{name}/s", ratio) for name, ratio in ratios.items()),
    ]  # fmt: skip
    if not refills:
        return Finding(Verdict.UNKNOWN, "no refill put a slab on a CPU's partial list", figures)
    if saved != refills:
        return Finding(Verdict.FAILS, f"{saved} compare-and-swaps fewer for {refills} refilled slabs", figures)
    return no_time(list(ratios.values()), "one CAS less per refilled slab, ", figures)


def no_time(ratios: Sequence[Ratio], beside: str, figures: list[Figure]) -> Finding:
    """Holds if no time changes beyond the margin; fails if one does; else cannot tell. beside: what else was found."""
    known = [r for r in ratios if r.low is not None and r.high is not None]
    if len(known) < len(ratios) or not ratios:
        return Finding(Verdict.UNKNOWN, f"fewer than {MIN_PAIRS} launches", figures)
    if any(map(equivalence.beyond, known)):
        return Finding(Verdict.FAILS, f"the time changes by more than {MARGIN:.0%}", figures)
    if all(map(equivalence.within, known)):
        return Finding(Verdict.HOLDS, f"{beside}no time beyond {MARGIN:.0%}", figures)
    but = f"{beside}but " if beside else ""
    return Finding(Verdict.UNKNOWN, f"{but}the intervals of the time reach beyond {MARGIN:.0%}", figures)
