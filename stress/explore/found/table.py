"""The table of `explore --all`, as text and as docs/races.md."""

from __future__ import annotations

from typing import NamedTuple

from stress.explore.found.answer import Answer
from stress.explore.found.story import story
from stress.explore.races import Model
from stress.explore.search.search import SearchEnd


class Line(NamedTuple):
    """A race: what was found in the design that has it, and in the one that mends it."""

    model: Model
    broken: Answer
    mended: Answer
    as_catalogued: bool


def _was_found(line: Line) -> str:
    found, outcome = line.broken.found, line.broken.outcome
    if outcome is None:
        return f"not found ({_reach(found)}, {found.schedules:,} schedules, {found.seconds:.1f} s)"
    preemptions = f"{outcome.preemptions} preemption{'' if outcome.preemptions == 1 else 's'}"
    return f"{outcome.kind}, {preemptions} ({found.schedules:,} schedules, {found.seconds:.2f} s)"


def _reach(found: SearchEnd) -> str:
    if found.complete:
        return "exhaustive"
    return f"exhaustive to {found.bound} preemptions" if found.exhaustive else f"limit of {found.limit} reached"


def _was_mended(line: Line) -> str:
    found, left, raced = line.mended.found, line.mended.outcome, line.mended.raced
    if left is not None:
        return f"STILL: {left.kind} ({left.text})"
    races = f"; no data race in {raced}" if raced else ""
    return f"none ({_reach(found)}, {found.schedules:,} schedules, {found.seconds:.1f} s{races})"


def as_text(lines: list[Line]) -> str:
    """A block of lines per race."""
    parts = []
    for line in lines:
        m = line.model
        parts.append(f"{m.name:4} {m.summary} ({m.raised})")
        on = f"{m.allocator}, {m.memory_model.upper()}"
        parts.append(f"     {m.design} on {on}: {_was_found(line)}")
        parts.append(f"     {m.mended}: {_was_mended(line)}")
        if m.finding:
            parts.append(f"     {m.finding}")
        if not line.as_catalogued:
            parts.append("     ! not as catalogued")
    good = sum(line.as_catalogued for line in lines)
    parts.append(f"{good} of {len(lines)} as catalogued")
    return "\n".join(parts)


def as_markdown(lines: list[Line], folder: str = "") -> str:
    """docs/races.md. folder: where `page_of` each race lies, seen from there; "": the stories stand below the table."""
    parts = [
        "# Races, explored: those of the 2014 review, and bugs mended since",
        "",
        "Written by `python -m stress explore --all --format markdown`. Each race is a small model: the explorer looks "
        "for it in a design",
        "that has it, and in one that mends it, in every interleaving with a bounded number of preemptions.",
        "Schedules include those that taught the explorer which words are shared. What is found is told "
        "in ten lines at most:",
        "who, in which order, what is left, which rule it breaks.",
        "",
        "| race | what | raised by | design | memory | found | mended by | there |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for line in lines:
        m = line.model
        cells = (
            f"[{m.name}]({folder}/{m.name}.md)" if folder else m.name,
            m.summary,
            m.raised,
            f"`{m.design}` ({m.allocator})",
            m.memory_model.upper(),
            _was_found(line),
            f"`{m.mended}`",
            _was_mended(line),
        )
        parts.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    parts.append("")
    if folder:
        parts += [
            f"A race's page has its story and every access. To walk through one: `python -m stress explore "
            f"{lines[0].model.name} --page race.html`."
        ]
    else:
        for line in lines:
            parts += [f"## {line.model.name}: {line.model.summary}", "", *_told(line)]
    return "\n".join(parts).rstrip()


def page_of(line: Line) -> str:
    """The page of a race: its story, then every access."""
    m = line.model
    parts = [
        f"# {m.name}: {m.summary}",
        "",
        f"Raised by: {m.raised}.",
        f"In `{m.design}` ({m.allocator}, {m.memory_model.upper()}): {_was_found(line)}.",
        f"In `{m.mended}`: {_was_mended(line)}.",
        "",
        *_told(line),
    ]
    if line.broken.outcome is not None:
        parts += ["## Every access", "", "```", line.broken.trace, "```", ""]
    return "\n".join(parts).rstrip()


def _told(line: Line) -> list[str]:
    m, parts = line.model, []
    if m.finding:
        parts += [m.finding[0].upper() + m.finding[1:] + ".", ""]
    if line.broken.outcome is not None:
        told = story(line.broken.rows, line.broken.outcome)
        parts += [
            "```",
            *told,
            "```",
            "",
            f"To walk through it: `python -m stress explore {m.name} --page race.html`.",
            "",
        ]
    return parts
