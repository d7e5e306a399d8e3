"""A violated invariant ends a run with exit 1, says which and under which design, and shows the state."""

import json

import pytest
from running import play, small

from allocators.caches.boot import all_caches
from allocators.core.kmem_cache import CACHE, NODE
from stress.commands import run as job
from stress.play import parallel, stage
from stress.play.launch import Launch
from stress.play.options import named


def spoil(arena) -> int:
    """Let the first cache claim one partial slab too many; returns the cache."""
    s = next(iter(all_caches(arena.machine(frozenset(), 0))))
    arena.words[arena.words[s + CACHE.node] + NODE.nr_partial] += 1
    return s


@pytest.fixture
def run_job(monkeypatch, tmp_path, capsys):
    """Runs the whole job in this process; returns its exit status, stdout and stderr."""
    monkeypatch.setattr("stress.play.session.setup_logging", lambda *_: None)
    monkeypatch.setattr("stress.play.session.close_logging", lambda: None)

    def run(*, format="text", **options):
        settings = [word for word in small() if "=" in word]
        given = {"after": ("v3",), "settings": settings, "seconds": 0.1} | options
        status = job.run_job(named(**given), out=tmp_path, format=format, quiet=True)
        return status, capsys.readouterr()

    return run


def test_a_violation_after_serial_play(run_job, monkeypatch):
    take = stage.take_census

    def spoiled(arena, design, *rest):
        if design == "v3":
            spoil(arena)
        return take(arena, design, *rest)

    monkeypatch.setattr(stage, "take_census", spoiled)
    status, said = run_job(serial=True)
    assert status == 1 and "Traceback" not in said.err
    assert "INVARIANT VIOLATED under v3: " in said.out and "nr_partial" in said.out
    assert "INVARIANT VIOLATED under linux-3.16" not in said.out
    status, said = run_job(serial=True, format="json")
    violated = json.loads(said.out)["invariants"]["violated"]
    assert status == 1 and {v["design"] for v in violated} == {"v3"} and all(v["description"] for v in violated)


@pytest.mark.xdist_group("cpus")
@pytest.mark.parametrize("warmup", [True, False], ids=["warm-up", "launch"])
def test_check_blocks_finds_what_only_a_timed_pass_has(monkeypatch, warmup):
    """Whichever timed pass is wrong; without the option nobody looks there."""
    take, storm = parallel.take_block, Launch.play

    def spoiled_warm_up(arena, design, *rest, **named):
        if design == "v3":
            spoil(arena)
        return take(arena, design, *rest, **named)

    def spoiled_storm(launch, *rest):
        played = storm(launch, *rest)
        spoil(played.arenas[1])
        return played

    if warmup:
        monkeypatch.setattr(parallel, "take_block", spoiled_warm_up)
    else:
        monkeypatch.setattr(Launch, "play", spoiled_storm)
    settings = dict(word.split("=") for word in small() if "=" in word)
    unseen = play(settings=settings, serial=False, seconds=0.1)
    assert unseen.invariants.violated == [] and job.exit_status(unseen) == 0
    seen = play(settings=settings, serial=False, seconds=0.1, check_blocks=True)
    names = [violation.invariant for violation in seen.invariants.violated]
    assert job.exit_status(seen) == 1 and names and len(names) == len(set(names))
    for violation in seen.invariants.violated:
        assert violation.design == "v3" and violation.invariant in seen.invariants.checked
        assert f"after a timed pass ({'warm-up' if warmup else 'launch 1'})" in violation.description


def test_a_violation_outweighs_an_interruption(run_job, monkeypatch):
    """Ctrl-C after a violation was found: the status still says that the allocator is wrong."""
    take = stage.take_census

    def spoiled(arena, design, *rest):
        if design == "v3":
            raise KeyboardInterrupt
        spoil(arena)
        return take(arena, design, *rest)

    monkeypatch.setattr(stage, "take_census", spoiled)
    status, said = run_job(serial=True)
    assert status == 1 and "PARTIAL: interrupted" in said.out
