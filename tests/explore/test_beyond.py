"""The questions beyond the catalogue, on designs that have no child caches."""

from __future__ import annotations

import pytest

from stress.explore.command import Request, explore


@pytest.mark.parametrize("design", ["linux-5.9", "linux-6.18"])
@pytest.mark.parametrize("model", ["remote-free", "offline-vs-free"])
def test_owners_of_objects_are_no_pages(model, design):
    answer = explore(Request(model, "slub", design, "sc", 2 if model == "remote-free" else 1, preemptions=1, seconds=60))
    assert answer.outcome is None and answer.found.exhaustive and answer.raced
