"""Command lines drawn from what the commands declare: every command, option and type, at its limits and beyond."""

from __future__ import annotations

import enum
import functools
import random
import typing
from typing import Any

import hypothesis
import hypothesis.strategies as st
import typer

from allocators.designs import DESIGNS
from scenarios.registry import SCENARIOS
from stress.commands.app import app
from stress.explore.races import MODELS
from tests.storms.case import STREAMS, Case

LIMIT = 60.0  # seconds that a line may take in which no work is done
BATCH = 100  # lines that are drawn at once
WHOLE = st.sampled_from(["0", "1", "-1", "2", "8", "513", "-0", "9" * 20, "9" * 400, "9" * 5000, "1_0", "٣", "", "x"])
REAL = st.sampled_from(
    ["0", "1", "0.1", "-1", "nan", "inf", "-inf", "1e308", "1e-308", "1e400", "0x1", "", "1,5", "9" * 400]
)
TEXTS = st.sampled_from(
    [
        "", " ", ".", "..", "/", "-", "--", "last", "a" * 255, "a" * 300, "a/" * 2100, "ä" * 200, "\udcff", "a\nb",
        "\x1b[2J", "run", "run/result.json", "pipe", "loop", "device", "locked", "file", "schedule.json", "x.toml",
        "no/such/file", "full", "full/x", "readonly", "readonly/x", "empty", "study.toml", "machine.toml", "own.toml",
        "samples.json", "steps.csv", "trace.txt", "slabinfo", "small", "results.sqlite", "{}", "%s", "*", "~", "$HOME",
    ]
)  # fmt: skip
NAMES = st.sampled_from([*DESIGNS, *SCENARIOS, *MODELS, "slub", "slab", "slob", "v1-P7", "v3+P7b", "epyc-2022", "all"])
_PARTS = ["v3", "+", "-", "P2", "P7", "F_NP", "=", ":", ",", "1", "64", "cgroups"]
EDITS = st.lists(st.sampled_from(_PARTS), max_size=6).map("".join)
_ANY = st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8
)  # the system ends words at NUL
WORDS = st.one_of(TEXTS, NAMES, EDITS, WHOLE, _ANY)


def commands() -> dict[tuple[str, ...], Any]:
    """Every command by the words that call it."""
    found: dict[tuple[str, ...], Any] = {}

    def walk(words: tuple[str, ...], command: Any) -> None:
        found[words] = command
        for name, inner in getattr(command, "commands", {}).items():
            walk((*words, name), inner)

    walk((), typer.main.get_command(app))
    return found


COMMANDS = commands()


def values(command: Any, parameter: Any) -> st.SearchStrategy[str]:
    """What may be typed for a parameter, right and wrong, by the type that its command's function declares."""
    declared = typing.get_type_hints(command.callback).get(parameter.name, str)
    kinds = [declared, *typing.get_args(declared)]
    kinds += [inner for kind in kinds for inner in typing.get_args(kind)]
    for kind in kinds:
        if isinstance(kind, type) and issubclass(kind, enum.Enum):
            return st.one_of(st.sampled_from([choice.value for choice in kind]), WORDS)
    return st.one_of(WHOLE, WORDS) if int in kinds else st.one_of(REAL, WORDS) if float in kinds else WORDS


@st.composite
def lines(draw: st.DrawFn) -> list[str]:
    """A command line, without the program's name."""
    words = draw(st.sampled_from(sorted(COMMANDS)))
    line = list(words)
    declared = [p for p in COMMANDS[words].params if not any("completion" in name for name in p.opts)]  # changes shells
    for parameter in draw(st.lists(st.sampled_from(declared), max_size=4)) if declared else []:
        if parameter.param_type_name == "argument":
            line.append(draw(values(COMMANDS[words], parameter)))
            continue
        line.append(draw(st.sampled_from([*parameter.opts, *parameter.secondary_opts])))
        if not getattr(parameter, "is_flag", False):
            line.append(draw(values(COMMANDS[words], parameter)))
    if draw(st.integers(0, 5)) == 0:
        line.append(draw(WORDS))
    return line


ENVIRONMENTS = st.fixed_dictionaries(
    {},
    optional={
        "HOME": st.sampled_from([None, "", "/", "/no/such", "~"]),
        "TMPDIR": st.sampled_from(["", "/no/such", "readonly"]),
        "TERM": st.sampled_from([None, "", "dumb", "xterm-256color", "no-such"]),
        "LANG": st.sampled_from([None, "C", "POSIX", "tr_TR.UTF-8", "xx"]),
        "LC_ALL": st.sampled_from(["", "C", "C.UTF-8", "xx"]),
        "PYTHONIOENCODING": st.sampled_from(["ascii", "latin-1", "utf-16"]),
        "COLUMNS": st.sampled_from(["0", "1", "-5", "x", "9" * 30]),
        "SLAB_STRESS_CACHE": st.sampled_from(["readonly", "full", "file", "loop", "a" * 300]),
        "SLAB_STRESS_HANG_SECONDS": st.sampled_from(["0", "x", "inf", "1e-9"]),
        "NO_COLOR": st.just("1"),
    },
)  # fmt: skip
# Plain files most of the time: what a closed or full stream does depends little on the line.
PLACES = st.one_of(st.just("files"), st.just("files"), st.sampled_from(STREAMS))
FRESH = 50  # every so manieth line is played by a new interpreter
SMALL = tuple("--set cgroups=8 --set active=4 --set rounds=8 --set operations=4000 --set burst=32".split())
# Lines whose work is done, each a moment's; what is drawn comes behind.
TINY = (
    ("run", "--seconds", "0.2", "--launches", "1", *SMALL),
    ("run", "--serial", "--before", "v3", "--after", "v3-P8v3", *SMALL),
    ("explore", "R9", "--schedules", "50", "--budget", "1", "--jobs", "2"),
    ("explore", "R8", "--schedules", "20", "--budget", "1", "--jobs", "1", "--out", "found.json"),
    ("simulate", "--cpus", "1,2", "--operations", "1000", "--jobs", "2", "--after", "v3"),
    ("replay", "schedule.json"),
    ("report", "last"),
    ("results",),
    ("inspect", "slabinfo"),
    ("import", "trace.txt"),
    ("campaign", "run", "study.toml", "--dry-run"),
    ("calibrate", "--runs", "0", "--samples", "samples.json"),
)
WORKED = 40  # every so manieth line is one of these


@functools.lru_cache(maxsize=4)
def batch(seed: int, number: int) -> tuple[tuple[list[str], dict[str, str | None], str], ...]:
    """So many drawn lines, environments and kinds of streams; the same for the same seed and number."""
    drawn: list[tuple[list[str], dict[str, str | None], str]] = []

    @hypothesis.seed(seed * 1_000_003 + number)
    @hypothesis.settings(
        max_examples=BATCH, derandomize=False, database=None, deadline=None, phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )  # fmt: skip
    @hypothesis.given(lines(), ENVIRONMENTS, PLACES)
    def draw(line: list[str], environment: dict[str, str | None], streams: str) -> None:
        drawn.append((line, environment, streams))

    draw()
    return tuple(drawn)


def case(seed: int, number: int) -> Case:
    """The so manieth line of a storm."""
    drawn = batch(seed, number // BATCH)
    line, environment, streams = drawn[number % BATCH % len(drawn)]
    work = number % WORKED == 0
    if work:
        rng = random.Random(f"lines:{seed}:{number}")
        tiny = rng.choice(TINY)
        own = [p for p in COMMANDS.get(tiny[:2], COMMANDS[tiny[:1]]).params if p.param_type_name == "option"]
        line = [*tiny, *_flag(rng, own)]
    return Case(
        (tuple(line),),
        environment=environment,
        streams=streams,
        fresh=number % FRESH == 0,
        work=work,
        limit=LIMIT * (3 if work else 1),
    )


def _flag(rng: random.Random, declared: list[Any]) -> list[str]:
    """A flag or a choice of a command that does not make its work longer."""
    kept = [p for p in declared if getattr(p, "is_flag", False) and p.name not in ("all_", "help", "until_sure")]
    return [rng.choice(rng.choice(kept).opts)] if kept and rng.random() < 0.7 else []
