"""What the fixture `stress_explorer` of `stress.pytest_plugin` is: a machine for a user's own test.

A test asks for words, names the tasks that run concurrently, says what must hold when all have ended,
and calls `run`. Every execution starts from the same words; what tasks have in common must be in
words, because that is all the explorer sees and resets. Python's own state that a test collects
results in is reset by a function given to `begin`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import msgspec
import pytest

from allocators.catalogue import MAX_CPUS
from shm.locks import PERCPU_WORDS
from shm.machine import CPU, MACHINE, Bug
from stress.explore.found import schedule as schedules
from stress.explore.found.answer import said
from stress.explore.found.story import story
from stress.explore.found.trace import render, rows
from stress.explore.page.beside import pair
from stress.explore.page.state import State, look
from stress.explore.search.minimise import minimise
from stress.explore.search.search import Budget, SearchEnd, races, search
from stress.explore.showing import Files, write
from stress.explore.space.space import Body, Outcome, Space
from stress.explore.space.violation import MAX_OPERATIONS, Violation
from stress.explore.world.scene import Scene
from stress.process.errors import UsageError

FEW_CPUS = 8  # have their areas before the words, more have them behind
STRIDE = -(-PERCPU_WORDS // 64) * 64
FIRST_WORD = MACHINE.SIZE + FEW_CPUS * STRIDE
MOST_WORDS = 64  # of a test, that a page shows after each step
OF_A_TEST = "pytest "  # what the model of such a schedule begins with


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Options of the marker, as those of `python -m stress explore`.

    seconds, schedules: limits, 0 for none. features: switches that `m.has` answers yes to; "PREEMPT" lets tasks
    of one CPU preempt each other. incomplete: "fail" or "pass" when nothing was found and a limit was reached;
    None means "fail" for a depth-first search and "pass" for the random ones, which never are complete. races: when
    nothing else was found, look for data races, i.e. plain accesses (`load`, `store`) that nothing orders.
    """

    strategy: str = "dfs"
    preemptions: int = 3
    memory_model: str = "sc"
    seconds: float = 10.0
    schedules: int = 0
    seed: int = 1
    features: tuple[str, ...] = ()
    incomplete: str | None = None
    races: bool = True

    @classmethod
    def of(cls, marks: list[tuple[tuple, dict[str, Any]]]) -> Options:
        """From markers, the nearest one last. UsageError names the option that is wrong."""
        given: dict[str, Any] = {}
        for positional, named in marks:
            if positional:
                raise UsageError(f"takes options by name, such as preemptions=2, not {positional[0]!r}")
            given |= named
        for name in given:
            if name not in cls.__struct_fields__:
                raise UsageError(f"no option {name!r} (options: {', '.join(cls.__struct_fields__)})")
        try:
            options = msgspec.convert(given, cls)
        except msgspec.ValidationError as error:
            raise UsageError(str(error)) from None
        for name, allowed in (
            ("strategy", ("dfs", "random", "pct")),
            ("memory_model", ("sc", "tso")),
            ("incomplete", (None, "fail", "pass")),
        ):
            if getattr(options, name) not in allowed:
                raise UsageError(f"{name}={getattr(options, name)!r} is none of {', '.join(map(repr, allowed))}")
        for name in ("preemptions", "seconds", "schedules"):
            if not 0 <= getattr(options, name) < (200 if name == "preemptions" else float("inf")):
                raise UsageError(
                    f"{name}={getattr(options, name)} is out of range: 0 or more"
                    + (" and below 200" if name == "preemptions" else "")
                )
        if options.strategy != "dfs" and not options.seconds and not options.schedules:
            raise UsageError(f"strategy={options.strategy!r} never ends by itself: give it seconds or schedules")
        return options


class _Named(NamedTuple):
    name: str
    at: int
    words: int


class _Space(Space):
    """Words are called as the test called them. All operations are counted: code of others may wait for ever."""

    fast = False
    most = 2 * MAX_OPERATIONS
    named: list[_Named] = []

    def name_of(self, a: int) -> str:
        for word in self.named:
            if word.at <= a < word.at + word.words:
                return word.name if word.words == 1 else f"{word.name}[{a - word.at}]"
        return super().name_of(a)


class _Read(NamedTuple):
    """Reads words when all is at rest; called the same in every message, so that replays compare."""

    space: Space

    def __call__(self, address: int) -> int:
        return self.space.mem[address]

    def __repr__(self) -> str:
        return "read"


class Explorer:
    """See the module's text."""

    def __init__(
        self,
        options: Options,
        *,
        test: str,
        source: Path,
        folder: Path,
        report: Callable[[str], None],
        kept: schedules.Schedule | None = None,
    ) -> None:
        self.options, self.test, self.source, self.folder, self.report, self.kept = (
            options,
            test,
            source,
            folder,
            report,
            kept,
        )
        self._words: list[int] = []
        self._named: list[_Named] = []
        self._locks: set[int] = set()
        self._bodies: list[Body] = []
        self._begin: list[Callable[[], None]] = []
        self._checks: list[Callable[[Callable[[int], int]], None]] = []
        self._ran = False

    @property
    def forgotten(self) -> bool:
        """Were there tasks that nobody ran?"""
        return bool(self._bodies) and not self._ran

    def words(self, name: str, count: int, value: int = 0) -> int:
        """`count` words in a row, each with `value` when an execution starts; returns the address of the first."""
        at = FIRST_WORD + len(self._words)
        self._words += [value] * count
        self._named.append(_Named(name, at, count))
        return at

    def word(self, name: str, value: int = 0) -> int:
        """One word; returns its address."""
        return self.words(name, 1, value)

    def set(self, address: int, value: int) -> None:
        """Another value for a word to start with."""
        if not FIRST_WORD <= address < FIRST_WORD + len(self._words):
            raise ValueError(f"{address} is the address of none of the test's words")
        self._words[address - FIRST_WORD] = value

    def lock(self, name: str) -> int:
        """A word for `shm.locks`, free; what it protects needs no decisions, which makes the search smaller."""
        address = self.word(name)
        self._locks.add(address)
        return address

    def task(self, run: Callable, *, cpu: int | None = None, name: str = "", daemon: bool = False) -> Callable:
        """run(m) is a task; on a CPU of its own unless told. daemon: it may wait for ever. Also a decorator."""
        taken = {body.cpu for body in self._bodies}
        if cpu is None:
            cpu = next((c for c in range(MAX_CPUS) if c not in taken), MAX_CPUS)
        if not 0 <= cpu < MAX_CPUS:
            raise ValueError(f"cpu {cpu}: there are CPUs 0 to {MAX_CPUS - 1}; give tasks a cpu to share one")
        name = name or f"{run.__name__} on cpu{cpu}"
        if name in {body.name for body in self._bodies}:
            raise ValueError(f"two tasks are called {name!r}: give one another name")
        self._bodies.append(Body(name, cpu, _asserting(run), daemon))
        return run

    def begin(self, run: Callable[[], None]) -> Callable[[], None]:
        """run() is called before each execution. Also a decorator."""
        self._begin.append(run)
        return run

    def check(self, run: Callable[[Callable[[int], int]], None]) -> Callable:
        """run(read) asserts what must hold when nothing can run any more; read(address) is a word. Also a decorator."""
        self._checks.append(run)
        return run

    def run(self, scene: Scene | None = None) -> SearchEnd | None:
        """Explore: fails the test when something is found, else returns how far it got (None after a replay).

        scene: a world of the allocators (`stress.explore.world.scene`) to explore instead of the test's own words.
        """
        if self._ran:
            raise RuntimeError("run() once a test: one schedule file belongs to one test")
        if scene is None and not self._bodies:
            raise RuntimeError("no tasks: give the test some with stress_explorer.task")
        self._ran = True
        options = self.options

        def new_space(races: bool) -> Space:
            return self._space(races) if scene is None else scene.space(races=races)

        space = new_space(self.kept is not None and self.kept.kind == "data race")
        value = scene.names.value if scene is not None else lambda a, v: str(v)
        if self.kept is not None:
            self._replay(space, value, scene, self.kept)
            return None
        found = search(
            space,
            options.strategy,
            bound=options.preemptions,
            seed=options.seed,
            budget=Budget(options.seconds, options.schedules),
        )
        if found.outcome is None and options.races:
            space = new_space(True)
            racy = races(space, seed=options.seed, seconds=options.seconds)
            found = found._replace(
                outcome=racy.outcome, schedules=found.schedules + racy.schedules, seconds=found.seconds + racy.seconds
            )
        if found.outcome is not None:
            self._found(space, value, scene, found, found.outcome)
        text = f"{found.schedules:,} schedules in {found.seconds:.2f} s, nothing found; {said(found)}"
        self.report(text)
        if not found.exhaustive and (options.incomplete or ("fail" if options.strategy == "dfs" else "pass")) == "fail":
            pytest.fail(
                f"{text}. Give the marker more seconds or schedules, or fewer preemptions, or say incomplete='pass'",
                pytrace=False,
            )
        return found

    def _space(self, races: bool) -> Space:
        cpus = max(body.cpu for body in self._bodies) + 1
        mem = [0] * FIRST_WORD + self._words
        areas = MACHINE.SIZE
        if cpus > FEW_CPUS:
            areas = -(-len(mem) // STRIDE) * STRIDE
            mem += [0] * (areas + cpus * STRIDE - len(mem))
        for field, value in {
            "nr_cpus": cpus,
            "workers": cpus,
            "percpu_base": areas,
            "percpu_stride": STRIDE,
        }.items():
            mem[getattr(MACHINE, field)] = value
        for cpu in range(cpus):
            mem[areas + STRIDE * cpu + CPU.online] = 1
        memory_model = self.options.memory_model if self.kept is None else self.kept.memory_model
        space = _Space(
            mem, self._bodies, features=frozenset(self.options.features), tso=memory_model == "tso",
            locks=frozenset(self._locks),
            begin=self._at_begin, end=self._at_end, races=races,
        )  # fmt: skip
        space.named = self._named
        return space

    def _at_begin(self) -> None:
        for run in self._begin:
            run()

    def _at_end(self, space: Space) -> None:
        for run in self._checks:
            _asserting(run)(_Read(space))

    def _sources(self) -> str:
        return schedules.source_hash() + hashlib.sha256(self.source.read_bytes()).hexdigest()[:16]

    def _show(
        self, space: Space, value: Callable, scene: Scene | None, kept: schedules.Schedule, outcome: Outcome,
        told: list[str],
    ) -> str:  # fmt: skip
        """Write the page of a failing execution, and say where it is."""

        common = [a for a in range(FIRST_WORD, FIRST_WORD + len(self._words)) if a in space.shared][:MOST_WORDS]

        def words() -> State:
            return State(words=tuple((space.name_of(a), space.mem[a]) for a in common))

        both = pair(space, outcome.deviations, value, words if scene is None else lambda: look(scene, space))
        files = Files(page=self.folder / "stress.html")
        return "\n".join(write(files, self.test, kept, told, both))

    def _found(
        self, space: Space, value: Callable, scene: Scene | None, found: SearchEnd, outcome: Outcome
    ) -> NoReturn:
        shown, outcome = rows(space, minimise(space, outcome), value)
        kept = schedules.record(
            space,
            outcome,
            model=OF_A_TEST + self.test,
            allocator="",
            design="",
            memory_model=self.options.memory_model,
            cpus=space.cpus,
        )
        kept.sources = self._sources()
        path = self.folder / "stress.schedule.json"
        schedules.write(kept, path)
        page = self._show(space, value, scene, kept, outcome, story(shown, outcome))
        self._fail(
            f"{found.schedules:,} schedules in {found.seconds:.2f} s", render(shown, outcome, space.cpus), outcome,
            f"schedule written to {path}; run it again with: pytest --stress-replay={path} "
            f"{self.test.partition('::')[0]}\n{page}",
        )  # fmt: skip

    def _replay(self, space: Space, value: Callable, scene: Scene | None, kept: schedules.Schedule) -> None:
        try:
            strategy = schedules.prepare(space, kept)
        except UsageError as error:
            pytest.fail(f"--stress-replay: {error}", pytrace=False)
        shown, outcome = rows(space, Outcome("", "", 0, 0, strategy.deviations, False, 0), value)
        same = schedules.ends_as(kept, outcome)
        changed = kept.sources != self._sources()
        trace = render(shown, outcome, space.cpus)
        if not same:
            if changed:
                why = "the sources have changed since it was written"
            elif kept.python != schedules.python():
                why = f"it was written under {kept.python}, this is {schedules.python()}"
            else:
                why = "the test does something that is not in words, such as chance or time"
            pytest.fail(
                f"{trace}\n--stress-replay: the schedule no longer fits: {why}; explore again without --stress-replay",
                pytrace=False,
            )
        note = (
            "replayed; the sources have changed, and it still ends as it did"
            if changed
            else "replayed: it ends as it did"
        )
        if outcome.kind:
            note += "\n" + self._show(space, value, scene, kept, outcome, story(shown, outcome))
        self._fail("one schedule", trace, outcome, note)

    def _fail(self, effort: str, trace: str, outcome: Outcome, note: str) -> NoReturn:
        pytest.fail(
            f"{outcome.kind}: {outcome.text}\n{effort}, {outcome.preemptions} preemptions, {outcome.points} "
            f"decisions\n\n{trace}\n\n{note}",
            pytrace=False,
        )


def _asserting(run: Callable) -> Callable:
    """run, whose failed assertions are findings of the search."""

    def wrapped(argument) -> None:
        try:
            run(argument)
        except Bug:
            raise
        except (AssertionError, pytest.fail.Exception) as error:
            raise Violation("assertion", str(error) or f"in {run.__name__}") from None

    return wrapped


def read(path: Path) -> schedules.Schedule:
    """A schedule of a test; UsageError when the file is none."""
    kept = schedules.read(path)
    if not kept.model.startswith(OF_A_TEST):
        raise UsageError(f"{path} is of the model {kept.model}; run it with: python -m stress replay {path}")
    return kept


def test_of(kept: schedules.Schedule) -> str:
    """The id of the test that wrote it."""
    return kept.model.removeprefix(OF_A_TEST)


def is_test(kept: schedules.Schedule, test: str) -> bool:
    """Is that the test? Ids begin at pytest's root folder, which may be another one now."""
    wanted = test_of(kept)
    return test == wanted or test.endswith("/" + wanted) or wanted.endswith("/" + test)
