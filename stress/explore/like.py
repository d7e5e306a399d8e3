"""From a run to a trace: what `python -m stress explore --like results/<run id>` does.

A native run shows that something went wrong, not in which order. Its result says under which designs an
invariant was violated or dead caches were left, on which allocator and how many CPUs; the models that
can be played so are explored, each design by itself.

The models are small worlds: of the run they take the allocator, the designs and whether there were CPUs
enough for them. The run's workload (sizes, cgroups, rates) they do not have, and the command says so.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from allocators.designs import DesignError, parse_design
from stress.explore.exploring import Answer, Request, build, in_parallel
from stress.explore.found import schedule as schedules
from stress.explore.found.answer import print_answer, said
from stress.explore.races import MODELS
from stress.process.errors import UsageError
from stress.result.data import Result
from stress.result.files import read_result
from stress.result.folder import find

DEFAULT_BUDGET = 10.0  # seconds of each search
LEAK = "leak"
RESULTS = Path("results")


class Question(NamedTuple):
    """A design with something to explain. why: in words; kinds: of violation that would explain it, () any."""

    design: str
    why: str
    kinds: tuple[str, ...]


class Options(NamedTuple):
    """What the command line says beside the result; None and "" leave it to the models."""

    model: str | None = None
    design: str | None = None
    cpus: int | None = None
    memory_model: str | None = None
    strategy: str = "dfs"
    preemptions: int = 3
    seconds: float = DEFAULT_BUDGET
    schedules: int = 0
    jobs: int = 1
    seed: int = 1
    full: bool = False


def questions(result: Result, path: Path) -> list[Question]:
    """The designs under which something went wrong; UsageError when there is none."""
    found: dict[str, Question] = {}
    for violation in result.invariants.violated:
        if violation.design not in found:
            found[violation.design] = Question(
                violation.design, f"invariant {violation.invariant} was violated: {violation.description}", ()
            )
    for name, design in result.designs.items():
        left = design.dead_caches.left
        if left and name not in found:
            places = ", ".join(f"{n:,} in {place}" for place, n in design.empty_slabs.items() if n)
            why = f"{left:,} dead cache{'s' if left > 1 else ''} left" + (
                f", their empty slabs: {places}" if places else ""
            )
            found[name] = Question(name, why, (LEAK,))
    if not found:
        raise UsageError(
            f"--like {path}: the run has nothing to explain: no invariant was violated and no dead cache left under "
            f"{', '.join(result.designs)}"
        )
    return list(found.values())


def models_for(allocator: str, cpus: int, kinds: tuple[str, ...]) -> tuple[dict[str, list[str]], dict[str, str]]:
    """The models to explore, each with the names of those that are the same scene; those left out, and why.

    A race of the catalogue that is no leak says nothing of a leak; models beyond it ask for everything.
    """
    chosen: dict[str, list[str]] = {}
    left_out: dict[str, str] = {}
    scenes: dict[tuple, str] = {}
    for name, model in MODELS.items():
        if allocator not in model.allocators:
            continue
        if model.is_race and kinds and not set(kinds) & {*model.kinds, *model.aside}:
            left_out[name] = f"it is about {' and '.join(model.kinds)}"
        elif model.cpus > cpus:
            left_out[name] = f"it needs {model.cpus} CPUs, the run had {cpus}"
        else:
            first = scenes.setdefault((model.build, model.memory_model, model.cpus), name)
            chosen.setdefault(first, []).append(name)
    return chosen, left_out


def requests_for(question: Question, result: Result, options: Options, path: Path) -> list[Request]:
    """The searches for a design, smallest question first; prints what is chosen. DesignError when no model plays it."""
    switches = parse_design(question.design).ordered_switches()
    chosen, left_out = models_for(result.allocator, result.cpus, question.kinds)
    if options.model is not None:
        same = [names for names in chosen.values() if options.model in names]
        if not same:
            why = left_out.get(options.model, f"it is not a model of {result.allocator}")
            raise UsageError(
                f"--like {path}: the model {options.model} does not fit the run: {why}; leave it out, or name one of "
                f"{', '.join(chosen)}"
            )
        chosen = {options.model: same[0]}
    requests, refused = [], ""
    for name in chosen:
        model = MODELS[name]
        request = Request(
            name, result.allocator, question.design,
            options.memory_model or model.memory_model, options.cpus or model.cpus,
            options.strategy, options.preemptions, options.seconds, options.schedules, options.seed, question.kinds,
        )  # fmt: skip
        try:
            build(request)
        except UsageError as error:
            refused = refused or str(error)
            left_out[name] = str(error)
        else:
            requests.append(request)
    if not requests:
        raise DesignError(refused or f"there is no model for {result.allocator} with at most {result.cpus} CPUs")
    print(f"{question.design}: {question.why}")
    if question.design in result.designs and (recorded := result.designs[question.design].switches) != switches:
        print(
            f"  note: the run's {question.design} was {'+'.join(recorded) or 'without switches'}; it is now "
            f"{'+'.join(switches) or 'without switches'}"
        )
    looked_for = " or ".join(question.kinds) or "any violation"
    print(
        f"  looking for {looked_for} in {', '.join(_name(name, chosen[name]) for name in (r.model for r in requests))}"
    )
    for name, why in left_out.items():
        print(f"  not {name}: {why}")
    return requests


def _name(name: str, same: list[str]) -> str:
    others = [other for other in same if other != name]
    memory = f", {MODELS[name].memory_model.upper()}" if MODELS[name].memory_model != "sc" else ""
    return name + memory + (f" (the same scene: {', '.join(others)})" if others else "")


def main(path: Path, options: Options, out: Path | None) -> int:
    """The command; returns its exit status."""
    path = _named(path)
    result = read_result(path)
    asked = questions(result, path)
    modelled = list(dict.fromkeys(name for model in MODELS.values() for name in model.allocators))
    if result.allocator not in modelled:
        raise UsageError(
            f"--like {path}: the run is of {result.allocator}, which no model plays "
            f"(models are of {' and '.join(modelled)})"
        )
    if options.design is not None:
        asked = [question for question in asked if question.design == options.design] or _no_such(
            path, options.design, asked
        )
    folder = _folder(out)
    print(
        f"like {result.run_id or path}: {result.scenario} on {result.allocator}, {result.cpus} "
        f"CPUs{', serial' if result.serial else ''}{', ended early' if result.partial else ''}"
    )
    print(
        "the models have the run's allocator and designs, not its workload: a slab of one object or two, one node, a "
        "few operations"
    )
    plans: list[tuple[Question, list[Request]]] = []
    refused = []
    for question in asked:
        try:
            plans.append((question, requests_for(question, result, options, path)))
        except DesignError as error:
            refused.append(f"design {question.design}: {error}")
    for text in refused if plans else ():
        print(f"not explored: {text}")
    if not plans:
        raise UsageError(f"--like {path}: no model plays what went wrong: {'; '.join(refused)}")
    answers = iter(in_parallel([request for _, requests in plans for request in requests], options.jobs))
    told = [(question, [next(answers) for _ in requests]) for question, requests in plans]
    return max([_report(question, found, folder, options.full) for question, found in told])


def _named(path: Path) -> Path:
    """A path, or what the other commands call a run: its id, a part of it, `last`."""
    try:
        return find(str(path), RESULTS)
    except UsageError:
        raise UsageError(
            f"--like {path}: cannot be read: no such file or folder, nor one run of that name in {RESULTS}/ (see "
            "`python -m stress results`)"
        ) from None


def _no_such(path: Path, design: str, asked: list[Question]) -> list[Question]:
    raise UsageError(
        f"--design {design}: nothing went wrong under it in {path}; name one of {', '.join(q.design for q in asked)}, "
        "or leave it out"
    )


def _folder(out: Path | None) -> Path:
    if out is not None and not out.is_dir():
        raise UsageError(
            f"--out {out}: is no folder; with --like, name one that exists: each design's schedule is written to it"
        )
    return out or Path(".")


def _report(question: Question, answers: list[Answer], folder: Path, full: bool) -> int:
    print(f"\n{question.design}")
    for answer in answers:
        what = (
            f"found: {answer.outcome.kind}, {answer.outcome.preemptions} preemptions"
            if answer.outcome
            else f"nothing found; {said(answer.found)}"
        )
        print(f"  {answer.request.model:<18} {answer.found.schedules:>9,} schedules  {what}")
    found = [
        (answer, answer.outcome, answer.schedule)
        for answer in answers
        if answer.outcome is not None and answer.schedule is not None
    ]
    if not found:
        print(
            "  no model shows what the run showed"
            + ("" if all(a.found.exhaustive for a in answers) else ": give it more time with --budget")
        )
        return 0
    smallest, outcome, schedule = min(found, key=lambda one: (one[1].preemptions, one[1].points))
    print("the smallest:" if len(found) > 1 else "")
    print_answer(smallest, full)
    if outcome.preemptions == 0:
        print("no task has to be preempted for it: look at the design before you look for a race")
    path = folder / f"{smallest.request.model}-{question.design}.schedule.json"
    schedules.write(schedule, path)
    print(f"schedule written to {path}; run it again with: python -m stress replay {path}")
    return 1
