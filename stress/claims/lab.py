"""The laboratory of the claims: does their runs, keeps the command lines and the violated invariants.

Counts come from serial runs, which repeat exactly; times from parallel ones. Designs, allocators and
options are looked up when a run is asked for, so a claim about one that does not exist yet raises
`NotBuilt` and is tested as soon as it does.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterable
from typing import Any

from allocators.catalogue import ALLOCATORS, DEFAULT, facts
from allocators.designs import DesignError, parse_design
from stress.measure.evaluation import measure
from stress.play import coordinator
from stress.play import options as opt
from stress.result.data import Result, Violation
from stress.show.progress import Progress

PHASE_EVERY = 10.0  # seconds between lines of progress; the many short runs would print hundreds
QUICK_SECONDS = 0.05
SERIAL_CPUS = 2  # as the recorded kernels had


class NotBuilt(Exception):
    """Something a claim needs does not exist yet; the text says what."""


class Damaged(Exception):
    """A run did not come to its end; the text says why."""


class Steps(Progress):
    """A run's progress under the name of the claim it belongs to."""

    def __init__(self, inner: Progress) -> None:
        self.inner, self.prefix, self.last = inner, "", -float("inf")

    def begin(self, prefix: str) -> None:
        self.prefix, self.last = prefix, -float("inf")
        self.phase("")

    def phase(self, text: str, state: str = "") -> None:
        if time.monotonic() - self.last >= PHASE_EVERY:
            self.last = time.monotonic()
            self.inner.phase(f"{self.prefix}: {text}" if text else self.prefix, state)

    def update(self, done: float, dead_caches: int, pages_pinned: int, frees_per_second: float, design: str) -> None:
        self.inner.update(done, dead_caches, pages_pinned, frees_per_second, f"{self.prefix}: {design}")

    def close(self) -> None:
        self.inner.close()


class Lab:
    """seconds: of each timed comparison. quick: claims shrink their workloads, for tests of the plumbing."""

    def __init__(
        self, *, seconds: float = 3.0, seed: int = 1, quick: bool = False, progress: Progress | None = None
    ) -> None:
        self.seconds, self.seed, self.quick = seconds, seed, quick
        self.steps = Steps(progress or Progress(quiet=True))
        self.commands: list[str] = []
        self.violated: list[Violation] = []
        self._known: dict[str, Result] = {}

    def begin(self, prefix: str) -> None:
        """A new part begins: its progress is shown under `prefix`, its commands start anew."""
        self.steps.begin(prefix)
        self.commands = []

    def size(self, full: int, quick: int) -> int:
        """A size of a workload."""
        return quick if self.quick else full

    @property
    def timed_seconds(self) -> float:
        """How long one timed comparison lasts."""
        return QUICK_SECONDS if self.quick else self.seconds

    def need(self, allocator: str, designs: Iterable[str] = ()) -> None:
        """Raises NotBuilt unless the allocator and all designs exist."""
        if allocator not in ALLOCATORS:
            raise NotBuilt(f"allocator {allocator} is not built")
        for design in designs:
            if not self.has(design):
                raise NotBuilt(f"design {design} is not built")

    def has(self, design: str) -> bool:
        """Does this design exist?"""
        try:
            parse_design(design)
        except DesignError:
            return False
        return True

    def run(
        self,
        scenario: str,
        *designs: str,
        allocator: str = DEFAULT,
        serial: bool = True,
        cpus: int | None = None,
        settings: dict[str, Any] | None = None,
        **options: Any,
    ) -> Result:
        """One run of these designs, the first being the one compared with.

        options: further options of `run` by their names, such as settle=8 or fail=["shrink-alloc"].
        Raises NotBuilt and Damaged.
        """
        self.need(allocator, designs)
        if serial:
            cpus = cpus or SERIAL_CPUS
        else:
            options.setdefault("seconds", self.timed_seconds)
        for name in options:
            if name not in opt.NAMES:
                raise NotBuilt(f"option --{name.replace('_', '-')} is not built")
        items = [
            f"{key}={str(value).lower() if isinstance(value, bool) else value}"
            for key, value in (settings or {}).items()
        ]
        before, *after = designs
        command = command_line(scenario, items, before, after, allocator, serial, cpus, self.seed, options)
        self.commands.append(command)
        if command not in self._known:
            checked = opt.named(
                scenario=scenario, settings=items, allocator=allocator, before=before, after=after, cpus=cpus,
                serial=serial, seed=self.seed, command=command, **options,
            )  # fmt: skip
            record = coordinator.run(checked, self.steps)
            if record.interrupted:
                raise KeyboardInterrupt
            self._known[command] = measure(record)
            self.violated += self._known[command].invariants.violated
        result = self._known[command]
        if result.partial:
            raise Damaged(f"{result.partial_reason}")
        return result


def settling(allocator: str, seconds: float) -> dict[str, Any]:
    """The option of `Lab.run` that gives an allocator with timers so many kernel seconds to let dead caches die."""
    return {"settle": seconds} if facts(allocator).settles else {}


def command_line(
    scenario: str,
    items: list[str],
    before: str,
    after: Iterable[str],
    allocator: str,
    serial: bool,
    cpus: int | None,
    seed: int,
    options: dict[str, Any],
) -> str:
    """The command that repeats a run."""
    words = ["python", "-m", "stress", "run", "--scenario", scenario]
    for item in items:
        words += ["--set", item]
    if allocator != DEFAULT:
        words += ["--allocator", allocator]
    words += ["--before", before]
    for design in after:
        words += ["--after", design]
    if serial:
        words.append("--serial")
    if cpus is not None:
        words += ["--cpus", str(cpus)]
    if seed != 1:
        words += ["--seed", str(seed)]
    for name, value in options.items():
        for one in value if isinstance(value, (list, tuple)) else [value]:
            words += [f"--{name.replace('_', '-')}", f"{one:g}" if isinstance(one, float) else str(one)]
    return shlex.join(words)
