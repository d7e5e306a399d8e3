"""Tested claims as a table for a terminal, as Markdown and as JSON."""

from __future__ import annotations

from typing import Any, TextIO

import msgspec
from rich import box
from rich.table import Table

from stress.claims.claim import Outcome, PartOutcome, Verdict
from stress.show.markdown import escape
from stress.show.terminal import make_console

SCHEMA_VERSION = "1"
PIPE_WIDTH = 160
STYLE = {Verdict.HOLDS: "green", Verdict.FAILS: "yellow", Verdict.UNKNOWN: "dim"}
COLUMNS = ("claim", "what was run", "figures", "verdict", "published")


class Report(msgspec.Struct, kw_only=True):
    """Everything of one `claims` command. interrupted: claims after the last one were not tested."""

    created: str
    command: str
    machine: dict[str, Any]
    seed: int
    seconds: float
    took: float
    quick: bool
    interrupted: bool
    claims: list[Outcome]
    schema_version: str = SCHEMA_VERSION


def heading(report: Report) -> str:
    """One line that says what was tested, and where."""
    where = ", ".join(str(report.machine[key]) for key in ("cpu", "kernel", "python") if report.machine.get(key))
    quick = " with tiny workloads" if report.quick else ""
    return f"{len(report.claims)} claims tested{quick} in {report.took:.0f} s, seed {report.seed}" + (
        f", on {where}" if where else ""
    )


def closing(report: Report) -> list[str]:
    """What the table does not say: invariants, an early end."""
    said = [
        f"INVARIANT VIOLATED under {v.design}: {v.invariant}: {v.description}"
        for c in report.claims
        for v in c.violated
    ]
    if not said:
        said.append("All invariants that were checked hold.")
    if report.interrupted:
        said.append("Interrupted: later claims were not tested.")
    return said


def verdict_text(part: PartOutcome) -> str:
    """holds: the reason."""
    return f"{part.verdict.value}: {part.reason}"


def figure_lines(part: PartOutcome) -> list[str]:
    return [f"{figure.name}: {figure.text}" for figure in part.figures]


def print_text(report: Report, stream: TextIO) -> None:
    """Heading, the table, a row per part, and the commands that repeat the runs."""
    console = make_console(stream, PIPE_WIDTH)
    console.print(heading(report), style="bold")
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for title, ratio in zip(COLUMNS, (5, 3, 9, 5, 4), strict=True):
        table.add_column(title, ratio=ratio)
    for outcome in report.claims:
        for index, part in enumerate(outcome.parts):
            claim = f"{outcome.id} {outcome.claim}" if index == 0 else ""
            published = f"{outcome.published} ({outcome.source})" if index == 0 else ""
            table.add_row(
                claim,
                f"{part.name}: {part.what}",
                "\n".join(figure_lines(part)),
                verdict_text(part),
                published,
                style=STYLE[part.verdict],
            )
        table.add_section()
    console.print(table)
    for line in closing(report):
        console.print(line, style="bold red" if line.startswith("INVARIANT") else None)
    console.print("Commands that repeat the runs", style="bold")
    for outcome in report.claims:
        for part in outcome.parts:
            for command in part.commands:
                console.print(f"{outcome.id} {part.name}: {command}", soft_wrap=True, style="dim")


def render_markdown(report: Report) -> str:
    """A section per claim: the verdict, a table of its parts, the commands."""
    lines = ["# Claims", "", escape(heading(report)), "", "| claim | verdict |", "| --- | --- |"]
    lines += [f"| {c.id}. {escape(c.claim)} | {c.verdict.value} |" for c in report.claims]
    for claim in report.claims:
        lines += [
            "",
            f"## {claim.id}. {escape(claim.claim)}",
            "",
            f"**{claim.verdict.value}**. {escape(claim.reason)}",
            "",
        ]
        lines += [f"Published: {escape(claim.published)} ({escape(claim.source)})", ""]
        lines += ["| what was run | figures | verdict |", "| --- | --- | --- |"]
        for part in claim.parts:
            figures = "<br>".join(map(escape, figure_lines(part)))
            lines.append(f"| {escape(part.name)}: {escape(part.what)} | {figures} | {escape(verdict_text(part))} |")
        commands = list(dict.fromkeys(command for part in claim.parts for command in part.commands))
        if commands:
            lines += ["", "```", *commands, "```"]
    return "\n".join([*lines, "", *map(escape, closing(report))]) + "\n"
