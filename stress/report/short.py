"""A run on one screen: the answer, one small table, how far to trust it, where the rest is and what to type next.

It has at most `LINES` lines of at most `WIDTH` letters, but for violated invariants, which come first and in full, and
the paths of files. What does not fit is left to `--details`: designs that are no column any more, then the rows that
say least.
"""

from __future__ import annotations

import dataclasses
import math
import re
import shlex
import textwrap
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from allocators.catalogue import facts
from stress.judge.ratio import Ratio, Verdict
from stress.judge.verdict import verdict_of
from stress.report import sentences, table, trace
from stress.report.verdict import fates, speed
from stress.result.data import Design, Result
from stress.show import units
from stress.show.tables import Row

LINES, WIDTH = 30, 100
NAME = 24  # letters of a design's name
SAID, FOUND = 3, 2  # lines of one sentence of the answer, of a finding
GAP = "  "
MOST_SECONDS = 3600.0  # that a longer run is proposed to take

Line = tuple[str, str]  # text, style: "", "bold", "dim", "yellow", "bold red"
# Kind of section -> (what one costs, in a sentence; the same in a row)
KINDS = {
    "live": ("a live free", "live free"),
    "dead": ("a dead free", "dead free"),
    "mixed": ("a mixed operation", "mixed operation"),
}


@dataclasses.dataclass(frozen=True, slots=True)
class _Ranked:
    """A row of the table. rank: of two rows the one with the greater goes first when there is no room."""

    row: Row
    rank: int


def lines(
    result: Result, path: Path | None = None, page: Path | None = None, again: str = "", width: int = WIDTH
) -> list[Line]:
    """The whole short report. path, page: where the result and its page are. again: how a command names this run."""
    width = max(60, min(width, WIDTH))
    rows, shown = _fitting(result, width)
    violated = [sentences.invariant(v.invariant, v.design, v.description) for v in result.invariants.violated]
    before: list[Line] = [(line, "bold red") for text in violated for line in _wrapped(text, width)]
    above = [
        *_heading(result, width),
        *((line, style) for text, style in _answer(result) for line in _wrapped(text, width, SAID)),
    ]
    missing = [name for name in table.order(result) if name not in shown]
    below: list[Line] = []
    if missing:
        text = f"No room for {', '.join(map(brief, missing))}: --details shows all designs."
        below += [(line, "") for line in _wrapped(text, width, 1)]
    below += _trust(result, width)
    if page is not None:
        below.append((f"Page: {page}", ""))
    elif path is not None:
        below.append((f"Result: {path}", ""))
    if again:
        below += _next(result, again, width)
    room = LINES - len(above) - len(below) - 2
    while len(rows) > max(0, room):
        rows.remove(max(rows, key=lambda ranked: ranked.rank))
    drawn = _drawn(result, [ranked.row for ranked in rows], shown)
    return [*before, *above, *drawn, *below]


def brief(name: str) -> str:
    """A design's name, without its middle if it is long."""
    half = NAME // 2
    return name if len(name) <= NAME else f"{name[:half]}…{name[half + 1 - NAME :]}"


def _wrapped(text: str, width: int, most: int | None = None) -> list[str]:
    """At most so many lines, in which a number stays with its %."""
    text = " ".join(text.split()).replace(" %", "\xa0%")
    wrapped = textwrap.wrap(
        text, width, max_lines=most, placeholder=" …", subsequent_indent="  ", break_on_hyphens=False
    )
    return [line.replace("\xa0%", " %") for line in wrapped]


def _heading(result: Result, width: int) -> list[Line]:
    return [(line, "bold") for line in _wrapped(table.heading(result), width, 1)]


# The answer.


def _answer(result: Result) -> list[tuple[str, str]]:
    """Sentences with their styles."""
    said: list[tuple[str, str]] = []
    if result.partial:
        said.append((f"PARTIAL: {(result.partial_reason or 'the reason is not known').rstrip('.')}.", "yellow"))
    if result.invariants.violated:
        said.append(("No figure of this run is to be relied on.", "bold red"))
    texts = [fates(result)]
    if result.serial and not result.blocks:
        texts.append("speed was not measured, as one process stepped all CPUs")
    else:
        texts += [_cost(result, kind) for kind in KINDS]
    if not facts(result.allocator).has_children and len(result.designs) > 1:
        texts.append(f"no switch changes {result.allocator}: what differs between designs is noise")
    said += [(f"{text[0].upper()}{text[1:]}.", "") for text in texts if text]
    if _doubted(result):
        said.append(("Do not rely on these speeds, for the reason given under the table.", "bold red"))
    if result.trace is not None and not result.trace.get("designs"):
        known = [f"{name}: {value}" for name, value in trace.figures(result.trace)]
        said.append((f"Replay: {'; '.join(known)}.", ""))
    if not said:
        said.append(("This run measured nothing.", ""))
    return said


def _doubted(result: Result) -> bool:
    return result.trust.grade == "poor" and not result.invariants.violated and any(_verdicts(result))


def _verdicts(result: Result) -> Iterator[Verdict]:
    """Of every kind of section and design, where the designs can differ."""
    if facts(result.allocator).has_children:
        for name in result.ratios:
            for kind in KINDS:
                if (verdict := verdict_of(getattr(result.ratios[name], kind))) is not None:
                    yield verdict


def _cost(result: Result, kind: str) -> str:
    """What one operation of a kind takes under the baseline, and the verdict of the others on it; "" if unknown."""
    what, _ = KINDS[kind]
    takes = _seconds(result, result.designs[result.baseline], kind)
    verdicts = []
    if facts(result.allocator).has_children:
        for name in table.order(result):
            value = _ratio(result, name, kind)
            if value is not None and value.estimate is not None:
                verdicts.append(f"{brief(name)} {speed(value, table.launches(result, value.pairs))}")
    if takes is None and not verdicts:
        return ""
    first = f"{what} takes {units.seconds(takes)} under {brief(result.baseline)}" if takes else what
    return f"{first}{': ' if verdicts else ''}{', '.join(verdicts)}"


def _seconds(result: Result, design: Design, kind: str) -> float | None:
    """Mean time of an operation on one CPU in the timed sections."""
    rates = design.operations_per_second if kind in ("alloc", "mixed") else design.frees_per_second
    rate = getattr(rates, kind)
    return result.cpus / rate if rate else None


def _ratio(result: Result, name: str, kind: str) -> Ratio | None:
    return getattr(result.ratios[name], kind) if name in result.ratios else None


# The table.


def _fitting(result: Result, width: int) -> tuple[list[_Ranked], list[str]]:
    """The rows, and the designs that are their columns: as many as there is room for, at least one."""
    names = table.order(result)
    for number in range(len(names), 1, -1):
        rows = _rows(result, names[:number])
        if sum(_widths(result, [ranked.row for ranked in rows], names[:number])) <= width:
            return rows, names[:number]
    return _rows(result, names[:1]), names[:1]


def _rows(result: Result, names: Sequence[str]) -> list[_Ranked]:
    """Rows in which something was measured."""
    made: list[_Ranked] = []

    def row(rank: int, label: str, cell: Callable[[str], str]) -> None:
        cells = tuple(cell(name) for name in names)
        if any(text not in ("", units.UNKNOWN) for text in cells):
            made.append(_Ranked(Row(label, cells), rank))

    def against(rank: int, label: str, kind: str, judged: bool = True) -> None:
        values = [_ratio(result, name, kind) for name in names]
        if not any(value is not None and value.estimate is not None for value in values):
            return
        row(rank, label, lambda name: "1" if name == result.baseline else _shown(_ratio(result, name, kind)))
        if judged:
            row(
                rank + 1, f"… verdict (±{units.percent(result.margin)})", lambda name: _call(_ratio(result, name, kind))
            )

    of = result.designs
    children = facts(result.allocator).has_children
    if children:
        if any(of[name].dead_caches.offlined for name in names):
            row(0, "dead caches left", lambda name: _left(of[name]))
            row(5, "… lifetime, p50 / max", lambda name: _lifetime(of[name]))
            row(3, "… pages pinned", lambda name: units.count(of[name].pages_left))
    else:
        row(3, "pages in shared use, at most", lambda name: units.count(of[name].operations.get("peak_pages")))
    for kind, (_, label) in KINDS.items():
        row(2, f"time per {label}", lambda name, kind=kind: units.seconds(_seconds(result, of[name], kind)))  # type: ignore[misc]
    if children:
        against(0, "throughput, live frees", "live")
        against(0, "throughput, dead frees", "dead")
        against(0, "throughput, mixed operations", "mixed")
        against(7, "throughput, allocations", "alloc", judged=False)
    dead = " (dead)" if any(of[name].per_dead_free for name in names) else ""
    row(6, f"{table.lock_name(result.allocator)} per free{dead}", lambda name: _locks(of[name]))
    for label, key, show in _REPLAYED:
        row(4, label, lambda name, key=key, show=show: show((result.trace or {}).get("designs", {}).get(name, {})))  # type: ignore[misc]
    return made


def _shown(value: Ratio | None) -> str:
    return units.UNKNOWN if value is None else units.ratio(value)


def _call(value: Ratio | None) -> str:
    verdict = None if value is None else verdict_of(value)
    return "" if verdict is None else verdict.call


def _left(design: Design) -> str:
    dead = design.dead_caches
    if dead.left is None or dead.offlined is None:
        return units.UNKNOWN
    return f"{dead.left:,} of {dead.offlined:,}" if dead.offlined else "no caches"


def _lifetime(design: Design) -> str:
    lifetime = design.lifetime_seconds
    if lifetime.p50 is None or lifetime.max is None:
        return "never" if design.dead_caches.left else units.UNKNOWN
    return f"{units.seconds(lifetime.p50)} / {units.seconds(lifetime.max)}"


def _locks(design: Design) -> str:
    every = design.per_free.list_lock
    dead = design.per_dead_free.list_lock if design.per_dead_free else None
    if every is None:
        return units.UNKNOWN
    return units.per_unit(every) + ("" if dead is None else f" ({units.per_unit(dead)})")


def _within_one(part: dict[str, Any]) -> str:
    near, total = part.get("caches_within_1"), part.get("caches_total")
    return units.UNKNOWN if near is None or not total else f"{near:,} of {total:,}"


def _agreement(part: dict[str, Any]) -> str:
    share = part.get("fast_slow_agreement")
    return units.UNKNOWN if share is None else f"{100 * share:.2f} %"


_REPLAYED = (
    ("slabs within 1 of recorded", "caches_within_1", _within_one),
    ("fast or slow path as recorded", "fast_slow_agreement", _agreement),
)


def _titles(result: Result, names: Sequence[str]) -> list[str]:
    return [f"{brief(name)} (before)" if name == result.baseline else brief(name) for name in names]


def _widths(result: Result, rows: Sequence[Row], names: Sequence[str]) -> list[int]:
    """Of the column of labels and of each design's, the gap before it included."""
    widths = [max((len(row.label) for row in rows), default=0)]
    for number, title in enumerate(_titles(result, names)):
        widths.append(len(GAP) + max(len(title), *(len(row.cells[number]) for row in rows), 0))
    return widths


def _drawn(result: Result, rows: Sequence[Row], names: Sequence[str]) -> list[Line]:
    if not rows:
        return []
    first, *widths = _widths(result, rows, names)

    def set_(label: str, cells: Sequence[str]) -> str:
        text = label.ljust(first) + "".join(cell.rjust(width) for cell, width in zip(cells, widths, strict=True))
        return text.rstrip()

    return [
        (set_("", _titles(result, names)), "bold"),
        ("─" * (first + sum(widths)), "dim"),
        *((set_(row.label, row.cells), "") for row in rows),
    ]


# Below the table.


def _trust(result: Result, width: int) -> list[Line]:
    """The grade with the worst finding, and what the intervals rest on."""
    grade, findings = result.trust.grade, result.trust.findings
    style = {"poor": "bold red", "fair": "yellow"}.get(grade, "")
    worst = findings[0].text if findings and grade != "good" else "Nothing speaks against these figures."
    return [
        *((line, style) for line in _wrapped(f"Trust: {grade}. {worst}", width, FOUND)),
        *((line, "") for line in _wrapped(_rests_on(result), width, FOUND)),
    ]


def _rests_on(result: Result) -> str:
    """How many launches, how wide the intervals are, and how much of it is a launch's luck."""
    widths: dict[str, list[float]] = {}
    pairs, luck = 0, []
    for name in result.ratios:
        for kind in KINDS:
            value = getattr(result.ratios[name], kind)
            pairs = max(pairs, value.pairs)
            if value.low and value.high:
                widths.setdefault(kind, []).append(math.sqrt(value.high / value.low) - 1)
            if value.within is not None and value.between is not None and (value.within or value.between):
                luck.append(value.between**2 / (value.between**2 + value.within**2))
    if not pairs:
        return ""
    text = table.launches(result, pairs)
    if widths:
        said = ", ".join(f"{round(100 * max(of), 2):.2g} % ({kind})" for kind, of in widths.items())
        text += f"; {units.percent(result.confidence)} intervals to ± {said}"
    if luck:
        text += f"; a launch's luck is {100 * sum(luck) / len(luck):.0f} % of the scatter"
    return text + "."


def _next(result: Result, again: str, width: int) -> list[Line]:
    """One or two things to type, the one that fits what was found first."""
    found = []
    explore = f"python -m stress explore --like {again}"
    if result.invariants.violated:
        found.append(("which interleaving breaks it", explore))
    elif longer := _longer(result):
        found.append(("to be sure", longer))
    elif leaking := _leaking(result):
        design = f" --design {shlex.quote(leaking)}" if leaking != result.baseline else ""
        found.append(("which interleaving leaves dead caches", explore + design))
    found.append(("everything", f"python -m stress report {again} --details"))
    if len(found) == 1:
        found.append(("the page again", f"python -m stress report {again} --format html"))
    said = [(f"Next: {command}", f"  # {why}") for why, command in found]
    return [(command + (why if len(command + why) <= width else ""), "") for command, why in said]


def _longer(result: Result) -> str:
    """The command that would settle what cannot be told, "" if all is settled or nobody can say how."""
    verdicts = [verdict for verdict in _verdicts(result) if verdict.call == "cannot tell"]
    if not verdicts or not result.command:
        return ""
    needed = max((verdict.more_seconds or 0.0 for verdict in verdicts), default=0.0)
    played = sum(block.wall_seconds for block in result.blocks if not block.warmup)
    seconds = math.ceil(min(MOST_SECONDS, max(60.0, 1.2 * (needed + 2 * played))) / 10) * 10
    command = re.sub(r" --seconds[ =]\S+", "", result.command)
    return f"{command} --seconds {seconds}{'' if result.until_sure else ' --until-sure'}"


def _leaking(result: Result) -> str:
    """A design that left dead caches whose slabs are empty: one that was to mend it before the baseline; or ""."""
    names = table.order(result)
    leaking = [n for n in names if result.designs[n].dead_caches.left and any(result.designs[n].empty_slabs.values())]
    return next((name for name in leaking if name != result.baseline), leaking[0] if leaking else "")
