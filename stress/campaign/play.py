"""A job is played: in this process, but for timed ones, which are a command of their own (`timed`)."""

from __future__ import annotations

import time
from typing import Any

import msgspec

from stress.campaign.jobs import Explore, Job, Serial, Simulate, Timed
from stress.campaign.outcome import Hung, Outcome
from stress.process.errors import DamagedRun
from stress.process.usage import parse_size
from stress.result.data import Result
from stress.show.progress import Progress

# Of a result: what depends on when, where and by whom it was played.
_PLACE = ("run_id", "created", "seconds", "command", "machine", "margin", "confidence", "trust", "blocks", "turns")


class Deadline(Progress):
    """Shows nothing, and ends the job at its limit: those who play call it often."""

    def __init__(self, seconds: float) -> None:
        super().__init__(quiet=True)
        self.seconds = seconds
        self._until = time.monotonic() + seconds

    def check(self) -> None:
        """Raises Hung."""
        if time.monotonic() > self._until:
            raise Hung(f"took longer than its limit of {self.seconds:g} s")

    def phase(self, text: str, state: str = "") -> None:
        self.check()

    def update(self, done: float, dead_caches: int, pages_pinned: int, frees_per_second: float, design: str) -> None:
        self.check()

    def advance(self, done: float, text: str) -> None:
        self.check()


def play(job: Job, limit: float) -> Outcome:
    """Play it. limit: seconds. Raises Hung, UsageError for what cannot be played, DamagedRun for what broke down."""
    match job:
        case Serial():
            return _serial(job, Deadline(limit))
        case Simulate():
            return _simulate(job, Deadline(limit))
        case Explore():
            return _explore(job, limit)
        case Timed():
            from stress.campaign.timed import run

            return run(job, limit)


def warm(job: Job) -> None:
    """Have the code that a job needs compiled, in this process: a worker of Dask may have no children."""
    match job:
        case Serial():
            from allocators.designs import parse_design
            from stress.engine import counting_main
            from stress.play.compiled import STATS

            counting_main.compile(job.allocator, parse_design(job.design).features(job.allocator) | STATS)
        case Simulate():
            from stress.engine import virtual_main
            from stress.play.virtual import features_of

            virtual_main.compile(job.allocator, features_of(job.design, job.allocator))


def _serial(job: Serial, deadline: Deadline) -> Outcome:
    from stress.measure.evaluation import measure
    from stress.play import coordinator

    record = coordinator.run(job.options(), deadline)
    result = measure(record)
    if result.partial:
        raise DamagedRun(result.partial_reason or "the run is incomplete")
    if not job.fail:
        _enough_memory(next(iter(result.designs.values())).failed_allocations, job.memory)
    plain = _plain(result)
    return Outcome(
        violations=result.invariants.violated,
        whole={name: value for name, value in plain.items() if name not in _PLACE},
    )


def _simulate(job: Simulate, deadline: Deadline) -> Outcome:
    from stress.play.virtual import nodes_for
    from stress.play.workload import build_workload
    from stress.simulate import point
    from stress.simulate.sizes import sized

    profile = job.load_profile()
    settings = sized(job.scenario, job.cpus, job.set, job.operations)
    load, _ = build_workload(job.scenario, settings, job.cpus, job.seed)
    played = point.play_point(
        point.Job(
            design=job.design,
            allocator=job.allocator,
            cpus=job.cpus,
            nodes=nodes_for(profile, job.cpus) if job.nodes is None else job.nodes,
            profile=profile,
            memory=parse_size(job.memory),
            seed=job.seed,
            settle=job.settle,
            load=load,
        ),
        lambda share: deadline.check(),
    )
    if played.stuck is not None:
        raise DamagedRun(f"stuck: {played.stuck}")
    _enough_memory(played.counts.get("failed_allocations"), job.memory)
    return Outcome(violations=played.violations, whole=_plain(msgspec.structs.replace(played, seconds=0.0)))


def _explore(job: Explore, limit: float) -> Outcome:
    from stress.explore.exploring import explore
    from stress.explore.found import published

    began = time.monotonic()
    answer = explore(job.request()._replace(seconds=limit))
    if answer.found.limit.endswith("seconds") or time.monotonic() - began > limit:
        raise Hung(f"took longer than its limit of {limit:g} s, after {answer.found.schedules:,} schedules")
    return Outcome(whole=_plain(msgspec.structs.replace(published.exploration(answer), seconds=0.0)))


def _enough_memory(failed: int | None, memory: str) -> None:
    """Figures of a model that ran out of its memory are of another question."""
    if failed:
        raise DamagedRun(
            f"out of memory: {failed:,} allocations of the model failed; give it more than memory = {memory}"
        )


def _plain(data: Result | msgspec.Struct) -> dict[str, Any]:
    from stress.result.files import plain_value

    return msgspec.to_builtins(data, enc_hook=plain_value)
