"""The benchmark's report, as text for a terminal, Markdown or JSON."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence

from stress.bench.goal import Goal
from stress.bench.peers.tables import Table, tables
from stress.bench.result import Bench
from stress.bench.speed import Speed
from stress.show import units

COLUMNS = {"ours": "ours", "C": "C", "malloc": "glibc malloc", "nothing": "no allocator"}


def print_report(found: Bench, format: str) -> None:
    """Print to stdout; json prints the data and nothing else."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    if format == "json":
        import msgspec

        print(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
    elif format == "markdown":
        sys.stdout.write(_markdown(found))
    else:
        _print_text(found)


def goal_rows(found: Bench) -> list[tuple[str, str, str, str]]:
    """Every goal: its name, what was measured, the limit, and whether it was met."""
    return [
        (g.name, _measured(g), f"{g.sense} {_amount(g, g.limit)}", {True: "met", False: "MISSED", None: "–"}[g.met])
        for g in found.goals
    ]


def _measured(goal: Goal) -> str:
    if goal.value is None:
        return goal.why or "not measured"
    if goal.low is not None and goal.high is not None:
        return f"{goal.value:.3f} [{goal.low:.3f}, {goal.high:.3f}]"
    return _amount(goal, goal.value)


def _amount(goal: Goal, value: float) -> str:
    return units.seconds(value) if goal.unit == "seconds" else f"{value:g}" if value == goal.limit else f"{value:.3f}"


def _speed_rows(found: Bench) -> list[tuple[str, ...]]:
    return [
        (s.tape, *(_nanoseconds(found, s, name) for name in COLUMNS), _ratio(s, "C"), _ratio(s, "malloc"))
        for s in found.speed
    ]


def _nanoseconds(found: Bench, speed: Speed, name: str) -> str:
    if name not in speed.nanoseconds:
        return found.no_reference or units.UNKNOWN
    return f"{speed.nanoseconds[name]:.2f}"


def _ratio(speed: Speed, other: str) -> str:
    return units.ratio(speed.ratios[other]) if other in speed.ratios else units.UNKNOWN


GOAL_TITLES = ("goal", "measured", "limit", "")
SPEED_TITLES = ("ns per operation (medians)", *COLUMNS.values(), "ours / C", "ours / malloc")


def _machine(found: Bench) -> str:
    known = found.machine
    parts = [str(known[key]) for key in ("cpu", "kernel", "python") if known.get(key)]
    parts += [f"numba {known['numba']}", f"{known['cpus_available']} CPUs to pin to", f"load {known['load_average']}"]
    return ", ".join(parts)


def _peer_tables(found: Bench) -> list[Table]:
    return tables(found.peers) if found.peers is not None else []


def _same_work(found: Bench) -> str:
    if found.differing_words is None:
        return f"There is no reference to compare with: {found.no_reference}."
    if found.differing_words:
        return f"C DOES NOT DO THE SAME WORK: {found.differing_words:,} words of memory differ after the same tape."
    return "C and ours leave every word of memory alike after the same tape: they do the same work."


def _print_text(found: Bench) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table as Grid

    sizes = 0 if found.peers is None else len(found.peers.memory)
    width = None if sys.stdout.isatty() else max(140, 16 + 26 * sizes)
    console = Console(file=sys.stdout, markup=False, highlight=False, emoji=False, width=width)
    console.print("How fast the model is", style="bold")
    console.print(_machine(found), style="dim")
    grids: list[tuple[str, Sequence[str], Sequence[Sequence[str]]]] = [
        ("", GOAL_TITLES, goal_rows(found)),
        ("", SPEED_TITLES, _speed_rows(found)),
    ]
    grids += [(table.title, table.header, table.rows) for table in _peer_tables(found)]
    for title, titles, rows in grids:
        if title:
            console.print(title, style="bold")
        drawn = Grid(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
        for index, title in enumerate(titles):
            drawn.add_column(title, justify="right" if index else "left")
        for row in rows:
            drawn.add_row(*row, style="yellow" if "MISSED" in row else None)
        console.print(drawn)
    console.print(_same_work(found), style="bold red" if found.differing_words else None)
    if found.trust.findings:
        console.print(f"How far to trust the figures: {found.trust.grade}", style="bold")
        for finding in found.trust.findings:
            console.print(f" - {finding.text}", style="bold red" if finding.level == "serious" else "yellow")


def _markdown(found: Bench) -> str:
    from stress.show.markdown import escape, grid

    lines = ["## How fast the model is", "", escape(_machine(found)), ""]
    lines += grid(GOAL_TITLES, goal_rows(found))
    lines += ["", *grid(SPEED_TITLES, _speed_rows(found)), "", _same_work(found)]
    for table in _peer_tables(found):
        rows = [tuple(map(escape, row)) for row in table.rows]
        lines += ["", f"### {table.title[0].upper()}{table.title[1:]}", "", *grid(table.header, rows)]
    if found.trust.findings:
        lines += ["", f"### How far to trust the figures: {found.trust.grade}", ""]
        lines += [f"- {finding.level}: {escape(finding.text)}" for finding in found.trust.findings]
    return "\n".join(lines) + "\n"
