"""The questions of a review, one function each: what was asked, what came of it, in lines for a mail."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from stress.check.plan import RELEASE, Plan
from stress.process.errors import StressError, UsageError
from stress.show import units

if TYPE_CHECKING:
    from stress.explore.found.answer import Answer
    from stress.result.data import Design, Result
    from stress.show.progress import Progress

PASSED, FAILED, NOTED, DAMAGED = "passed", "FAILED", "noted", "INCOMPLETE"
SCALES = "1,4,16,64"
MACHINE = "epyc-2022"
STORM_CPUS = 4
SHOWN = 6  # differences of a kind that are listed


@dataclasses.dataclass(slots=True)
class Part:
    """One question. status: one of the four above. command: what asks it alone."""

    title: str
    status: str
    lines: list[str]
    command: str = ""


def conformance(plan: Plan, progress: Progress) -> Part:
    """The recorded steps of a real kernel: with the switches off, and on where the plugin says nothing changes."""
    from scenarios.traces.errors import TraceError
    from scenarios.traces.steps import read_steps
    from stress.play.conform import conform

    title = "Conformance with a recorded kernel"
    if plan.steps is None:
        return Part(title, NOTED, ["not checked: there is no recording here; name one with --steps FILE (tests/data)"])
    try:
        table = read_steps(plan.steps)
    except TraceError as error:
        raise UsageError(f"--steps: {error}") from None
    lines, status = [], PASSED
    for design in (RELEASE, plan.release):
        if design is None:
            lines.append("not compared with the switches on: the plugin does not say LIVE_UNCHANGED = True")
            continue
        progress.phase(f"conformance of {design}")
        found = conform(table, design)
        wrong = {(d.cache, d.step) for d in found.differences}
        lines.append(
            f"{design}: {found.steps - len(wrong)} of {found.steps} steps equal, "
            f"{found.counters - len(found.differences):,} of {found.counters:,} counters"
        )
        if found.differences:
            status = FAILED
            lines += [
                f"  {d.cache} step {d.step} ({d.text}): {d.counter} is {d.theirs} in the kernel, {d.ours} here"
                for d in found.differences[:SHOWN]
            ]
    return Part(title, status, lines)


def storm(plan: Plan, progress: Progress) -> Part:
    """The storm of cgroup removals, serial, with all invariants between blocks; what becomes of dead caches."""
    result, command = _run(plan, progress, serial=True)
    status = FAILED if result.invariants.violated else DAMAGED if result.partial else PASSED
    lines = [f"{len(result.invariants.checked)} invariants, {len(result.invariants.violated)} violated"]
    lines += [f"  {v.invariant} under {v.design}: {v.description}" for v in result.invariants.violated[:SHOWN]]
    if result.partial:
        lines.append(f"the run broke off: {result.partial_reason}")
    return Part("Invariants under the storm", status, lines, command)


def fate(plan: Plan, progress: Progress) -> Part:
    """What became of the dead caches in that storm, with how long they lived."""
    result, command = _run(plan, progress, serial=True)
    lines = []
    for name in (plan.before, plan.after):
        design = result.designs.get(name)
        if design is not None:
            lines += _fate(name, design)
    left = [result.designs[name].dead_caches.left for name in (plan.before, plan.after) if name in result.designs]
    status = DAMAGED if result.partial or len(left) < 2 else NOTED
    return Part("Fate and lifetime of dead caches", status, lines, command)


def _fate(name: str, design: Design) -> list[str]:
    dead, lived = design.dead_caches, design.lifetime_seconds
    pins = f", {design.pages_left:,} pages in slabs at the end" if design.pages_left is not None else ""
    lines = [f"{name}: {dead.left} of {dead.offlined} dead caches left{pins}"]
    if lived.p50 is not None:
        lines.append(
            "  lifetime (in kernel time), median / 99 % / longest: "
            + " / ".join("-" if value is None else units.seconds(value) for value in (lived.p50, lived.p99, lived.max))
        )
    empty = {place: number for place, number in design.empty_slabs.items() if number}
    if empty:
        lines.append("  empty slabs in them: " + ", ".join(f"{n:,} {place}" for place, n in sorted(empty.items())))
    return lines


def races(plan: Plan, progress: Progress) -> Part:
    """Every model of the explorer, with the switches off and on. What only the plugin's design shows is new."""
    from stress.explore.exploring import build, in_parallel
    from stress.explore.found.answer import Request, said
    from stress.explore.races import MODELS

    title = "Every interleaving of the explorer's models"
    requests: list[Request] = []
    skipped: list[str] = []
    for model in MODELS.values():
        pair = [
            Request(model.name, plan.allocator, design, model.memory_model, model.cpus, "dfs", plan.preemptions,
                    plan.budget, 0, plan.seed)
            for design in (plan.before, plan.after)
        ]  # fmt: skip
        try:
            for request in pair:
                build(request)
        except StressError:
            skipped.append(model.name)
            continue
        requests += pair
    progress.phase(f"exploring {len(requests) // 2} models under two designs")
    answers = in_parallel(requests, plan.jobs)
    pairs = list(zip(answers[::2], answers[1::2], strict=True))
    # What fails as before may fail in a new way too, which the old way hides: the patched design is asked for others.
    hidden = [after.request._replace(kinds=_others(_kind(after))) for before, after in pairs if _same(before, after)]
    progress.phase(f"exploring {len(hidden)} models for other failures")
    others = {answer.request.model: answer for answer in in_parallel(hidden, plan.jobs)} if hidden else {}
    known = [
        before.request._replace(kinds=(_kind(others[before.request.model]),))
        for before, _ in pairs
        if before.request.model in others and _kind(others[before.request.model])
    ]
    had = {answer.request.model: _kind(answer) for answer in in_parallel(known, plan.jobs)} if known else {}
    worse, better, alike, unfinished, lines = [], [], [], [], []
    for before, after in pairs:
        name = before.request.model
        also = others.get(name)
        if also is not None and _kind(also) and had.get(name) != _kind(also):
            worse.append(name)
            lines += [f"{name}: {_kind(after)} as before, but {_kind(also)} too:", f"  {_text(also)}"]
        elif _kind(after) and not _same(before, after):
            worse.append(name)
            lines += [f"{name}: {_kind(before) or 'nothing'} before, {_kind(after)} after:", f"  {_text(after)}"]
        elif _kind(before) and not _kind(after):
            better.append(name)
        elif before.outcome is not None and after.outcome is not None:
            alike.append(f"{name} ({_kind(before)}, {before.outcome.preemptions} → {after.outcome.preemptions})")
        for answer in (after, also):
            if answer is not None and answer.outcome is None and not answer.found.exhaustive:
                unfinished.append(f"{name}: {said(answer.found)}")
    clean = len(pairs) - len(worse) - len(better) - len(alike)
    first = f"{len(pairs)} models, up to {units.plural(plan.preemptions, 'preemption')}: {len(worse)} worse, "
    lines.insert(0, first + f"{len(better)} better, {len(alike)} fail as before, {clean} find nothing in either")
    if better:
        lines.append(f"no longer found: {', '.join(better)}")
    if alike:
        lines.append(f"as before (preemptions needed, before → after): {', '.join(alike)}")
    lines += [f"no pass, {text}" for text in unfinished]
    if skipped:
        lines.append(f"of other allocators or designs: {', '.join(skipped)}")
    status = FAILED if worse else NOTED if unfinished or alike else PASSED
    return Part(title, status, lines, f"python -m stress explore MODEL --design {plan.after}")


def _same(before: Answer, after: Answer) -> bool:
    return bool(_kind(before)) and _kind(before) == _kind(after)


def _others(kind: str) -> tuple[str, ...]:
    from stress.explore.space.violation import KINDS

    return tuple(other for other in KINDS if other != kind)


def _text(answer: Answer) -> str:
    return answer.outcome.text if answer.outcome is not None else ""


def _kind(answer: Answer) -> str:
    return answer.outcome.kind if answer.outcome is not None else ""


def speed(plan: Plan, progress: Progress) -> Part:
    """Live and dead frees, the two designs side by side, with intervals."""
    result, command = _run(plan, progress, serial=False)
    lines = [f"{result.cpus} CPUs here, {result.seconds:.0f} s; throughput of {plan.after} / {plan.before}"]
    ratios = result.ratios.get(plan.after)
    settled = ratios is not None
    for name, ratio in (("live frees", ratios.live), ("dead frees", ratios.dead)) if ratios is not None else ():
        if ratio.estimate is None:
            lines.append(f"{name}: not measured")
            settled = False
            continue
        interval = "no interval" if ratio.low is None or ratio.high is None else f"[{ratio.low:.3f}, {ratio.high:.3f}]"
        call = ratio.verdict.call if ratio.verdict is not None else "cannot tell"
        settled = settled and call != "cannot tell"
        lines.append(f"{name}: {ratio.estimate:.3f} {interval} {call} (margin {result.margin:.0%})")
    lines.append(f"trust: {result.trust.grade}" + "".join(f"; {f.text}" for f in result.trust.findings[:1]))
    if result.invariants.violated:
        lines += [f"{v.invariant} under {v.design}: {v.description}" for v in result.invariants.violated[:SHOWN]]
    status = FAILED if result.invariants.violated else DAMAGED if result.partial else PASSED if settled else NOTED
    return Part("Live and dead frees, timed", status, lines, command)


def scaling(plan: Plan, progress: Progress) -> Part:
    """The storm in virtual time on 1 to 64 CPUs of a machine that need not be here."""
    from stress.simulate.options import make_options
    from stress.simulate.sentences import sound
    from stress.simulate.study import simulate

    command = (
        f"python -m stress simulate --scenario offline-storm --before {plan.before} --after {plan.after} "
        f"--cpus {SCALES} --operations 200000 --seed {plan.seed}"
    )
    options = make_options(
        scenario="offline-storm", allocator=plan.allocator, before=plan.before, after=[plan.after], cpus=SCALES,
        machine=MACHINE, operations=200_000, seed=plan.seed, jobs=plan.jobs, command=command,
    )  # fmt: skip
    found = simulate(options, progress)
    by = {(point.design, point.cpus): point for point in found.points}
    lines = [f"{found.machine}, frees a second (live, dead), and the ratio of {plan.after} to {plan.before}"]
    for cpus in found.cpus:
        pair = [by.get((design, cpus)) for design in (plan.before, plan.after)]
        if pair[0] is None or pair[1] is None:
            continue
        texts = []
        for kind in ("live", "dead"):
            old, new = (point.rates.get(kind) for point in pair if point is not None)
            if old and new:
                texts.append(f"{kind} {new / 1e6:,.1f} M ({new / old:.3f})")
        dead = pair[1].dead
        lines.append(f"{cpus:>4} CPUs: {', '.join(texts)}; {dead.left} of {dead.offlined} dead caches left")
    lines += found.sentences[:SHOWN]
    violated = [v for point in found.points for v in point.violations]
    lines += [f"{v.invariant} under {v.design}: {v.description}" for v in violated[:SHOWN]]
    whole = not found.partial and all(map(sound, found.points))
    return Part("Scaling in virtual time", FAILED if violated else PASSED if whole else DAMAGED, lines, command)


PARTS: Sequence[Callable[[Plan, Progress], Part]] = (conformance, storm, races, speed, scaling, fate)

_RUNS: dict[tuple[Plan, bool], tuple[Result, str]] = {}


def _run(plan: Plan, progress: Progress, *, serial: bool) -> tuple[Result, str]:
    """One run of the storm under both designs, and the command that repeats it; asked again it is not played again."""
    from stress.measure.evaluation import measure
    from stress.play import coordinator
    from stress.play import options as opt

    key = (plan, serial)
    if key not in _RUNS:
        words = ["python -m stress run", f"--before {plan.before} --after {plan.after} --seed {plan.seed}"]
        words += [f"--serial --check-blocks --cpus {STORM_CPUS}"] if serial else [f"--seconds {plan.seconds:g}"]
        if plan.allocator != opt.DEFAULT:
            words.append(f"--allocator {plan.allocator}")
        command = " ".join(words)
        chosen: dict[str, object] = {"serial": True, "check_blocks": True, "cpus": STORM_CPUS} if serial else {}
        options = opt.named(
            allocator=plan.allocator, before=plan.before, after=[plan.after], seconds=plan.seconds, seed=plan.seed,
            command=command, **chosen,
        )  # fmt: skip
        record = coordinator.run(options, progress)
        if record.interrupted:
            raise KeyboardInterrupt
        _RUNS[key] = (measure(record), command)
    return _RUNS[key]
