"""What one job is, by kind, checked before anything runs. A job says everything that its result depends on beside the
sources, so that it can be played anywhere, and its bytes can be the name of its result."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import msgspec

from allocators.catalogue import DEFAULT
from stress.play import options as opt
from stress.process.errors import UsageError
from stress.process.usage import choose, parse_size, within

if TYPE_CHECKING:
    from stress.explore.found.answer import Request
    from stress.profiles.profile import Profile

MOST_SCHEDULES = 10**9
MOST_PREEMPTIONS = 200
EXPLORED_CPUS = 8


class _Job(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What all kinds share. deterministic: its result is the same wherever it is played."""

    kind: ClassVar[str]
    deterministic: ClassVar[bool] = True
    seed: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] = opt.DEFAULT_SEED

    def check(self) -> None:
        """Raises UsageError for what cannot be played."""

    def command(self) -> str:
        """A line that plays the same again without a campaign."""
        return shlex.join(["python", "-m", "stress", *map(str, self._words())])

    def _words(self) -> Iterator[object]:
        raise NotImplementedError


class _Played(_Job, frozen=True, kw_only=True):
    """What jobs that play tapes share. set: of the scenario, as text."""

    scenario: str = opt.DEFAULT_SCENARIO
    set: dict[str, str] = {}
    allocator: str = DEFAULT
    design: str = opt.DEFAULT_BEFORE
    memory: str = f"{opt.DEFAULT_MEMORY >> 20}M"
    settle: float = opt.DEFAULT_SETTLE

    @property
    def settings(self) -> list[str]:
        return [f"{name}={value}" for name, value in sorted(self.set.items())]

    def _common(self) -> Iterator[object]:
        yield from ("--scenario", self.scenario, "--allocator", self.allocator)
        for item in self.settings:
            yield from ("--set", item)
        yield from ("--seed", self.seed, "--memory", self.memory)
        if self.settle != opt.DEFAULT_SETTLE:
            yield from ("--settle", f"{self.settle:g}")

    def _beside(self) -> str:
        """Another design, as the commands compare two: on its own world, so that it changes nothing in this one's."""
        return next(name for name in ("linux-3.16", "v3") if name != self.design)


class Serial(_Played, frozen=True, kw_only=True, tag="serial"):
    """One design of `run --serial`: counts, exactly."""

    kind: ClassVar[str] = "serial"
    cpus: int = 4
    nodes: int = 1
    memoryless: int = 0
    sheaf_capacity: int = 0
    barn_sheaves: int = opt.BARN_SHEAVES
    time_scale: float | None = None
    fail: list[str] = []

    def options(self) -> opt.RunOptions:
        """Raises UsageError."""
        return opt.named(
            scenario=self.scenario, settings=self.settings, allocator=self.allocator, before=self.design, after=(),
            cpus=self.cpus, nodes=self.nodes, memory=self.memory, time_scale=self.time_scale, settle=self.settle,
            seed=self.seed, serial=True, fail=self.fail, memoryless=self.memoryless, command=self.command(),
            sheaf_capacity=self.sheaf_capacity, barn_sheaves=self.barn_sheaves,
        )  # fmt: skip

    def check(self) -> None:
        self.options()

    def _words(self) -> Iterator[object]:
        yield from ("run", "--serial", *self._common(), *_shape(self))
        if self.time_scale is not None:
            yield from ("--time-scale", f"{self.time_scale:g}")
        for item in self.fail:
            yield from ("--fail", item)
        yield from ("--before", self._beside(), "--after", self.design)


class Simulate(_Played, frozen=True, kw_only=True, tag="simulate"):
    """One point of `simulate`: a design on a number of CPUs in virtual time.

    nodes: None for as many as the machine's profile takes. profile: the text of a machine that is not a shipped one.
    operations: of the point, about, where the scenario can be sized.
    """

    kind: ClassVar[str] = "simulate"
    scenario: str = "remote-free"
    cpus: int = 4
    nodes: int | None = None
    machine: str = "epyc-2022"
    profile: str | None = None
    operations: int = 400_000

    def check(self) -> None:
        from stress.simulate.options import MOST_OPERATIONS
        from stress.simulate.options import make_options as checked

        within("--operations", self.operations, 1, MOST_OPERATIONS, "of a point, all CPUs together")
        self.load_profile()
        checked(
            scenario=self.scenario, settings=self.settings, allocator=self.allocator, before=self.design, after=(),
            cpus=str(self.cpus), nodes=self.nodes, operations=self.operations, seed=self.seed, memory=self.memory,
            settle=self.settle,
        )  # fmt: skip

    def load_profile(self) -> Profile:
        """Raises UsageError."""
        from stress.profiles.load import load, parse

        return load(self.machine) if self.profile is None else parse(self.profile.encode(), self.machine)

    def complete(self) -> Simulate:
        """The same with the text of its machine, where that is a file: the job is played where the file is not."""
        from stress.profiles.load import dump, load, shipped

        if self.profile is not None or self.machine in shipped():
            return self
        return msgspec.structs.replace(self, profile=dump(load(self.machine)))

    def _words(self) -> Iterator[object]:
        yield from ("simulate", *self._common(), "--cpus", self.cpus, "--machine", self.machine)
        yield from ("--operations", self.operations)
        if self.nodes is not None:
            yield from ("--nodes", self.nodes)
        yield from ("--before", self._beside(), "--after", self.design)


class Explore(_Job, frozen=True, kw_only=True, tag="explore"):
    """One search of the explorer, alone on one process, so that it repeats exactly.

    "" and 0 stand for what the model says. schedules: the search's limit; time is none, as it would not repeat.
    """

    kind: ClassVar[str] = "explore"
    model: str = "offline-vs-free"
    design: str = ""
    allocator: str = ""
    memory_model: str = ""
    cpus: int = 0
    strategy: str = "dfs"
    preemptions: int = 3
    schedules: int = 200_000

    def request(self) -> Request:
        """Raises UsageError."""
        from stress.explore.found.answer import Request
        from stress.explore.races import MODELS

        choose("model", self.model, MODELS, "python -m stress list races")
        model = MODELS[self.model]
        within("cpus", self.cpus, 0, EXPLORED_CPUS, "0 for the model's")
        within("--preemptions", self.preemptions, 0, MOST_PREEMPTIONS)
        within("--schedules", self.schedules, 1, MOST_SCHEDULES)
        choose("--strategy", self.strategy, ("dfs", "random", "pct"), "python -m stress explore --help")
        if self.memory_model:
            choose("--memory-model", self.memory_model, ("sc", "tso"), "python -m stress explore --help")
        return Request(
            self.model,
            self.allocator or model.allocator,
            self.design or model.design,
            self.memory_model or model.memory_model,
            self.cpus or model.cpus,
            self.strategy,
            self.preemptions,
            seconds=0.0,
            schedules=self.schedules,
            seed=self.seed,
        )

    def check(self) -> None:
        from stress.explore.exploring import build

        try:
            build(self.request())
        except ValueError as error:
            raise UsageError(str(error)) from None

    def _words(self) -> Iterator[object]:
        of = self.request()
        yield from ("explore", of.model, "--allocator", of.allocator, "--design", of.design)
        yield from ("--memory-model", of.memory_model, "--cpus", of.cpus, "--strategy", of.strategy)
        yield from ("--preemptions", of.preemptions, "--schedules", of.schedules, "--seed", of.seed)
        yield from ("--jobs", 1, "--budget", 86400)


class Timed(_Played, frozen=True, kw_only=True, tag="timed"):
    """A `run` that measures two designs on one host, side by side. seconds: of measurement, both together."""

    kind: ClassVar[str] = "timed"
    deterministic: ClassVar[bool] = False
    before: str = opt.DEFAULT_BEFORE
    design: str = "v3"
    cpus: int = 2
    nodes: int = 1
    memoryless: int = 0
    sheaf_capacity: int = 0
    barn_sheaves: int = opt.BARN_SHEAVES
    seconds: float = opt.DEFAULT_SECONDS
    launches: int | None = None
    margin: float = opt.DEFAULT_MARGIN
    time_scale: float | None = None

    def check(self) -> None:
        opt.named(
            scenario=self.scenario, settings=self.settings, allocator=self.allocator, before=self.before,
            after=(self.design,), cpus=self.cpus, nodes=self.nodes, memory=self.memory, time_scale=self.time_scale,
            settle=self.settle, seed=self.seed, seconds=self.seconds, launches=self.launches, margin=self.margin,
            memoryless=self.memoryless, sheaf_capacity=self.sheaf_capacity, barn_sheaves=self.barn_sheaves,
        )  # fmt: skip

    def _words(self) -> Iterator[object]:
        yield from ("run", *self._common(), *_shape(self))
        yield from ("--seconds", f"{self.seconds:g}", "--margin", f"{self.margin:g}")
        if self.launches is not None:
            yield from ("--launches", self.launches)
        if self.time_scale is not None:
            yield from ("--time-scale", f"{self.time_scale:g}")
        yield from ("--before", self.before, "--after", self.design)


def _shape(job: Serial | Timed) -> Iterator[object]:
    """CPUs, nodes and sheaves, as far as they are not as usual."""
    yield from ("--cpus", job.cpus, "--nodes", job.nodes)
    if job.memoryless:
        yield from ("--memoryless", job.memoryless)
    if job.sheaf_capacity:
        yield from ("--sheaf-capacity", job.sheaf_capacity)
    if job.barn_sheaves != opt.BARN_SHEAVES:
        yield from ("--barn-sheaves", job.barn_sheaves)


Job = Serial | Simulate | Explore | Timed
KINDS: dict[str, type[Job]] = {one.kind: one for one in (Serial, Simulate, Explore, Timed)}


def fields(kind: str) -> Sequence[msgspec.structs.FieldInfo]:
    """The options of a kind of job; `set` takes any name that its scenario knows."""
    return [field for field in msgspec.structs.fields(KINDS[kind]) if field.name != "profile"]


def make(kind: str, options: dict[str, Any]) -> Job:
    """A job of its options; ValidationError of msgspec names the option that has the wrong type."""
    given = dict(options)
    if "set" in given:
        given["set"] = {name: text(value) for name, value in sorted(given["set"].items())}
    if isinstance(given.get("memory"), str):
        parse_size(given["memory"])
    made = msgspec.convert({"type": kind, **given}, type=KINDS[kind])
    return made.complete() if isinstance(made, Simulate) else made


def text(value: object) -> str:
    """A value of TOML as one types it after `--set NAME=`."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def encode(job: Job) -> bytes:
    """The same job gives the same bytes: every option is there, in the order of the struct, `set` by name."""
    return msgspec.json.encode(job)


def decode(data: bytes) -> Job:
    """Raises ValidationError of msgspec."""
    return msgspec.json.decode(data, type=Job)
