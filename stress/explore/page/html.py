"""The page of a schedule: one file that loads nothing, and may run one script, its own.

Without scripts, and in print, it is the story and the steps of each function, which fold by themselves; with them the
script draws both executions (`page.js`) from the data beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from xml.etree.ElementTree import Element

from stress.explore.page import data
from stress.explore.page.beside import Pair
from stress.explore.page.recording import Execution, Step
from stress.show.html import add, el, grid, whole_page

KEYS = (
    ("↓ →", "next step"), ("↑ ←", "step before"), ("Page Down, Page Up", "next function, function before"),
    ("p, Shift p", "next switch of tasks, the one before"), ("Home, End", "first, last"),
    ("Enter", "unfold or fold the function"),
)  # fmt: skip


def render(title: str, facts: Sequence[tuple[str, str]], story: Sequence[str], pair: Pair) -> bytes:
    """A whole page in UTF-8. facts: (name, text) about the model; story: lines of text."""
    shown = el("dl", *(el("div", el("dt", name), el("dd", text)) for name, text in facts), class_="facts")
    main = el("main")
    body = el("body", el("header", el("h1", title), shown), main)
    add(main, el("section", el("h2", "What happens"), el("ol", *(el("li", line) for line in story)), class_="story"))
    add(main, _help())
    runs = el("div", class_="runs")
    add(runs, _execution("The failing schedule", pair.failing, 0))
    if pair.sound is not None:
        add(runs, _execution(f"Beside it: the same, {pair.how}", pair.sound, 1))
    add(main, runs)
    if pair.sound is None and pair.failing.kind:
        add(main, el("p", "There is no preemption or decision that it could do without: every order tried fails."))
    add(body, el("script", data.encode(pair), type="application/json", id="data"))
    return whole_page(title, body, "stress.explore.page")


def _help() -> Element:
    keys = el("dl", *(part for key, does in KEYS for part in (el("dt", key), el("dd", does))))
    legend = el(
        "ul",
        el("li", el("span", "→", class_="mark sees"), " from a write to the read, by another task, that saw it"),
        el("li", el("span", "⇢", class_="mark flushes"), " from a store into the buffer to its flush into memory"),
        el("li", el("span", "➤", class_="mark interrupts"), " an interrupt (IPI) is posted, and served"),
        el("li", el("span", "▌", class_="mark locks"), " a lock is held"),
        el("li", "squares: objects of a slab, full ones in use, hollow ones on its freelist; ❄: the slab is frozen"),
    )
    return el("details", el("summary", "Keys and signs"), el("div", keys, legend, class_="help"), class_="scripted")


def functions(run: Execution) -> Iterator[list[int]]:
    """Numbers of steps that belong together: of one task in one function, or one switch."""

    def key(numbered: tuple[int, Step]) -> tuple:
        number, step = numbered
        alone = number if step.kind == "switch" else -1
        return step.cpu, step.task, step.stack[0].function if step.stack else step.kind, alone

    for _, group in groupby(enumerate(run.steps), key):
        yield [number for number, _ in group]


def _execution(title: str, run: Execution, number: int) -> Element:
    ends = f"Ends with: {run.kind}: {run.text}" if run.kind else "Ends well: nothing is left over, no rule is broken."
    if run.left_out:
        ends += f" Shown are its first {len(run.steps):,} steps; {run.left_out:,} more were made."
    listed = el("div", class_="listed")
    for numbers in functions(run):
        add(listed, _function(run, [run.steps[i] for i in numbers], numbers[0]))
    return el(
        "section", el("h2", title), el("p", ends, class_="ends bad" if run.kind else "ends"),
        el("div", class_="drawn", id=f"run{number}"), listed, class_="run",
    )  # fmt: skip


def _function(run: Execution, steps: list[Step], first: int) -> Element:
    step = steps[0]
    if step.kind == "switch":
        return el("p", f"{step.text}: {step.task} goes on", class_="switch")
    name = step.stack[0].function if step.stack else step.kind
    wrote = [f"{s.word} {s.old} → {s.new}" for s in steps if s.writes and s.old != s.new]
    head = f"cpu{step.cpu} {step.task}: {name}"
    rows = [
        (
            str(first + i), s.kind, s.word, s.old if s.old == s.new else f"{s.old} → {s.new}",
            f"{s.stack[0].file}:{s.stack[0].line}  {s.stack[0].text}" if s.stack else "",
        )
        for i, s in enumerate(steps)
    ]  # fmt: skip
    return el(
        "details", el("summary", head, el("span", "; ".join(wrote), class_="wrote") if wrote else ""),
        grid(("step", "access", "word", "value", "line"), rows, class_="words"),
        style=f"margin-left: {2 * run.cpus.index(step.cpu) if step.cpu in run.cpus else 0}rem",
    )  # fmt: skip
