"""A report as GitHub Markdown: the same table and sentences as the text report."""

from __future__ import annotations

from pathlib import Path

from stress.report import sentences, table, trace
from stress.result.data import Result
from stress.show.markdown import escape, grid, groups_grid


def render(result: Result, path: Path | None = None) -> str:
    """The whole report, ending in a newline."""
    lines = [f"## {escape(table.heading(result))}", ""]
    if table.machine_line(result):
        lines += [escape(table.machine_line(result)), ""]
    if result.command:
        lines += [f"`{result.command}`", ""]
    lines += groups_grid(table.columns(result), table.groups(result))
    if result.trace is not None:
        lines += ["", "### Replay of a recorded trace", ""]
        lines += [f"- {escape(name)}: {escape(value)}" for name, value in trace.figures(result.trace)]
        for small in trace.tables(result.trace):
            lines += [
                "",
                f"**{escape(small.title)}**",
                "",
                *grid(list(map(escape, small.columns)), [tuple(map(escape, r)) for r in small.rows]),
            ]
    lines += ["", "### What the figures say", ""]
    lines += [f"- {escape(sentence)}" for sentence in sentences.sentences(result)]
    if result.trust.findings:
        lines += ["", f"### How far to trust them: {result.trust.grade}", ""]
        lines += [f"- {finding.level}: {escape(finding.text)}" for finding in result.trust.findings]
    if path is not None:
        lines += ["", f"Result: `{path}`"]
    return "\n".join(lines) + "\n"
