"""Parallel play while the kworker shrinks the cache that everybody allocates from and frees to, again and again."""

from __future__ import annotations

import dataclasses

import pytest
from running import play

from scenarios import registry, tape

SHRINKS = 300


@pytest.mark.xdist_group("cpus")
def test_shrinks_of_a_cache_in_use(monkeypatch):
    build = registry.build

    def with_shrinks(*arguments):
        load, parameters = build(*arguments)
        last = load.events[-1].round
        return dataclasses.replace(
            load, events=(*load.events, *[tape.Event(tape.EV_SHRINK_CACHE, 0, last)] * SHRINKS)
        ), parameters

    monkeypatch.setattr(registry, "build", with_shrinks)
    result = play(
        scenario="pairs",
        settings={"operations": 1_000_000, "batch": 100},
        before="linux-3.16",
        after=("linux-6.18-F_SHEAFASK",),
        serial=False,
        cpus=2,
        check_blocks=True,
    )
    assert result.invariants.violated == []
    flushed = {name: design.operations["sheaf_flush"] for name, design in result.designs.items()}
    assert flushed["linux-3.16"] == 0 < flushed["linux-6.18-F_SHEAFASK"]
