"""A failing execution in ten lines (who, what, in which order, what is left, which rule it breaks), and by function.

A turn is what a task does between two switches. Words that one task alone touches, and reads, are no part of a story.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from stress.explore.found.trace import WIDTH, Row
from stress.explore.space.space import Outcome

LINES = 10  # of a story
LETTERS = 120
TOLD = 3  # writes of a turn that are told
# Statistics, locks, and the words by which the machine models interrupts: told only where there is nothing else.
_ASIDE = re.compile(r" stat | word \d|\.service$|\.ipi_|lock$")
RULES = {
    "use after free": "nothing may touch a cache or a slab once it has been freed",
    "leak": "a dead cache without objects must go, and with it all that it holds",
    "double hand-out": "an object in use must not be handed out again",
    "corruption": "lists and counters must agree with the slabs they describe",
    "assertion": "what the allocator asserts of its own state must hold",
    "deadlock": "of those who wait, one must be able to go on",
    "endless loop": "an operation must come to its end",
    "wild access": "every access must lie within what is mapped",
    "data race": "two accesses to a word, one a plain one and one a write, must be ordered",
}


def turns(rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    """Turns in their order: why the task before stopped, and the rows."""
    found: list[tuple[str, list[Row]]] = []
    why = ""
    for switch, group in groupby(rows, lambda row: row.kind == "switch"):
        if switch:
            why = list(group)[-1].where
            continue
        for number, (_, same) in enumerate(groupby(group, lambda row: (row.cpu, row.task))):
            found.append((why if number == 0 else "", list(same)))
    return found


def story(rows: Sequence[Row], outcome: Outcome) -> list[str]:
    """The execution in at most ten lines."""
    told = [(why, *_told(rows, turn)) for why, turn in turns(rows)]
    actors = list(dict.fromkeys(f"{row.task} on cpu{row.cpu}" for row in rows if row.kind != "switch"))
    count = f"{outcome.preemptions} preemption{'' if outcome.preemptions == 1 else 's'}"
    head = [f"Who: {', '.join(actors)}; {count}."]
    text = outcome.text.split("\n", 1)[0]
    tail = [f"Left: {text}.", f"Rule: {RULES.get(outcome.kind, outcome.kind)}; broken: {outcome.kind}."]
    room = LINES - len(head) - len(tail)
    if len(told) > room:  # the end is what matters, and how it began
        between = len(told) - room + 1
        told = [*told[:2], ("", f"… {between} more turns", ""), *told[2 + between :]]
    lines = [f"{number}. {f'({why}) ' if why else ''}{who}{what}" for number, (why, who, what) in enumerate(told, 1)]
    return [textwrap.shorten(line, LETTERS * 2, placeholder=" …") for line in (*head, *lines, *tail)]


def _told(rows: Sequence[Row], turn: Sequence[Row]) -> tuple[str, str]:
    """A turn in words: who did it in which functions, and its writes to what others touch, the last ones if many."""
    task = turn[0].task
    others = {row.word for row in rows if row.task != task}
    shared = [row for row in turn if "->" in row.values and row.word in others]
    told = [row for row in shared if not _ASIDE.search(row.word)] or shared
    writes = [f"{row.word} {row.values}" for row in told]
    functions = list(dict.fromkeys(_function(row) for row in turn if row.where))
    through = functions[0] if len(functions) == 1 else f"{functions[0]} to {functions[-1]}" if functions else "goes on"
    if not writes:
        last = turn[-1]
        return f"{task}: {through}", f"; reads {last.word} {last.values}" if last.kind.startswith("load") else ""
    more = f" and {len(writes) - TOLD} more writes" if len(writes) > TOLD else ""
    return f"{task}: {through}", f"; {', '.join(writes[:TOLD])}{more}"


def _function(row: Row) -> str:
    return row.where.split(" ", 1)[0]


def folded(rows: Sequence[Row], outcome: Outcome) -> str:
    """A column per CPU, a paragraph per function: its writes, and how many words it has read."""
    used = sorted({row.cpu for row in rows if row.cpu >= 0})
    lines = ["".join(f"cpu{cpu}".ljust(WIDTH) for cpu in used).rstrip()]
    for (cpu, _, where), group in groupby(rows, lambda row: (row.cpu, row.task, _function(row))):
        for switch, part in groupby(group, lambda row: row.kind == "switch"):
            if switch:
                lines += [f"-- {row.where}: {row.task} goes on" for row in part]
            else:
                left = " " * (WIDTH * used.index(cpu))
                lines += [f"{left}{line}" for line in _paragraph(where, list(part))]
    return "\n".join([*lines, f"** {outcome.kind}: {outcome.text}"])


def _paragraph(function: str, part: Sequence[Row]) -> Iterator[str]:
    read = sum("->" not in row.values for row in part)
    counted = f" (reads {read})" if read else ""
    yield f"{part[0].where or part[0].kind}{counted}"
    for row in _writes(part):
        yield f"    {row.kind} {row.word} {row.values}"


def _writes(part: Iterable[Row]) -> list[Row]:
    return [row for row in part if "->" in row.values]
