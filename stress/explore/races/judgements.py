"""Whose are the finds beyond the catalogue? Judged by hand, one by one."""

from __future__ import annotations

from typing import NamedTuple

KERNEL, OURS, SCENE, UNJUDGED = "the kernel's", "ours", "the scene's", "not judged"


class Judgement(NamedTuple):
    """Of finds of a kind: whose they are, and why. part: of the find's text. designs, models (any name of a scene),
    allocator: empty for all."""

    kind: str
    whose: str
    why: str
    part: str = ""
    designs: frozenset[str] = frozenset()
    models: frozenset[str] = frozenset()
    allocator: str = ""


JUDGEMENTS: tuple[Judgement, ...] = ()


def judgement_of(models: list[str], design: str, allocator: str, kind: str, text: str) -> tuple[str, str]:
    """Whose a find is, and why; UNJUDGED and "" when nobody has said."""
    for judged in JUDGEMENTS:
        if (
            judged.kind == kind
            and judged.part in text
            and (not judged.designs or design in judged.designs)
            and (not judged.models or judged.models & set(models))
            and judged.allocator in ("", allocator)
        ):
            return judged.whose, judged.why
    return UNJUDGED, ""
