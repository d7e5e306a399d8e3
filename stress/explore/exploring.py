"""What `python -m stress explore` and `replay` do."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path
from typing import Sequence

from allocators.designs import DesignError
from stress.process.errors import UsageError
from stress.explore.found import published
from stress.explore.found import schedule as schedules
from stress.explore.found.answer import DEFAULT_BUDGET, Answer, Request
from stress.explore.search.minimise import minimise
from stress.explore.races import MODELS, Model
from stress.explore.world.scene import Scene
from stress.explore.search.search import Budget, Found, races, search
from stress.explore.space.space import Outcome, Space
from stress.explore.found.table import Line, as_markdown, as_text
from stress.explore.found.trace import Row, render, rows

def build(request: Request) -> Scene:
    """The scene of a request; UsageError when its design or CPUs do not fit."""
    model = MODELS[request.model]
    if request.allocator not in model.allocators:
        raise UsageError(f"--allocator {request.allocator}: the model {request.model} is of {' and '.join(model.allocators)}")
    options = {} if request.allocator == "slub" else {"allocator": request.allocator}
    try:
        return model.build(request.design, memory_model=request.memory_model, cpus=request.cpus, **options)
    except DesignError as error:
        raise UsageError(f"--design: {error}") from None


def explore(request: Request) -> Answer:
    """Search, and make what was found small."""
    scene = build(request)
    space = scene.space()
    budget = Budget(request.seconds, request.schedules)
    found = search(space, request.strategy, bound=request.preemptions, seed=request.seed, budget=budget, kinds=request.kinds, jobs=request.jobs)
    raced = 0
    if found.outcome is None and not request.kinds:
        space = scene.space(races=True)
        racy = races(space, seed=request.seed, seconds=request.seconds)
        raced = racy.schedules
        if racy.outcome is not None:
            found = found._replace(outcome=racy.outcome, schedules=found.schedules + raced, seconds=found.seconds + racy.seconds)
    if found.outcome is None:
        return Answer(request, found, raced, None, [], None)
    outcome = minimise(space, found.outcome)
    shown, outcome = rows(space, outcome, scene.names.value)
    kept = schedules.record(
        space, outcome, model=request.model, allocator=request.allocator, design=request.design, memory_model=request.memory_model, cpus=request.cpus
    )
    return Answer(request, found, raced, outcome, shown, kept)


def main(
    name: str | None,
    *,
    all_: bool,
    allocator: str | None,
    design: str | None,
    cpus: int | None,
    strategy: str,
    preemptions: int,
    memory_model: str | None,
    budget: float | None,
    schedule_count: int,
    jobs: int,
    seed: int,
    out: Path | None,
    format: str,
) -> int:
    """The command; returns its exit status."""
    if all_:
        if name or design or cpus or memory_model or allocator:
            raise UsageError("--all explores each race of the catalogue as it is: leave out the model, --design, --cpus, --allocator and --memory-model")
        return _catalogue(preemptions, budget or DEFAULT_BUDGET, schedule_count, jobs, format, out)
    if format == "markdown":
        raise UsageError("--format markdown is of the table of --all; a single model is printed as text or json")
    if name is None:
        raise UsageError(f"name a model, or say --all (models: {', '.join(MODELS)})")
    if name not in MODELS:
        raise UsageError(f"unknown model {name!r} (models: {', '.join(MODELS)})")
    model = MODELS[name]
    request = Request(
        name,
        allocator or model.allocator,
        design or model.design,
        memory_model or model.memory_model,
        cpus or model.cpus,
        strategy,
        preemptions,
        DEFAULT_BUDGET if budget is None else budget,
        schedule_count,
        seed,
    )
    build(request)  # says what is wrong with it before any process is started
    requests = [request._replace(jobs=jobs)] if strategy == "dfs" else [request._replace(seed=seed + i) for i in range(jobs)]
    answer = _best(in_parallel(requests, jobs))
    path = out or Path(f"{name}.schedule.json")
    if answer.schedule is not None:
        schedules.write(answer.schedule, path)
    if format == "json":
        print(published.encode(published.exploration(answer, str(path) if answer.schedule is not None else None)))
        return 0 if answer.outcome is None else 1
    print_answer(answer)
    if answer.outcome is None:
        return 0
    print(f"schedule written to {path}; run it again with: python -m stress replay {path}")
    return 1


def _best(answers: Sequence[Answer]) -> Answer:
    return min(answers, key=lambda a: (a.outcome is None, a.outcome.preemptions if a.outcome else 0))


def in_parallel(requests: list[Request], jobs: int) -> list[Answer]:
    """Each search in a process of its own, `jobs` at a time."""
    if jobs == 1 or len(requests) == 1:
        return [explore(request) for request in requests]
    with multiprocessing.get_context("fork").Pool(min(jobs, len(requests))) as pool:
        return pool.map(explore, requests, chunksize=1)


def print_answer(answer: Answer) -> None:
    """What was explored, how much of it, and the trace of what was found."""
    request, found = answer.request, answer.found
    rate = found.schedules / found.seconds if found.seconds else 0.0
    print(f"{request.model} on {request.allocator}, design {request.design}, {request.cpus} CPU{'s' if request.cpus > 1 else ''} and the kworker's, {request.memory_model.upper()}, {request.strategy}")
    print(f"{found.schedules:,} schedules in {found.seconds:.2f} s ({rate:,.0f}/s), {found.states:,} states")
    if answer.outcome is None:
        print("nothing found; " + said(found) + (f"; no data race in {answer.raced} random schedules" if answer.raced else ""))
        return
    print(f"found: {answer.outcome.kind}, {answer.outcome.preemptions} preemptions, {answer.outcome.points} decisions\n")
    print(answer.trace)
    print()


def said(found: Found) -> str:
    """How far a search that found nothing got."""
    if found.complete:
        return "exhaustive: no schedule was left out"
    if found.exhaustive:
        return f"exhaustive for at most {found.bound} preemptions"
    reached = f"exhaustive for at most {found.bound} preemptions only" if found.bound >= 0 else "not exhaustive"
    return f"{reached}: the limit of {found.limit} was reached, so this is no pass"


def _catalogue(preemptions: int, seconds: float, schedule_count: int, jobs: int, format: str, out: Path | None) -> int:
    races = [model for model in MODELS.values() if model.is_race]
    requests = []
    for model in races:
        for design, kinds in ((model.design, model.kinds), (model.mended, model.kinds if model.aside else ())):
            requests.append(
                Request(model.name, model.allocator, design, model.memory_model, model.cpus, "dfs", preemptions, seconds, schedule_count, 1, kinds)
            )
    answers = in_parallel(requests, jobs)
    lines = [_line(model, *answers[2 * i : 2 * i + 2]) for i, model in enumerate(races)]
    match format:
        case "markdown":
            text = as_markdown(lines)
        case "json":
            text = published.encode(published.catalogue(lines))
        case _:
            text = as_text(lines)
    if out is not None:
        try:
            out.write_text(text + "\n")
        except OSError as error:
            raise UsageError(f"--out {out}: cannot be written: {error.strerror}; name another file") from None
        print(f"written to {out}")
    else:
        print(text)
    return 0 if all(line.as_catalogued for line in lines) else 1


def _line(model: Model, broken: Answer, mended: Answer) -> Line:
    impossible = bool(model.finding) and not model.aside
    good = broken.outcome is None and broken.found.exhaustive if impossible else broken.outcome is not None
    return Line(model, broken, mended, good and mended.outcome is None and mended.found.exhaustive)


def replay(path: Path) -> int:
    """Run a schedule again: 1 when it fails as it did, 0 when it does not fail any more."""
    kept = schedules.read(path)
    if kept.model.startswith("pytest "):
        raise UsageError(f"{path} is of a test; run it with: pytest --stress-replay {path}")
    if kept.model not in MODELS:
        raise UsageError(f"{path} is of the model {kept.model!r}, which does not exist (any more)")
    scene = build(Request(kept.model, kept.allocator, kept.design, kept.memory_model, kept.cpus))
    space = scene.space(races=kept.kind == "data race")
    shown, outcome = follow(scene, space, kept)
    here = kept.python == schedules.python()
    same = schedules.ends_as(kept, outcome) and (outcome.text == kept.text or not here)
    changed = kept.sources != schedules.source_hash()
    if not same and changed:
        raise UsageError(f"{path} no longer fits: the sources have changed since it was written; explore {kept.model} again")
    print(render(shown, outcome, space.cpus))
    if changed:
        print("the sources have changed since this schedule was written; it still ends as it did")
    if not same and here:
        print("this is not how the schedule ended when it was written: the explorer is not deterministic, which is a bug")
    elif not same:
        print(f"this is not how the schedule ended under {kept.python or 'another Python'}, which wrote it; replay it there, or explore {kept.model} again")
    return 1 if outcome.kind else 0


def follow(scene: Scene, space: Space, kept: schedules.Schedule) -> tuple[list[Row], Outcome]:
    """Run a kept schedule in a fresh space."""
    strategy = schedules.prepare(space, kept)
    return rows(space, Outcome("", "", 0, 0, strategy.deviations, False, 0), scene.names.value)


def default_jobs() -> int:
    """The CPUs this process may use."""
    return len(os.sched_getaffinity(0))
