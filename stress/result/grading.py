"""Levels of findings and grades of trust: their names, and the grade that follows from what was found.

The structs of a result hold them as text, as its schema says; whoever makes them uses these.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from stress.result.data import Finding, Trust

Level = Literal["note", "warning", "serious"]
Grade = Literal["good", "fair", "poor"]
GRADES: tuple[Grade, ...] = ("good", "fair", "poor")
# What the worst finding makes of the whole; the worst first.
GRADE_OF: dict[str, Grade] = {"serious": "poor", "warning": "fair", "note": "good"}


def finding(level: Level, text: str) -> Finding:
    """One sentence about how far figures can be trusted."""
    return Finding(level=level, text=text)


def trust_of(findings: Iterable[Finding]) -> Trust:
    """The findings, the worst first and else in their order, and the grade of the worst one; good without any."""
    levels = list(GRADE_OF)
    ordered = sorted(findings, key=lambda found: levels.index(found.level))
    return Trust(grade=GRADE_OF[ordered[0].level] if ordered else "good", findings=ordered)
