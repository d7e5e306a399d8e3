"""The commands `explore` and `replay`: what is asked for, how it is printed, exit statuses."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from allocators.catalogue import ALLOCATORS
from allocators.designs import DesignError, parse_design
from stress.explore import all_designs
from stress.explore.exploring import build, follow, in_parallel, shown
from stress.explore.found import published
from stress.explore.found import schedule as schedules
from stress.explore.found.answer import DEFAULT_BUDGET, Answer, Request, print_answer, print_execution
from stress.explore.found.story import story
from stress.explore.found.table import Line, as_markdown, as_text, page_of
from stress.explore.found.trace import render
from stress.explore.races import MODELS, Model
from stress.explore.showing import NO_FILES, Files, write
from stress.process.errors import UsageError
from stress.process.files import write_atomically
from stress.process.usage import check_file, check_seconds, choose


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
    full: bool = False,
    designs: str | None = None,
    files: Files = NO_FILES,
) -> int:
    """The command; returns its exit status."""
    check(name, design, allocator, budget)
    files.check()
    if out is not None:
        check_file("--out", out)
    if designs is not None and not all_:
        raise UsageError("--designs is of --all: which designs every model is explored in; one model takes --design")
    if all_ and files:
        raise UsageError("--page and --perfetto are of one schedule: explore one race, or replay its schedule")
    if all_:
        if strategy != "dfs":
            raise UsageError(f"--strategy {strategy}: --all searches depth-first, which alone can exhaust a model")
        if format == "markdown" and out is not None and not out.suffix:
            raise UsageError(f"--out {out}: name a file such as {out}.md; the pages of its races go to a folder {out}/")
        if name or design or cpus or memory_model or allocator:
            raise UsageError(
                "--all explores each race of the catalogue as it is: leave out the model, --design, --cpus, "
                "--allocator and --memory-model"
            )
        seconds = budget or DEFAULT_BUDGET
        if designs is not None:
            return _all_designs(designs, preemptions, seconds, schedule_count, seed, jobs, format, out)
        return _catalogue(preemptions, seconds, schedule_count, jobs, format, out)
    if format == "markdown":
        raise UsageError("--format markdown is of the table of --all; a single model is printed as text or json")
    if name is None:
        raise UsageError(f"name a model, or say --all (models: {', '.join(MODELS)})")
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
    path = out or Path(f"{name}.schedule.json")
    check_file("--out", path)
    requests = (
        [request._replace(jobs=jobs)] if strategy == "dfs" else [request._replace(seed=seed + i) for i in range(jobs)]
    )
    answer = _best(in_parallel(requests, jobs))
    if answer.schedule is not None:
        schedules.write(answer.schedule, path)
    told = _show(files, answer) if files else []
    if format == "json":
        print(published.encode(published.exploration(answer, str(path) if answer.schedule is not None else None)))
        return 0 if answer.outcome is None else 1
    print_answer(answer, full)
    if answer.outcome is None:
        print("\n".join(told), end="\n" if told else "")
        return 0
    print(f"schedule written to {path}; run it again with: python -m stress replay {path}")
    print("\n".join(told), end="\n" if told else "")
    return 1


def _show(files: Files, answer: Answer) -> list[str]:
    """Write the files of what was found; what to tell."""
    request, outcome, kept = answer.request, answer.outcome, answer.schedule
    if outcome is None or kept is None:
        return ["nothing found, so there is nothing to show: no page or trace is written"]
    pair = shown(build(request), kept)
    return write(files, _title(request.model), kept, story(answer.rows, outcome), pair)


def _title(name: str) -> str:
    return f"{name}: {MODELS[name].summary}"


def check(name: str | None, design: str | None, allocator: str | None, budget: float | None) -> None:
    """What is said by name, and the limit of time, whether it will be used or not. Raises UsageError."""
    if name is not None:
        choose("MODEL", name, MODELS, "python -m stress list races")
    if allocator is not None:
        choose("--allocator", allocator, ALLOCATORS, "python -m stress list allocators")
    if design is not None:
        try:
            parse_design(design)
        except DesignError as error:
            raise UsageError(f"--design: {error} (see `python -m stress list designs`)") from None
    if budget is not None:
        check_seconds("--budget", budget, "the limit of time", "60")


def _best(answers: Sequence[Answer]) -> Answer:
    return min(answers, key=lambda a: (a.outcome is None, a.outcome.preemptions if a.outcome else 0))


def _catalogue(preemptions: int, seconds: float, schedule_count: int, jobs: int, format: str, out: Path | None) -> int:
    races = [model for model in MODELS.values() if model.is_race]
    requests = []
    for model in races:
        for design, kinds in ((model.design, model.kinds), (model.mended, model.kinds if model.aside else ())):
            requests.append(
                Request(
                    model.name,
                    model.allocator,
                    design,
                    model.memory_model,
                    model.cpus,
                    "dfs",
                    preemptions,
                    seconds,
                    schedule_count,
                    1,
                    kinds,
                )
            )
    answers = in_parallel(requests, jobs)
    lines = [_line(model, *answers[2 * i : 2 * i + 2]) for i, model in enumerate(races)]
    match format:
        case "markdown":
            text = as_markdown(lines, "" if out is None else out.stem)
        case "json":
            text = published.encode(published.catalogue(lines))
        case _:
            text = as_text(lines)
    pages = {f"{line.model.name}.md": page_of(line) for line in lines} if format == "markdown" else {}
    _print(text, out, pages)
    return 0 if all(line.as_catalogued for line in lines) else 1


def _all_designs(
    named: str, preemptions: int, seconds: float, schedules: int, seed: int, jobs: int, format: str, out: Path | None
) -> int:
    beyond = all_designs.look_everywhere(
        all_designs.designs_named(named),
        preemptions=preemptions,
        seconds=seconds,
        schedules=schedules,
        seed=seed,
        jobs=jobs,
    )
    match format:
        case "markdown":
            text = all_designs.as_markdown(beyond)
        case "json":
            text = all_designs.encode(beyond)
        case _:
            text = all_designs.as_text(beyond)
    _print(text, out)
    return 0 if beyond.judged else 1


def _print(text: str, out: Path | None, pages: Mapping[str, str] | None = None) -> None:
    """A table, to the terminal or a file; with a file also pages, by their names, to a folder beside it."""
    if out is not None:
        texts = {out: text} | {out.with_suffix("") / name: page for name, page in (pages or {}).items()}
        for path, content in texts.items():
            try:
                path.parent.mkdir(exist_ok=True)
                write_atomically(path, content.encode() + b"\n")
            except OSError as error:
                raise UsageError(f"--out {path}: cannot be written: {error.strerror}; name another file") from None
        print(f"written to {out}" + (f", its races to {out.with_suffix('')}/" if len(texts) > 1 else ""))
    else:
        print(text)


def _line(model: Model, broken: Answer, mended: Answer) -> Line:
    impossible = bool(model.finding) and not model.aside
    good = broken.outcome is None and broken.found.exhaustive if impossible else broken.outcome is not None
    return Line(model, broken, mended, good and mended.outcome is None and mended.found.exhaustive)


def replay(path: Path, full: bool = False, files: Files = NO_FILES) -> int:
    """Run a schedule again: 1 when it fails as it did, 0 when it does not fail any more."""
    files.check()
    kept = schedules.read(path)
    if kept.model.startswith("pytest "):
        raise UsageError(f"{path} is of a test; run it with: pytest --stress-replay {path}")
    if kept.model not in MODELS:
        raise UsageError(f"{path} is of the model {kept.model!r}, which does not exist (any more)")
    request = Request(kept.model, kept.allocator, kept.design, kept.memory_model, kept.cpus)
    scene = build(request)
    space = scene.space(races=kept.kind == "data race")
    found, outcome = follow(scene, space, kept)
    here = kept.python == schedules.python()
    same = schedules.ends_as(kept, outcome) and (outcome.text == kept.text or not here)
    changed = kept.sources != schedules.source_hash()
    if not same and changed:
        raise UsageError(
            f"{path} no longer fits: the sources have changed since it was written; explore {kept.model} again"
        )
    if outcome.kind:
        print_execution(found, outcome, space.cpus, full)
    else:
        print(render(found, outcome, space.cpus))
    if files:
        told = story(found, outcome) if outcome.kind else ["It does not fail any more."]
        pair = shown(build(request), kept)
        print("\n".join(write(files, _title(kept.model), kept, told, pair)))
    if changed:
        print("the sources have changed since this schedule was written; it still ends as it did")
    if not same and here:
        print(
            "this is not how the schedule ended when it was written: the explorer is not deterministic, which is a bug"
        )
    elif not same:
        print(
            f"this is not how the schedule ended under {kept.python or 'another Python'}, which wrote it; replay it "
            f"there, or explore {kept.model} again"
        )
    return 1 if outcome.kind else 0


def default_jobs() -> int:
    """The CPUs this process may use."""
    return len(os.sched_getaffinity(0))
