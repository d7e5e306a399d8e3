"""Compared runs as text for a terminal, as Markdown and as a page."""

from __future__ import annotations

from typing import TextIO

from stress.report.compare import RUN_COLUMNS, Comparison

UNPAIRED = "Launches of different runs are not paired: compare ratios, each to its own run's baseline, before rates."


def write(comparison: Comparison, format: str, stream: TextIO) -> None:
    """Write the comparison to the stream as text, markdown, html or json."""
    if format == "json":
        from stress.report.compared import compared
        from stress.result.files import encode

        stream.write(encode(compared(comparison)).decode())
    elif format == "html":
        stream.write(render_page(comparison).decode())
    elif format == "markdown":
        stream.write(render_markdown(comparison))
    else:
        _print_text(comparison, stream)


def _print_text(comparison: Comparison, stream: TextIO) -> None:
    from stress.show.terminal import PIPE_WIDTH, draw_table, item, make_console

    # In a pipe as wide as it must be: a folded table of many designs cannot be read.
    console = make_console(stream, max(PIPE_WIDTH, 34 + 24 * len(comparison.columns)))
    console.print(comparison.heading, style="bold")
    for number, run, allocator, machine, seed, took, trust, command in comparison.runs:
        console.print(f"{number}: {run}, {allocator}, {machine}, seed {seed}, {took}, trust {trust}", soft_wrap=True)
        console.print(f"   {command}", style="dim", soft_wrap=True)
    console.print(draw_table(comparison.columns, comparison.groups))
    for title, said in _lists(comparison):
        console.print(title, style="bold")
        for text in said:
            item(console, text)


def _lists(comparison: Comparison) -> list[tuple[str, list[str]]]:
    return [
        ("What the runs differ in", list(comparison.differences) or ["Nothing but time and chance."]),
        ("What the figures say", [*comparison.findings, UNPAIRED]),
    ]


def render_markdown(comparison: Comparison) -> str:
    """A table of the runs, one of their figures, and what they say; ends in a newline."""
    from stress.show.markdown import escape, grid, groups_grid

    lines = [
        f"## {escape(comparison.heading)}",
        "",
        *grid(RUN_COLUMNS, [tuple(map(escape, run)) for run in comparison.runs]),
        "",
    ]
    lines += groups_grid(comparison.columns, comparison.groups)
    for title, said in _lists(comparison):
        lines += ["", f"### {title}", "", *(f"- {escape(text)}" for text in said)]
    return "\n".join(lines) + "\n"


def render_page(comparison: Comparison) -> bytes:
    """One page that loads nothing, in the style of a run's own."""
    from stress.report.page import grids
    from stress.show.html import document, el, grid

    said = [
        part
        for title, texts in _lists(comparison)
        for part in (el("h2", title), el("ul", *(el("li", text) for text in texts)))
    ]
    body = el(
        "body",
        el("header", el("h1", comparison.heading)),
        el(
            "main",
            grid(RUN_COLUMNS, comparison.runs, "words"),
            *said,
            el("h2", "Figures"),
            *grids(comparison.groups, comparison.columns),
        ),
    )
    return document(comparison.heading, body)
