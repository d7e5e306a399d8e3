"""A stand-in for the coordinator, so that these tests compile and fork nothing."""

import sys
import types

import pytest


@pytest.fixture
def coordinator(monkeypatch):
    """A `stress.play.coordinator` whose `run` hands out `record` (or raises `error`) and keeps its options."""
    import stress.play

    stub = types.ModuleType("stress.play.coordinator")
    stub.record, stub.error, stub.options = None, None, None

    def run(options, progress, looked_at=None):
        stub.options = options
        progress.phase("playing")
        progress.update(0.5, 41, 236, 12.3e6, "v1")
        if stub.error is not None:
            raise stub.error
        return stub.record

    stub.run = run
    monkeypatch.setitem(sys.modules, "stress.play.coordinator", stub)
    monkeypatch.setattr(stress.play, "coordinator", stub, raising=False)
    return stub
