"""A laboratory whose runs are answered by a stand-in."""

import pytest
from synthetic import StandIn

from stress.claims.lab import Lab


@pytest.fixture
def coordinator(monkeypatch):
    """The stand-in that `Lab.run` calls; set its `answer`."""
    stand_in = StandIn()
    monkeypatch.setattr("stress.claims.lab.coordinator.run", stand_in)
    return stand_in


@pytest.fixture
def lab(coordinator):
    return Lab(quick=True)
