"""Several runs of the same work beside each other: which may be compared, and what differs between them.

The same work is the same scenario with the same parameters on as many CPUs and nodes. Designs, machines,
allocators, seeds and the program's own sources may differ; what differs is said. Launches of different
runs are not paired, so between runs there are no ratios: each run's own ratios stand beside those of the others.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from stress.judge.ratio import Ratio
from stress.judge.verdict import verdict_of
from stress.process.errors import UsageError
from stress.report import correspondence, table
from stress.result.data import Ratios, Result
from stress.result.files import read_result
from stress.result.folder import find
from stress.show import units

KINDS = (("live", "frees into live caches"), ("dead", "frees into dead caches"), ("mixed", "mixed operations"))


@dataclasses.dataclass(frozen=True, slots=True)
class Comparison:
    """Runs, numbered from 1 in the order they were named, and everything a report of them says."""

    results: Sequence[Result]
    columns: Sequence[str]
    groups: Sequence[table.Group]
    differences: Sequence[str]
    findings: Sequence[str]

    @property
    def heading(self) -> str:
        """One line that says what was compared."""
        first = self.results[0]
        where = f"{units.plural(first.cpus, 'CPU')}, {units.plural(first.nodes, 'node')}"
        return f"{first.scenario}, {where}: {len(self.results)} runs"

    @property
    def runs(self) -> list[tuple[str, ...]]:
        """A row per run: number, id, allocator, machine, seed, time, trust, command."""
        return [
            (
                str(number),
                r.run_id,
                r.allocator,
                table.machine_line(r) or units.UNKNOWN,
                str(r.seed),
                units.seconds(r.seconds),
                r.trust.grade,
                r.command,
            )
            for number, r in enumerate(self.results, 1)
        ]


RUN_COLUMNS = ("", "run", "allocator", "machine", "seed", "took", "trust", "command")


def compare_runs(names: Sequence[str], out: Path) -> Comparison:
    """Read the runs of these names (see `stress.result.folder.find`) and compare them.

    Raises UsageError when there are fewer than two, one is missing, or they did not do the same work.
    """
    paths = [find(name, out).resolve() for name in names]
    if len(set(paths)) < 2:
        raise UsageError("RUN: name at least two different runs to compare; `python -m stress results` lists them")
    if len(set(paths)) < len(paths):
        raise UsageError("RUN: a run is named twice; name each once")
    return compare(list(map(read_result, paths)))


def compare(results: Sequence[Result]) -> Comparison:
    """Compare two or more results. Raises UsageError when they did not do the same work."""
    for number, other in enumerate(results[1:], 2):
        if why := obstacle(results[0], other):
            raise UsageError(f"runs 1 ({results[0].run_id}) and {number} ({other.run_id}) cannot be compared: {why}")
    columns = [f"{number}: {name}" for number, result in enumerate(results, 1) for name in table.columns(result)]
    return Comparison(results, columns, _joined(results), _differences(results), _findings(results))


def obstacle(one: Result, other: Result) -> str:
    """Why two runs did not do the same work, or ""."""
    for what, get in _SAME:
        if get(one) != get(other):
            return f"{what} {get(one)} and {get(other)}: that is different work"
    names = dict.fromkeys([*one.parameters, *other.parameters])
    differ = [
        f"{name} is {one.parameters.get(name, 'not set')} and {other.parameters.get(name, 'not set')}"
        for name in names
        if one.parameters.get(name) != other.parameters.get(name)
    ]
    return (
        f"their parameters differ: {'; '.join(differ)}; repeat one of them with --set or --time-scale as in the other"
        if differ
        else ""
    )


_SAME: Sequence[tuple[str, Callable[[Result], object]]] = (
    ("they played the scenarios", lambda r: r.scenario),
    ("their model CPUs are", lambda r: r.cpus),
    ("their model nodes are", lambda r: r.nodes),
)


def _joined(results: Sequence[Result]) -> list[table.Group]:
    """The tables of all runs side by side; a row that a run does not have is unknown for it."""
    tables = [
        {group.title: {(row.key, row.label): row.cells for row in group.rows} for group in table.groups(result)}
        for result in results
    ]
    joined = []
    for title in dict.fromkeys(title for one in tables for title in one):
        keys = dict.fromkeys(key for one in tables for key in one.get(title, ()))
        rows = []
        for key in keys:
            cells = [
                one.get(title, {}).get(key) or (units.UNKNOWN,) * len(result.designs)
                for one, result in zip(tables, results, strict=True)
            ]
            rows.append(table.Row(key[1], tuple(cell for of_run in cells for cell in of_run), key[0]))
        joined.append(table.Group(title, tuple(rows)))
    designs = [result.designs[name] for result in results for name in table.order(result)]
    other_names = correspondence.translated(designs)  # of two runs each may have had one kind of design only
    joined = [group for group in joined if group.title != correspondence.TITLE]
    if other_names.rows:
        joined.insert([group.title for group in joined].index(table.STATISTICS) + 1, other_names)
    return joined


def _differences(results: Sequence[Result]) -> list[str]:
    """What differs between the runs besides their figures, and what makes one of them doubtful."""
    said = []
    keys = dict.fromkeys(key for result in results for key in result.machine if key != "load_average")
    compared: list[tuple[str, list[Any]]] = [
        ("allocator", [r.allocator for r in results]),
        ("seed (the same kind of work, other random choices)", [r.seed for r in results]),
        ("stepped by one process", ["yes" if r.serial else "no" for r in results]),
        ("timed", [_timed(r) for r in results]),
        *((f"machine: {key.replace('_', ' ')}", [r.machine.get(key, units.UNKNOWN) for r in results]) for key in keys),
    ]
    for what, values in compared:
        if len(set(map(str, values))) > 1:
            said.append(f"{what}: {', '.join(f'{value} ({number})' for number, value in enumerate(values, 1))}")
    passes = {design.counted_passes for result in results for design in result.designs.values()}
    if len(passes) > 1:
        said.append("counted passes differ in number: counts are sums over them, so compare quotients only")
    for number, result in enumerate(results, 1):
        if result.invariants.violated:
            said.append(f"run {number} violated invariants: no figure of it is to be relied on")
        if result.partial:
            said.append(f"run {number} is partial: {result.partial_reason or 'the reason is not known'}")
        if result.trust.grade == "poor" and result.trust.findings:
            said.append(f"run {number}'s timing is poor: {result.trust.findings[0].text}")
    return said


def _timed(result: Result) -> str:
    if not result.blocks:
        return "not"
    return "in pairs of blocks" if result.turns is None else "by turns, in launches"


def _findings(results: Sequence[Result]) -> list[str]:
    """For every design that several runs measured against the same baseline: do their ratios agree?"""
    said = []
    pairs = dict.fromkeys((result.baseline, name) for result in results for name in result.ratios)
    for baseline, design in pairs:
        for kind, what in KINDS:
            found = [
                (number, value)
                for number, result in enumerate(results, 1)
                if result.baseline == baseline
                and design in result.ratios
                and (value := _ratio(result.ratios[design], kind)) is not None
            ]
            if len(found) < 2:
                continue
            spans = [(value.low, value.high) for _, value in found if value.low is not None and value.high is not None]
            overlap = max(low for low, _ in spans) <= min(high for _, high in spans)
            agree = "their intervals overlap" if overlap else "THEIR INTERVALS DO NOT OVERLAP"
            each = "; ".join(f"run {number} {units.ratio(value)} {_call(value)}" for number, value in found)
            said.append(f"{design} against {baseline}, {what}: {each}: {agree}.")
    return said


def _call(ratio: Ratio) -> str:
    """The verdict of a ratio, with the margin it was judged by."""
    verdict = verdict_of(ratio)
    return "" if verdict is None else f"{verdict.call} (±{units.percent(verdict.margin)})"


def _ratio(ratios: Ratios, kind: str) -> Ratio | None:
    """A ratio that has an interval, or None."""
    value = getattr(ratios, kind)
    return value if value.low is not None and value.high is not None else None
