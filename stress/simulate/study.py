"""All points of a simulation: every design on every number of CPUs, by as many processes as there are CPUs here.

A point is a process that is forked when a place is free, plays it, and sends it back as JSON through a pipe; the
tapes of a number of CPUs are made once, before, and all its designs share them. The largest points come first, so that
no process ends alone with one. However this ends, no process is left.
"""

from __future__ import annotations

import dataclasses
import logging
import multiprocessing
import multiprocessing.connection
import os
import signal
import time
import traceback
from collections import deque
from collections.abc import Sequence
from multiprocessing.process import BaseProcess

import msgspec

from scenarios.tape import Workload
from scenarios.traces import TraceError
from shm.code_cache import model_hash
from stress.engine import virtual_main
from stress.play.compiled import ready
from stress.play.virtual import features_of, nodes_for
from stress.play.workload import build_workload
from stress.process import ending
from stress.process.errors import DamagedRun, UsageError
from stress.process.failures import as_stress_error
from stress.recordings.workload import open_recording
from stress.show import units
from stress.show.progress import Progress
from stress.simulate.options import SimulateOptions
from stress.simulate.point import Job, play_point
from stress.simulate.rates import headline_of
from stress.simulate.result import Point, Simulation
from stress.simulate.sentences import sentences
from stress.simulate.sizes import sized

log = logging.getLogger(__name__)

_CHUNK = 1 << 16  # bytes read from a pipe at once


class _Share(msgspec.Struct, tag="share"):
    """How much of a point is done."""

    done: float


class _Done(msgspec.Struct, tag="done"):
    point: Point


class _Failed(msgspec.Struct, tag="failed"):
    """usage: what was asked for cannot be played. Else text is a traceback."""

    text: str
    usage: bool


_Message = _Share | _Done | _Failed


@dataclasses.dataclass(slots=True, eq=False)
class _Playing:
    """A process and the point that it plays. pipe: to read from. lines: what has come from it, to the last newline."""

    job: Job
    process: BaseProcess
    pipe: int
    lines: bytearray
    share: float = 0.0
    ended: bool = False  # it has sent its last message

    @property
    def name(self) -> str:
        return f"{self.job.design} on {units.plural(self.job.cpus, 'CPU')}"


def simulate(options: SimulateOptions, progress: Progress) -> Simulation:
    """Play all points. Ctrl-C ends it with the points that are done.

    Raises UsageError for what cannot be played, KeyboardInterrupt and DamagedRun when there is no point to tell of.
    """
    began = time.monotonic()
    loads, parameters = _workloads(options, progress)
    ready(
        [(virtual_main, options.allocator, features_of(design, options.allocator)) for design in options.designs],
        progress.phase,
    )
    jobs = _jobs(options, loads)
    loads.clear()
    points, troubles, interrupted = play_all(jobs, options.jobs, progress)
    if not points:
        if interrupted:
            raise KeyboardInterrupt
        raise DamagedRun("; ".join(troubles))
    order = {design: number for number, design in enumerate(options.designs)}
    points.sort(key=lambda point: (order[point.design], point.cpus))
    profile = options.profile
    found = Simulation(
        command=options.command,
        scenario=options.scenario,
        parameters=parameters,
        allocator=options.allocator,
        machine=profile.name,
        shape=profile.shape,
        sources=list(profile.sources),
        seed=options.seed,
        step=options.step,
        designs=options.designs,
        cpus=sorted({point.cpus for point in points}),
        headline=headline_of(points),
        points=points,
        sentences=[],
        notes=[*_notes(options, points), *troubles],
        partial=interrupted or bool(troubles),
        model=model_hash(),
        seconds=round(time.monotonic() - began, 3),
    )
    return msgspec.structs.replace(found, sentences=sentences(found))


def _workloads(options: SimulateOptions, progress: Progress) -> tuple[dict[int, Workload], dict[str, dict[str, str]]]:
    """The tapes by number of CPUs, and the settings they were made with."""
    if options.trace is None:
        progress.phase("making tapes")
        settings = {cpus: sized(options.scenario, cpus, options.settings, options.operations) for cpus in options.cpus}
        loads = {
            cpus: build_workload(options.scenario, given, cpus, options.seed)[0] for cpus, given in settings.items()
        }
        return loads, {str(cpus): given for cpus, given in settings.items()}
    trace = options.trace
    progress.phase(f"reading {trace}")
    try:
        load, _ = open_recording(
            trace,
            seed=options.seed,
            progress=lambda done, size: progress.advance(done / max(1, size), f"reading {trace}"),
        )
    except TraceError as error:
        raise UsageError(f"--trace: {error}") from None
    if options.nodes is not None and options.nodes > load.cpus:
        raise UsageError(f"--nodes {options.nodes}: a node needs a CPU, and the trace was recorded on {load.cpus}")
    # CPUs run as fast as virtual time lets them: what waits for another CPU's object waits, no more.
    return {load.cpus: dataclasses.replace(load, order=None)}, {}


def largest(options: SimulateOptions, progress: Progress) -> list[Job]:
    """The points of the largest number of CPUs."""
    one = options if options.trace is not None else dataclasses.replace(options, cpus=(max(options.cpus),))
    return _jobs(one, _workloads(one, progress)[0])


def _jobs(options: SimulateOptions, loads: dict[int, Workload]) -> list[Job]:
    """The points to play, the largest first."""
    return [
        Job(
            design=design,
            allocator=options.allocator,
            cpus=cpus,
            nodes=nodes_for(options.profile, cpus) if options.nodes is None else options.nodes,
            profile=options.profile,
            memory=options.memory,
            seed=options.seed,
            settle=options.settle,
            load=loads[cpus],
            memoryless=options.memoryless,
            step=options.step,
        )
        for cpus in sorted(loads, reverse=True)
        for design in options.designs
    ]


def _notes(options: SimulateOptions, points: Sequence[Point]) -> list[str]:
    """What a reader should know of the points."""
    profile, most = options.profile, max(point.cpus for point in points)
    found = []
    if options.step == "operation":
        found.append("Played an operation at a time: what CPUs wait for each other comes out shorter than it is.")
    if options.memoryless:
        found.append(f"{options.memoryless} of {options.nodes} nodes have no memory.")
    if most <= profile.cpus:
        return found
    return [
        *found,
        f"{profile.name} has {profile.cpus} CPUs; beyond them its nodes are given more complexes of "
        f"{profile.topology.cores_per_complex} cores, at the same prices.",
    ]


def play_all(jobs: list[Job], at_once: int, progress: Progress) -> tuple[list[Point], list[str], bool]:
    """Play these points, so many at once, in order; the list is emptied, so that tapes go when they have been played.

    Returns the points that were done, what became of others, and whether it was interrupted. Raises UsageError for a
    point that cannot be played and DamagedRun for one that failed.
    """
    queue, total = deque(jobs), len(jobs)
    jobs.clear()
    points: list[Point] = []
    troubles: list[str] = []
    playing: list[_Playing] = []
    try:
        while queue or playing:
            while queue and len(playing) < at_once:
                with ending.held():
                    playing.append(_start(queue.popleft()))
            ending.check()
            _tell(progress, points, playing, total)
            ready_ones = multiprocessing.connection.wait([one.pipe for one in playing], timeout=0.2)
            for one in [one for one in playing if one.pipe in ready_ones]:
                chunk = os.read(one.pipe, _CHUNK)
                one.lines += chunk
                while (end := one.lines.find(b"\n")) >= 0:
                    line = bytes(one.lines[:end])
                    del one.lines[: end + 1]
                    point = _heard(one, msgspec.json.decode(line, type=_Message))
                    if point is not None:
                        points.append(point)
                if not chunk:
                    playing.remove(one)
                    trouble = _gone(one)
                    if trouble:
                        troubles.append(trouble)
                        log.error("%s", trouble)
    except KeyboardInterrupt:
        return points, troubles, True
    finally:
        for one in playing:
            one.process.kill()
            one.process.join()
            os.close(one.pipe)
    return points, troubles, False


def _heard(one: _Playing, message: _Message) -> Point | None:
    """Take a message; the point, if it is that. Raises what went wrong in the process."""
    if isinstance(message, _Share):
        one.share = message.done
        return None
    one.ended = True
    if isinstance(message, _Done):
        return message.point
    if message.usage:
        raise UsageError(f"{one.name}: {message.text}")
    raise DamagedRun(f"{one.name} has failed: {message.text}")


def _gone(one: _Playing) -> str:
    """Its pipe is closed: what there is to say of it, "" if it did what it should."""
    one.process.join()
    os.close(one.pipe)
    if one.ended:
        return ""
    code = one.process.exitcode or 0
    how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"
    short = "; if memory was short, play with --jobs 1" if code == -signal.SIGKILL else ""
    return f"{one.name}: its process {how}, so the point is missing{short}"


def _tell(progress: Progress, points: Sequence[Point], playing: Sequence[_Playing], total: int) -> None:
    share = (len(points) + sum(one.share for one in playing if not one.ended)) / total
    names = ", ".join(one.name for one in playing)
    progress.advance(share, f"{len(points)} of {total} points; {names}")


def _start(job: Job) -> _Playing:
    ours, theirs = os.pipe()
    try:
        process = multiprocessing.get_context("fork").Process(
            target=_serve, args=(job, ours, theirs, os.getpid()), name=f"{job.design}-{job.cpus}", daemon=True
        )
        process.start()
    except OSError as error:
        os.close(ours)
        raise DamagedRun(f"a process could not be started: {error.strerror}") from None
    finally:
        os.close(theirs)
    return _Playing(job, process, ours, bytearray())


def _serve(job: Job, ours: int, theirs: int, parent: int) -> None:
    """The process of a point: play it and send what it is."""
    ending.live_with_parent(parent)
    os.close(ours)
    try:
        message: _Message = _Done(play_point(job, lambda share: _send(theirs, _Share(share))))
    except Exception as error:
        said = as_stress_error(error)
        message = _Failed(traceback.format_exc() if said is None else str(said), isinstance(said, UsageError))
    _send(theirs, message)


def _send(pipe: int, message: _Message) -> None:
    data = memoryview(msgspec.json.encode(message) + b"\n")
    while data:
        data = data[os.write(pipe, data) :]
