"""The one table of a report: which rows there are and what stands in them, a cell per design.

Setting it as text or Markdown is left to others.
"""

from __future__ import annotations

from collections.abc import Callable

from allocators.catalogue import facts
from stress.judge.verdict import verdict_of
from stress.report.correspondence import per_million, translated
from stress.result.data import Design, Lifetime, Ratios, Result
from stress.show import units
from stress.show.tables import Group, Row

STATISTICS = "per million frees"  # title of the group of the allocator's own statistics
# The paths of `Design.latency_ns`, in the order they are shown.
PATHS = {
    "free_fast": "frees, fast path",
    "free_slow": "frees, slow path, own objects",
    "free_remote": "frees, slow path, another CPU's",
    "free_dead": "frees into dead caches",
    "alloc_fast": "allocations, fast path",
    "alloc_slow": "allocations, slow path",
}


def heading(result: Result) -> str:
    """One line that says what was run."""
    parts = [
        f"{result.scenario} on {result.allocator}",
        units.plural(result.cpus, "CPU") + (" stepped by one process" if result.serial else ""),
        units.plural(result.nodes, "node"),
        f"seed {result.seed}",
        f"{result.seconds:.1f} s",
    ]
    if result.oversubscribed:
        parts.insert(2, "oversubscribed")
    return ", ".join(parts)


def machine_line(result: Result) -> str:
    """One line that says where: processor, system and versions, as far as known."""
    known = result.machine
    parts = [str(known[key]) for key in ("cpu", "kernel", "python") if known.get(key)]
    parts += [f"{key} {known[key]}" for key in ("numba", "numpy") if known.get(key)]
    return ", ".join(parts)


def columns(result: Result) -> list[str]:
    """Titles of the columns of figures: the designs, the baseline first."""
    return [f"{name} (before)" if name == result.baseline else name for name in order(result)]


def order(result: Result) -> list[str]:
    """Names of the designs, the baseline first."""
    return sorted(result.designs, key=lambda name: name != result.baseline)


def launches(result: Result, number: int) -> str:
    """What a ratio rests on, in words: "3 launches"; results from before there were launches have pairs of blocks."""
    if result.turns is None and not result.serial:
        return units.plural(number, "pair of blocks", "pairs of blocks")
    return units.plural(number, "launch", "launches")


def groups(result: Result) -> list[Group]:
    """The table's rows. Rows that could have been measured stay, with a dash where they were not."""
    names = order(result)
    designs = [result.designs[name] for name in names]
    lock = lock_name(result.allocator)

    def row(label: str, cell: Callable[[Design], str], key: str = "") -> Row:
        return Row(label, tuple(cell(design) for design in designs), key)

    return [group for group in (
        Group("throughput (timed passes)", tuple(_throughput(result, names, row))),
        Group("dead caches (counted passes)", tuple(_dead_caches(designs, row))),
        Group("pages of objects (counted passes)", tuple(_heap(designs, row))),
        Group("objects held at the end, and their slabs", tuple(_scatter(designs, row))),
        Group(STATISTICS, tuple(_stats(designs, row))),
        translated(designs),
        Group("per free", (
            row(f"{lock} acquisitions", lambda d: units.per_unit(d.per_free.list_lock)),
            row("… of them contended", lambda d: units.per_unit(d.per_free.list_lock_contended)),
            row("… into dead caches only", lambda d: _per_dead_free(d, "list_lock"), key="list_lock"),
            row("page CAS", lambda d: units.per_unit(d.per_free.page_cas)),
            row("… of them failed", lambda d: units.per_unit(d.per_free.page_cas_failed)),
            row("… into dead caches only", lambda d: _per_dead_free(d, "page_cas"), key="page_cas"),
        )),
        Group("how long, p50 / p99 (counted)", tuple(_latencies(designs, row))),
    ) if group.rows]  # fmt: skip


def _throughput(result: Result, names: list[str], row: Callable[..., Row]) -> list[Row]:
    def against(label: str, kind: str) -> list[Row]:
        others = [n for n in names if n != result.baseline]
        rows = [Row(label, ("1", *(_ratio(result.ratios.get(n), kind) for n in others)))]
        if any(n in result.ratios and getattr(result.ratios[n], kind).pairs for n in others):
            rows.append(
                Row(
                    f"… verdict (±{units.percent(result.margin)})",
                    ("", *(_call(result.ratios.get(n), kind) for n in others)),
                    key=kind,
                )
            )
        return rows

    level = units.percent(result.confidence)
    rows = [
        row("frees/s, live caches", lambda d: units.rate(d.frees_per_second.live)),
        row("frees/s, dead caches", lambda d: units.rate(d.frees_per_second.dead)),
        row("frees/s, all", lambda d: units.rate(d.frees_per_second.all)),
        row("time per free, live / dead", lambda d: _per_free(result.cpus, d)),
        *against(f"ratio to before [{level}]", "free_throughput"),
        *against("ratio, live caches", "live"),
        *against("ratio, dead caches", "dead"),
    ]
    designs = [result.designs[name] for name in names]
    for kind, label in (("alloc", "allocations/s"), ("mixed", "operations/s, mixed")):
        if any(getattr(d.operations_per_second, kind) is not None for d in designs):
            rows.append(row(label, lambda d, kind=kind: units.rate(getattr(d.operations_per_second, kind))))
            rows.extend(against(f"ratio, {label.replace('/s', '')}", kind))
    return rows


def _per_free(cpus: int, design: Design) -> str:
    """Mean time of a free in the timed sections, into live and into dead caches."""
    rates = (design.frees_per_second.live, design.frees_per_second.dead)
    return " / ".join(units.UNKNOWN if not rate else units.seconds(cpus / rate) for rate in rates)


def _per_dead_free(design: Design, what: str) -> str:
    return units.per_unit(getattr(design.per_dead_free, what) if design.per_dead_free else None)


def _ratio(ratios: Ratios | None, kind: str) -> str:
    return units.UNKNOWN if ratios is None else units.ratio(getattr(ratios, kind))


def _call(ratios: Ratios | None, kind: str) -> str:
    verdict = None if ratios is None else verdict_of(getattr(ratios, kind))
    return units.UNKNOWN if verdict is None else verdict.call


def _dead_caches(designs: list[Design], row: Callable[..., Row]) -> list[Row]:
    places = dict.fromkeys(place for design in designs for place in design.empty_slabs)
    return [
        row("created", lambda d: units.count(d.dead_caches.offlined)),
        row("destroyed", lambda d: units.count(d.dead_caches.destroyed)),
        row("left", lambda d: units.count(d.dead_caches.left)),
        row("lifetime after last free p50", lambda d: _lifetime(d, "p50")),
        row("lifetime after last free p99", lambda d: _lifetime(d, "p99")),
        row("lifetime after last free max", lambda d: _lifetime(d, "max")),
        *(
            row(
                f"empty slabs in {place_name(place)}",
                lambda d, place=place: units.count(d.empty_slabs.get(place, 0 if d.counted_passes else None)),
            )
            for place in places
        ),
        row("slabs, empty or not", lambda d: units.count(d.slabs_left)),
        row("pages pinned", lambda d: units.count(d.pages_left)),
        row("cgroups pinned", lambda d: units.count(d.cgroups_pinned)),
        *(
            row(label, lambda d, key=key: units.count(d.operations.get(key)))
            for label, key in (
                ("objects still charged", "objects_charged"),
                ("… obj_cgroups they keep", "obj_cgroups_charged"),
            )
            if any(design.operations.get(key) for design in designs)
        ),
    ]


def _latencies(designs: list[Design], row: Callable[..., Row]) -> list[Row]:
    """Latencies of the paths that some design took; what is no longer than reading the clock is not told from it."""

    def cell(design: Design, path: str) -> str:
        found = design.latency_ns.get(path)
        return (
            units.UNKNOWN
            if found is None
            else " / ".join(latency(ns, design.clock_ns or 0.0) for ns in (found.p50, found.p99))
        )

    return [
        row(label, lambda d, path=path: cell(d, path))
        for path, label in PATHS.items()
        if any(path in d.latency_ns for d in designs)
    ]


def latency(ns: float, clock_ns: float) -> str:
    """A latency; one that is not longer than reading the clock takes only has a bound."""
    return f"≤ {units.seconds(clock_ns / 1e9)}" if ns <= clock_ns else units.seconds(ns / 1e9)


def _lifetime(design: Design, which: str) -> str:
    """Lifetimes are those of destroyed caches; where none was destroyed the ones left live for ever."""
    lifetime: Lifetime = design.lifetime_seconds
    if lifetime.max is None and design.dead_caches.left:
        return "never"
    return units.seconds(getattr(lifetime, which))


def lock_name(allocator: str) -> str:
    """The lock that `PerFree.list_lock` counts."""
    return facts(allocator).lock


def _heap(designs: list[Design], row: Callable[..., Row]) -> list[Row]:
    """SLOB's pages: when they were most, and at the end; nothing for other allocators."""
    if not any("peak_pages" in design.operations for design in designs):
        return []
    return [
        row(label, lambda d, key=key: units.count(d.operations.get(key)))
        for label, key in (
            ("most in shared use", "peak_pages"),
            ("… bytes free in them then", "free_bytes_at_peak"),
            ("at the end, on the small list", "pages_small"),
            ("at the end, on the medium list", "pages_medium"),
            ("at the end, on the large list", "pages_large"),
            ("at the end, full", "pages_full"),
            ("at the end, of large objects", "pages_of_large_objects"),
            ("bytes free in them at the end", "free_bytes"),
        )
    ]


def _scatter(designs: list[Design], row: Callable[..., Row]) -> list[Row]:
    """How what the workload still holds lies in slabs (SLUB), and the free objects that sheaves keep beside it."""
    if not any("objects_held" in design.operations for design in designs):
        return []

    def each(design: Design) -> str:
        last, slabs = (design.operations.get(name) for name in ("last_allocations", "slabs_of_last_allocations"))
        return units.UNKNOWN if not last or slabs is None else units.per_unit(64 * slabs / last)

    return [
        *(
            row(label, lambda d, key=key: units.count(d.operations.get(key)))
            for label, key in (
                ("objects", "objects_held"),
                ("slabs", "slabs"),
                ("… full of them", "slabs_full_of_held"),
                ("free objects in sheaves", "objects_in_sheaf"),
                ("… in barns", "objects_in_barn"),
                ("slabs that only those keep, sheaves", "slabs_kept_by_sheaf"),
                ("… barns", "slabs_kept_by_barn"),
            )
        ),
        row("slabs of 64 allocations in a row", each),
    ]


def place_name(place: str) -> str:
    """ "cpu_partial" as a reader expects it: "cpu partial"."""
    return place.replace("_", " ")


def _stats(designs: list[Design], row: Callable[..., Row]) -> list[Row]:
    names = dict.fromkeys(name for design in designs for name in design.stats)
    return [
        row(name, lambda d, name=name: units.per_unit(per_million(d, name)))
        for name in names
        if any(design.stats.get(name) for design in designs)
    ]
