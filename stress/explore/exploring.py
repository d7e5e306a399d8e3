"""A request becomes a scene, a search and an answer; a schedule that was kept runs again."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from allocators.catalogue import DEFAULT
from allocators.designs import DesignError
from stress.explore.found import schedule as schedules
from stress.explore.found.answer import Answer, Request
from stress.explore.found.trace import Row, rows
from stress.explore.page.beside import Pair, pair
from stress.explore.page.state import look
from stress.explore.races import MODELS
from stress.explore.search.minimise import minimise
from stress.explore.search.search import Budget, races, search
from stress.explore.space.space import Outcome, Space
from stress.explore.world.scene import Scene
from stress.process import ending
from stress.process.ending import live_with_parent
from stress.process.errors import DamagedRun, UsageError

T = TypeVar("T")


def build(request: Request) -> Scene:
    """The scene of a request; UsageError when its design or CPUs do not fit."""
    model = MODELS[request.model]
    if request.allocator not in model.allocators:
        raise UsageError(
            f"--allocator {request.allocator}: the model {request.model} is of {' and '.join(model.allocators)}"
        )
    options = {} if request.allocator == DEFAULT else {"allocator": request.allocator}
    try:
        model.check_design(request.design)
        return model.build(request.design, memory_model=request.memory_model, cpus=request.cpus, **options)
    except DesignError as error:
        raise UsageError(f"--design: {error}") from None


def explore(request: Request) -> Answer:
    """Search, and make what was found small."""
    scene = build(request)
    space = scene.space()
    budget = Budget(request.seconds, request.schedules)
    found = search(
        space,
        request.strategy,
        bound=request.preemptions,
        seed=request.seed,
        budget=budget,
        kinds=request.kinds,
        jobs=request.jobs,
    )
    raced = 0
    if found.outcome is None and (not request.kinds or "data race" in request.kinds):
        space = scene.space(races=True)
        racy = races(space, seed=request.seed, seconds=request.seconds)
        raced = racy.schedules
        if racy.outcome is not None:
            found = found._replace(
                outcome=racy.outcome, schedules=found.schedules + raced, seconds=found.seconds + racy.seconds
            )
    if found.outcome is None:
        return Answer(request, found, raced, None, [], None)
    outcome = minimise(space, found.outcome)
    shown, outcome = rows(space, outcome, scene.names.value)
    kept = schedules.record(
        space,
        outcome,
        model=request.model,
        allocator=request.allocator,
        design=request.design,
        memory_model=request.memory_model,
        cpus=request.cpus,
    )
    return Answer(request, found, raced, outcome, shown, kept)


def in_parallel(requests: list[Request], jobs: int) -> list[Answer]:
    """Each search in a process of its own, `jobs` at a time."""
    return of_each(explore, requests, jobs)


def of_each(look: Callable[[Request], T], requests: list[Request], jobs: int) -> list[T]:
    """look(request) of each, in processes of its own, `jobs` at a time."""
    if jobs == 1 or len(requests) == 1:
        return [look(request) for request in requests]
    crew = ProcessPoolExecutor(
        min(jobs, len(requests)), multiprocessing.get_context("fork"), live_with_parent, (os.getpid(),)
    )
    try:
        with ending.held():  # here all of its processes are forked
            answers = crew.map(look, requests)
        return list(answers)
    except BrokenProcessPool:
        raise DamagedRun(
            "a process of the search was killed; explore again, with --jobs 1 if memory is short"
        ) from None
    except KeyboardInterrupt:
        for process in crew._processes.values():  # they leave Ctrl-C to us, and may be in the middle of a long search
            process.terminate()
        raise
    finally:
        crew.shutdown(cancel_futures=True)


def shown(scene: Scene, kept: schedules.Schedule) -> Pair:
    """Record a kept schedule in a scene that nothing has run in, and the same one without its preemption."""
    space = scene.space(races=kept.kind == "data race")
    strategy = schedules.prepare(space, kept)
    return pair(space, strategy.deviations, scene.names.value, lambda: look(scene, space))


def follow(scene: Scene, space: Space, kept: schedules.Schedule) -> tuple[list[Row], Outcome]:
    """Run a kept schedule in a fresh space."""
    strategy = schedules.prepare(space, kept)
    return rows(space, Outcome("", "", 0, 0, strategy.deviations, False, 0), scene.names.value)
