"""`explore --all --designs …`: every model in every design that it fits, and what is found beyond the catalogue.

Models that are one scene are looked at once. In the design that the catalogue says has a race, its kinds of violation
are passed over; whatever else is found is a *find*. A kind that was found is passed over in turn, and the search goes
on for others, so a scene is left when every schedule within the bound shows nothing but what is known or was reported.
What a find is, the kernel's, ours or the scene's, is written down by hand (`stress.explore.races.judgements`).
"""

from __future__ import annotations

import re
from typing import NamedTuple

import msgspec

from allocators.designs import DESIGNS, DesignError, parse_design
from stress.explore.exploring import build, explore, of_each
from stress.explore.found.answer import Answer, Request, said
from stress.explore.races import MODELS, Model
from stress.explore.races.judgements import UNJUDGED, judgement_of
from stress.explore.space.violation import KINDS
from stress.process.errors import UsageError
from stress.show import units

SCHEMA_VERSION = "1"


class Find(msgspec.Struct, kw_only=True, frozen=True):
    """What was found beyond the catalogue, the same in so many scenes and designs; made small.

    models: all names of these scenes. text: of the first one, in the first design. judgement: whose it is, and why.
    """

    models: list[str]
    allocator: str
    memory_model: str
    kind: str
    designs: list[str]
    preemptions: int
    text: str
    judgement: str
    why: str

    @property
    def command(self) -> str:
        """How to see it."""
        allocator = f" --allocator {self.allocator}" if MODELS[self.models[0]].both else ""
        return f"explore {self.models[0]} --design {self.designs[0]}{allocator}"


class Beyond(msgspec.Struct, kw_only=True, frozen=True):
    """What came of all searches. scenes: how many there are. catalogued: pairs of scene and design in which kinds of a
    race of the catalogue were passed over. limited: searches that a limit ended, which are no pass."""

    schema_version: str = SCHEMA_VERSION
    designs: list[str]
    scenes: int
    searches: int
    schedules: int
    preemptions: int
    catalogued: list[str]
    limited: list[str]
    finds: list[Find]

    @property
    def judged(self) -> bool:
        """Is every find judged?"""
        return all(find.judgement != UNJUDGED for find in self.finds)


def designs_named(text: str) -> list[str]:
    """`all`, or designs with commas between. Raises UsageError."""
    names = list(DESIGNS) if text == "all" else [name.strip() for name in text.split(",")]
    for name in names:
        try:
            parse_design(name)
        except DesignError as error:
            raise UsageError(f"--designs: {error} (see `python -m stress list designs`)") from None
    return list(dict.fromkeys(names))


class _Scene(NamedTuple):
    models: list[Model]
    allocator: str


def scenes() -> list[_Scene]:
    """Every scene once, on each allocator that it is of."""
    found: dict[tuple, _Scene] = {}
    for model in MODELS.values():
        for allocator in model.allocators:
            found.setdefault((*model.scene, allocator), _Scene([], allocator)).models.append(model)
    return list(found.values())


def catalogued(scene: _Scene, design: str) -> tuple[str, ...]:
    """Kinds of violation that the catalogue says this scene has in a design."""
    kinds: list[str] = []
    for model in scene.models:
        if model.is_race and model.allocator == scene.allocator:
            if design == model.design:
                kinds += model.kinds
            elif design == model.mended:
                kinds += model.aside
    return tuple(dict.fromkeys(kinds))


def requests_for(
    designs: list[str], *, preemptions: int, seconds: float, schedules: int, seed: int
) -> list[tuple[_Scene, Request]]:
    """Every scene in every design that it fits."""
    requests = []
    for scene in scenes():
        model = scene.models[0]
        for design in designs:
            known = catalogued(scene, design)
            request = Request(
                model.name, scene.allocator, design, model.memory_model, model.cpus, "dfs", preemptions, seconds,
                schedules, seed, tuple(kind for kind in KINDS if kind not in known),
            )  # fmt: skip
            try:
                build(request)
            except UsageError:
                continue
            requests.append((scene, request))
    return requests


def look(request: Request) -> list[Answer]:
    """Everything that is found in a scene, a kind after the other; the last answer is that nothing else was.

    A data race whose smallest execution ends as something else that is known is left out.
    """
    answers = []
    while request.kinds:
        answer = explore(request)._replace(rows=[], schedule=None)
        found = answer.found.outcome
        if answer.outcome is None or answer.outcome.kind in request.kinds:
            answers.append(answer)
        if found is None:
            break
        request = request._replace(kinds=tuple(kind for kind in request.kinds if kind != found.kind))
    return answers


def look_everywhere(
    designs: list[str], *, preemptions: int, seconds: float, schedules: int, seed: int, jobs: int
) -> Beyond:
    """All searches, `jobs` at a time. seconds, schedules: limits of each, 0 for none."""
    asked = requests_for(designs, preemptions=preemptions, seconds=seconds, schedules=schedules, seed=seed)
    answers = of_each(look, [request for _, request in asked], jobs)
    groups: dict[tuple, list[tuple[_Scene, Answer]]] = {}
    for (scene, _), found in zip(asked, answers, strict=True):
        for answer in found:
            if answer.outcome is not None:
                groups.setdefault(_what(scene, answer), []).append((scene, answer))
    last = [found[-1] for found in answers if found]
    return Beyond(
        designs=designs,
        scenes=len(scenes()),
        searches=sum(len(found) for found in answers),
        schedules=sum(answer.found.schedules for found in answers for answer in found),
        preemptions=preemptions,
        catalogued=[f"{_names(scene)} in {r.design}" for scene, r in asked if catalogued(scene, r.design)],
        limited=[
            f"{answer.request.model} in {answer.request.design} on {answer.request.allocator}: {said(answer.found)}"
            for answer in last
            if answer.outcome is None and not answer.found.exhaustive
        ],
        finds=[_find(group) for group in groups.values()],
    )


def _judged(scene: _Scene, answer: Answer) -> tuple[str, str]:
    assert answer.outcome is not None
    names = [model.name for model in scene.models]
    return judgement_of(names, answer.request.design, scene.allocator, answer.outcome.kind, answer.outcome.text)


def _what(scene: _Scene, answer: Answer) -> tuple:
    """What is the same for answers that are one find: the judgement; without one the scene and the message, but for its
    numbers, which differ from design to design."""
    assert answer.outcome is not None
    judged = _judged(scene, answer)
    same: tuple = (scene.allocator, answer.request.memory_model, answer.outcome.kind, *judged)
    if judged[0] == UNJUDGED:
        same += (*scene.models[0].scene, re.sub(r"\d+", "#", answer.outcome.text.partition("; gone by")[0]))
    return same


def _names(scene: _Scene) -> str:
    return "/".join(model.name for model in scene.models)


def _find(alike: list[tuple[_Scene, Answer]]) -> Find:
    scene, first = alike[0]
    assert first.outcome is not None
    judgement, why = _judged(scene, first)
    return Find(
        models=list(dict.fromkeys(model.name for scene, _ in alike for model in scene.models)),
        allocator=scene.allocator,
        memory_model=first.request.memory_model,
        kind=first.outcome.kind,
        designs=list(dict.fromkeys(answer.request.design for _, answer in alike)),
        preemptions=min(answer.outcome.preemptions for _, answer in alike if answer.outcome),
        text=first.outcome.text,
        judgement=judgement,
        why=why,
    )


def _summary(beyond: Beyond) -> str:
    unjudged = sum(find.judgement == UNJUDGED for find in beyond.finds)
    return (
        f"{beyond.scenes} scenes in {len(beyond.designs)} designs, to {beyond.preemptions} preemptions: "
        f"{beyond.searches:,} searches, {beyond.schedules:,} schedules; {len(beyond.finds)} finds beyond the "
        f"catalogue, {unjudged} of them not judged; a limit ended {len(beyond.limited)} searches, which are no pass"
    )


def as_text(beyond: Beyond) -> str:
    """A block of lines per find."""
    lines = []
    for find in beyond.finds:
        lines.append(f"{'/'.join(find.models)} on {find.allocator}, {find.memory_model.upper()}: {find.kind}")
        lines.append(f"    in {', '.join(find.designs)}; {units.plural(find.preemptions, 'preemption')}")
        lines.append(f"    {find.text}")
        lines.append(f"    {find.judgement}: {find.why}" if find.why else f"    {find.judgement}")
    lines += [f"limit: {text}" for text in beyond.limited]
    return "\n".join([*lines, _summary(beyond)])


def as_markdown(beyond: Beyond) -> str:
    """docs/beyond.md."""
    lines = [
        "# Beyond the catalogue",
        "",
        f"Written by `python -m stress explore --all --designs all --preemptions {beyond.preemptions} --format "
        "markdown`: every scene of the explorer in",
        "every design that it fits, each kind of violation made small; a line for what is the same. Races that the "
        "catalogue names are passed over in",
        "the designs that it names (docs/races.md).",
        "Whose a find is, is our judgement, by hand: *the kernel's*, *ours* (the model is not what a kernel is) or "
        "*the scene's* (it asks for what no kernel does).",
        "",
        _summary(beyond) + ".",
        "",
        "| scene | design | what, with how many preemptions | whose, and why | see it |",
        "|---|---|---|---|---|",
    ]
    for find in beyond.finds:
        text = re.sub(r"( in \w+):\d+", r"\1", find.text.partition("; gone by")[0].partition(" < ")[0])
        cells = (
            f"{', '.join(find.models)} ({find.allocator}, {find.memory_model.upper()})",
            ", ".join(find.designs),
            f"{find.kind}, {find.preemptions}: {text}",
            f"*{find.judgement}*{': ' + find.why if find.why else ''}",
            f"`{find.command}`",
        )
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    if beyond.limited:
        lines += ["", "Not exhausted:", "", *(f"- {text}" for text in beyond.limited)]
    return "\n".join(lines)


def encode(beyond: Beyond) -> str:
    """As indented JSON."""
    return msgspec.json.format(msgspec.json.encode(beyond), indent=2).decode()
