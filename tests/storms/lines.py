"""Command lines drawn from what the commands declare: every command, option and type, at its limits and beyond."""

from __future__ import annotations

import contextlib
import enum
import os
import shlex
import signal
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import hypothesis.strategies as st
import typer
from typer.testing import CliRunner

from allocators.designs import DESIGNS
from scenarios.registry import SCENARIOS
from stress.commands.app import app
from stress.explore.races import MODELS

STATUSES = (0, 1, 2, 3)
LIMIT = 60  # seconds that a line may take in which no work is done
# Where the work begins: what is typed has been checked by then, and storms of lines do not do it.
WORK = (
    "stress.commands.run.run_job", "stress.simulate.command.main", "stress.calibrate.command.main", "stress.bench.main",
    "stress.machine.command.main", "stress.claims.command.main", "stress.explore.command.in_parallel",
    "stress.explore.like.in_parallel", "stress.explore.command.follow", "stress.play.conform.main",
)  # fmt: skip

WHOLE = st.sampled_from(["0", "1", "-1", "2", "8", "513", "-0", "9" * 20, "9" * 400, "9" * 5000, "1_0", "٣", "", "x"])
REAL = st.sampled_from(
    ["0", "1", "0.1", "-1", "nan", "inf", "-inf", "1e308", "1e-308", "1e400", "0x1", "", "1,5", "9" * 400]
)
TEXTS = st.sampled_from(
    [
        "", " ", ".", "..", "/", "-", "--", "last", "a" * 255, "a" * 300, "a/" * 2100, "ä" * 200, "\udcff", "a\nb",
        "\x1b[2J", "run", "run/result.json", "pipe", "loop", "device", "locked", "file", "schedule.json", "x.toml",
        "no/such/file", "{}", "%s", "*", "~", "$HOME", "result.json\0",
    ]
)  # fmt: skip
NAMES = st.sampled_from([*DESIGNS, *SCENARIOS, *MODELS, "slub", "slab", "slob", "v1-P7", "v3+P7b", "epyc-2022", "all"])
_PARTS = ["v3", "+", "-", "P2", "P7", "F_NP", "=", ":", ",", "1", "64", "cgroups"]
EDITS = st.lists(st.sampled_from(_PARTS), max_size=6).map("".join)
WORDS = st.one_of(TEXTS, NAMES, EDITS, WHOLE, st.text(max_size=8))


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
        "TERM": st.sampled_from([None, "", "dumb", "xterm-256color", "no-such"]),
        "LANG": st.sampled_from([None, "C", "POSIX", "tr_TR.UTF-8", "xx"]),
        "COLUMNS": st.sampled_from(["0", "1", "-5", "x", "9" * 30]),
        "NO_COLOR": st.just("1"),
    },
)


@contextlib.contextmanager
def no_work() -> Iterator[None]:
    """Within it commands end where their work would begin."""
    with contextlib.ExitStack() as stack:
        for name in WORK:
            import_and_patch(stack, name)
        yield


def import_and_patch(stack: contextlib.ExitStack, name: str) -> None:
    result: Callable[..., Any] = _nothing_found if "in_parallel" in name else _followed if "follow" in name else _done
    stack.enter_context(mock.patch(name, result))


class NoWork(BaseException):
    """Raised where the work would begin and its result could not be made up."""


def _done(*_: Any, **__: Any) -> int:
    return 0


def _nothing_found(*_: Any, **__: Any) -> Any:
    raise NoWork


_followed = _nothing_found


def too_late(*_: Any) -> None:
    raise TimeoutError(f"still there after {LIMIT} s")


def invoke(line: list[str], environment: dict[str, str | None]) -> str:
    """Run a line in this process; what is wrong with how it ended, or ""."""
    before = signal.signal(signal.SIGALRM, too_late)
    signal.alarm(LIMIT)
    try:
        done = CliRunner().invoke(app, line, env=environment, prog_name="python -m stress")
    except NoWork:
        return ""
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        return f"{type(done.exception).__name__}: {done.exception}"
    if done.exit_code not in STATUSES:
        return f"exit status {done.exit_code}"
    return "a traceback" if "Traceback" in done.output else ""


def repeat(line: list[str], environment: dict[str, str | None]) -> str:
    """The command that repeats a line."""
    variables = [f"-u {name}" for name, value in environment.items() if value is None]
    variables += [f"{name}={shlex.quote(value)}" for name, value in environment.items() if value is not None]
    told = shlex.join(["python", "-m", "stress", *line])
    return f"{'env ' + ' '.join(variables) + ' ' if variables else ''}{told}"


class Folder:
    """A folder with what command lines name: a run, a pipe, a loop of links, a device, what may not be read."""

    def __init__(self, path: Path, result: bytes, schedule: bytes) -> None:
        self.path, self.result, self.schedule = path, result, schedule

    def renew(self) -> None:
        """Make what is missing; commands remove runs, as they should."""
        for folder in ("run", "results/20260101-000000-run-abcd", "locked"):
            (self.path / folder).mkdir(parents=True, exist_ok=True)
        for run in ("run", "results/20260101-000000-run-abcd"):
            if not (self.path / run / "result.json").exists():
                (self.path / run / "result.json").write_bytes(self.result)
        (self.path / "schedule.json").write_bytes(self.schedule)
        (self.path / "file").write_text("x\n")
        if not (self.path / "pipe").exists():
            os.mkfifo(self.path / "pipe")
            (self.path / "loop").symlink_to("loop")
            (self.path / "device").symlink_to("/dev/zero")
        (self.path / "locked").chmod(0)
