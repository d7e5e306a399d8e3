"""Predicted reports as text, Markdown and JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TextIO

import msgspec

from stress.claims.reports.offline import Cell, storm_lines
from stress.claims.reports.report import Outcome, RowOutcome, Verdict
from stress.show.markdown import escape
from stress.show.terminal import make_console

SCHEMA_VERSION = "1"
PIPE_WIDTH = 160
STYLE = {Verdict.REPRODUCED: "green", Verdict.NOT: "yellow", Verdict.UNKNOWN: "dim"}
# What an explanation's verdict is called.
EXPLAINS = {Verdict.REPRODUCED: "right", Verdict.NOT: "wrong", Verdict.UNKNOWN: "cannot tell"}


class Found(msgspec.Struct, kw_only=True):
    """Everything of one `claims --set sheaves`. seeds: how many, from `seed` on. interrupted: later reports were not
    played."""

    created: str
    command: str
    machine: dict[str, Any]
    seed: int
    seeds: int
    tolerance: float
    took: float
    quick: bool
    interrupted: bool
    reports: list[Outcome]
    storm: list[Cell]
    schema_version: str = SCHEMA_VERSION


def heading(found: Found) -> str:
    """One line that says what was played."""
    quick = " with tiny workloads, which say nothing," if found.quick else ""
    return (
        f"{len(found.reports)} reports played{quick} in {found.took:.0f} s, {found.seeds} seeds from {found.seed}, "
        f"tolerance {found.tolerance:.0%} of a ratio"
    )


def closing(found: Found) -> list[str]:
    """Invariants, an early end."""
    said = [
        f"INVARIANT VIOLATED under {v.design}: {v.invariant}: {v.description}"
        for violated in (*(one.violated for one in found.reports), *(cell.violated for cell in found.storm))
        for v in violated
    ]
    if not said:
        said.append("All invariants that were checked hold.")
    if found.interrupted:
        said.append("Interrupted: what comes later was not played.")
    return said


def reported_text(row: RowOutcome) -> str:
    low, high = row.reported
    if low is None:
        return "no figure"
    if high is None:
        return "faster"
    return f"{low:.3g}" if f"{low:.3g}" == f"{high:.3g}" else f"{min(low, high):.3g} to {max(low, high):.3g}"


def predicted_text(ratios: list[float]) -> str:
    """The mean of the seeds and their spread."""
    if not ratios:
        return "–"
    mean = sum(ratios) / len(ratios)
    return f"{mean:.2f}" + (f" ({min(ratios):.2f} to {max(ratios):.2f})" if len(ratios) > 1 else "")


def row_lines(outcome: Outcome) -> list[tuple[str, str, str, str, str]]:
    """name, reported, predicted, verdict, mechanism: a line for each way to play a row, and each count."""
    lines = []
    for row in outcome.rows:
        for number, one in enumerate(row.predicted):
            name = row.name if number == 0 else ""
            verdict = f"{one.verdict.value}: {one.reason}"
            mechanism = "; ".join(filter(None, (one.mechanism, row.native if number == 0 else "")))
            lines.append(
                (f"{name} [{one.setting}]".strip(), reported_text(row), predicted_text(one.ratios), verdict, mechanism)
            )
    for count in outcome.counts:
        counted = "–" if count.counted is None else f"{count.counted:.2f} %"
        lines.append((count.name, f"{count.published:.2f} %", counted, count.verdict.value, ""))
    return lines


def explanation_lines(outcome: Outcome) -> list[tuple[str, str, str, str]]:
    """who and what, loss, what is left, verdict."""
    return [
        (
            f"{one.who}: {one.sentence}",
            "–" if one.loss is None else f"{one.loss:.2f}",
            "–" if one.rest is None else f"{one.rest:.2f}",
            f"{EXPLAINS[one.verdict]}: {one.reason}",
        )
        for one in outcome.explanations
    ]


def print_text(found: Found, stream: TextIO) -> None:
    """A block for each report."""
    console = make_console(stream, PIPE_WIDTH)
    console.print(heading(found), style="bold")
    for one in found.reports:
        console.print()
        console.print(f"{one.id} {one.title}: {one.verdict.value}", style=STYLE[one.verdict])
        console.print(f"  {one.who}; {one.source}. {one.machine}.")
        console.print(f"  {one.reason}.")
        for name, reported, predicted, verdict, mechanism in row_lines(one):
            console.print(f"  {name}: reported {reported}, predicted {predicted}; {verdict}")
            if mechanism:
                console.print(f"    {mechanism}", style="dim")
        for sentence, loss, rest, verdict in explanation_lines(one):
            console.print(f"  {sentence}: {loss}, then {rest}; {verdict}")
        if one.remark:
            console.print(f"  {one.remark}")
        for command in one.commands:
            console.print(f"  {command}", soft_wrap=True, style="dim")
    for line in storm_lines(found.storm):
        console.print(line, soft_wrap=True)
    for line in closing(found):
        console.print(line, style="bold red" if line.startswith("INVARIANT") else None)


def _table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    cells = [" | ".join(header), " | ".join("---" for _ in header), *(" | ".join(map(escape, row)) for row in rows)]
    return [f"| {cell} |" for cell in cells]


def render_markdown(found: Found) -> str:
    """A table of verdicts, a section for each report, the storm."""
    lines = [
        "# Sheaves, 6.18 to 7.3: what was reported, predicted",
        "",
        f"Printed by `{found.command}`. {heading(found)}.",
    ]
    lines += ["", *PREFACE, ""]
    lines += _table(
        ("report", "verdict", "why"),
        [(f"{one.id} {one.title}", f"{one.verdict.value}", one.reason) for one in found.reports],
    )
    for one in found.reports:
        lines += ["", f"## {one.id}: {escape(one.title)}", ""]
        lines += [f"**{one.verdict.value}**. {escape(one.reason)}.", ""]
        lines += [f"{escape(one.who)} ({escape(one.source)}). Machine: {escape(one.machine)}.", ""]
        if one.remark:
            lines += [one.remark, ""]  # ours, and Markdown
        if rows := row_lines(one):
            lines += _table(
                ("figure", "reported", "predicted", "verdict", "what the slower one spends its time on"), rows
            )
        if explanations := explanation_lines(one):
            lines += ["", *_table(("explanation", "loss", "without the cause", "verdict"), explanations)]
        if one.commands:
            lines += ["", "<details><summary>commands</summary>", "", "```", *one.commands, "```", "", "</details>"]
    lines += storm_lines(found.storm)
    return "\n".join([*lines, "", *map(escape, closing(found))]) + "\n"


PREFACE = (
    "Linux 6.18 put arrays of free objects, *sheaves*, in front of SLUB for caches that ask; 7.0 gave them to all "
    "caches and took the CPU slabs and CPU partial lists away. The designs `linux-6.18` to `linux-7.3` are these "
    "kernels; each step is a switch (`python -m stress list designs`). What the model leaves out is listed in "
    "[design.md](design.md).",
    "",
    "Each report's kernels are played in virtual time on the reported number of CPUs and nodes, on the published "
    "profile of a machine that is nearest; nothing of a profile was fitted to a report. A figure is the ratio of "
    "a rate to another kernel's. What is played does nothing but allocate and free, unless a report tells how "
    "long a request takes on the kernel before: then so much other work is added that *that* kernel is as slow, "
    "and the others are predicted. Where the share of the time in the allocator is not known, a prediction that "
    "is stronger than the report agrees with some share, which is named, and says no more than that: *cannot "
    "tell*. Where one kernel is compared with two others, the first figure gives the share away and the second "
    "one is predicted with it. *Not* means that no share makes them agree. What a report leaves open (how large a "
    "burst is) is played in several ways, and they must all agree. An explanation is played too: with what was "
    "called the cause taken away. Locks and shares of time are of a whole play, its beginning too.",
)
