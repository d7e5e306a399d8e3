"""What `check` prints as JSON."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from stress.check.parts import Part
from stress.check.plan import Plan

SCHEMA_VERSION = 1


class Question(msgspec.Struct, frozen=True):
    """status: passed, FAILED, noted or INCOMPLETE. command: what asks it alone, "" where nothing does."""

    title: str
    status: str
    lines: list[str]
    command: str


class ReviewedSwitch(msgspec.Struct, frozen=True):
    """A switch that the plugin brings."""

    name: str
    summary: str


class Review(msgspec.Struct, frozen=True):
    """A patch, reviewed. plugin: its file or package; sources: 64 hexadecimal digits; replaced: functions of the kernel
    that its code stands in for. exit_status: 0 nothing failed, 1 something did, 3 a part is incomplete."""

    schema_version: int
    plugin: str
    sources: str
    switches: list[ReviewedSwitch]
    replaced: list[str]
    allocator: str
    before: str
    after: str
    seed: int
    seconds: float
    exit_status: int
    questions: list[Question]


def review(plan: Plan, asked: Sequence[Part], seconds: float, exit_status: int) -> Review:
    """The same as the report for a mail, as data. seconds: that it took."""
    from stress.plugins.load import shown

    plugin = plan.plugin
    switches = [ReviewedSwitch(switch.name, switch.summary) for switch in plugin.switches]
    return Review(
        SCHEMA_VERSION, shown(plugin.where), plugin.digest, switches,
        list(dict.fromkeys(hook.function.__name__ for hook in plugin.hooks)), plan.allocator, plan.before, plan.after,
        plan.seed, round(seconds, 3), exit_status, [Question(p.title, p.status, p.lines, p.command) for p in asked],
    )  # fmt: skip
