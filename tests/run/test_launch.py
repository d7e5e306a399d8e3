"""Launches: two designs in worlds of their own, played by turns by real workers."""

import os

import numpy as np
import psutil
import pytest

from allocators.core.world import OPS_AT, WORLD, WORLD_AT
from allocators.designs import parse_design
from scenarios.registry import SCENARIOS
from shm import preemption
from shm.ipi import SERVICE_BELL
from shm.locks import LOCK_COUNTS
from shm.machine import CPU
from stress.engine import counting_main, cpu_main
from stress.engine.words import RUN
from stress.play.arena import BlockSettings
from stress.play.census import live_objects
from stress.play.compiled import STATS, ready
from stress.play.launch import Launch, Setup
from stress.play.parallel import hang_seconds
from stress.play.turns import in_turns, turns_of
from stress.process import host

pytestmark = pytest.mark.xdist_group("cpus")
DESIGNS = {"linux-3.16": parse_design("linux-3.16").features("slub"), "v3": parse_design("v3").features("slub")}


def setup(designs, cpus: int) -> Setup:
    programs = [(cpu_main, "slub", features) for features in designs.values()]
    ready([], elsewhere=[*programs, *((counting_main, "slub", features | STATS) for features in designs.values())])
    placement = host.placement(cpus)[0]
    settings = dict.fromkeys(designs, BlockSettings(nap_us=2000))
    return Setup(designs, settings, "slub", {"nodes": 1}, 32 << 20, hang_seconds(), placement)


def build(name: str, cpus: int, **settings):
    return SCENARIOS[name].build(SCENARIOS[name].parameters(**settings), cpus, 1)


STORM = dict(operations=20_000, cgroups=24, active=8, rounds=24, burst=64)


def test_two_designs_play_every_turn_and_change_worlds():
    load = build("offline-storm", 2, **STORM)
    cut = in_turns(load, 1500)
    before = set(os.listdir("/dev/shm"))
    with Launch(setup(DESIGNS, 2), cut, np.random.default_rng(1)) as launch:
        members = [psutil.Process(member.pid) for member in launch.crew.members]
        storms = [launch.play() for _ in range(4)]
        worlds = [[launch.arenas.index(arena) for arena in storm.arenas] for storm in storms]
        for arena in storms[-1].arenas:
            assert not len(live_objects(arena))
            assert arena.words[arena.run + RUN.events_done] == len(load.events)
            for cpu, play in enumerate(arena.plays()):
                assert play["turns"] == turns_of(cut) and play["operations"] == len(cut.tapes[cpu])
    for storm in storms:
        for cycles, turns in zip(storm.cycles, storm.turns, strict=True):
            assert [len(of) for of in cycles] == [len(s.kind) for s in launch.sections]
            assert all((np.abs(of) > 0).all() for of in cycles)
            if not preemption.works():
                assert all((of > 0).all() for of in cycles)
            assert (turns["ended"] > turns["began"]).all()
        began = np.stack([turns["began"].min(axis=0) for turns in storm.turns])  # [design, turn]
        ended = np.stack([turns["ended"].max(axis=0) for turns in storm.turns])
        order = began.argsort(axis=0)[0]  # which design was the first in each turn
        assert abs(np.count_nonzero(order == 0) * 2 - len(order)) <= 1, "each is as often the first as the other"
        assert (began.max(axis=0)[:-1] < began.min(axis=0)[1:]).all(), "no design is a turn ahead"
        assert (np.sort(ended, axis=0)[0] <= np.sort(began, axis=0)[1]).all(), "one world at a time"
    for pair in (worlds[:2], worlds[2:]):
        assert [sorted(of) for of in zip(*pair)] == [[0, 1], [0, 1]], "in two storms each design is once in each world"
    assert not any(member.is_running() for member in members)
    assert set(os.listdir("/dev/shm")) <= before


def test_the_trial_finds_the_pages_that_the_next_launch_has():
    cut = in_turns(build("offline-storm", 1, **STORM), 3000)
    of = setup({"v3": DESIGNS["v3"]}, 1)
    with Launch(of, cut, np.random.default_rng(1)) as launch:
        launch.play()
        used = launch.pages_used()
    with Launch(of, cut, np.random.default_rng(1), used) as launch:
        (arena,) = launch.arenas
        assert set(used[used < arena.segment.bytes // 4096].tolist()) <= set(arena.segment.touched().tolist())


def world_after(load) -> np.ndarray:
    """Every word of the world but the clock, the bells, and how often the kworker looked for work."""
    with Launch(setup({"linux-3.16": DESIGNS["linux-3.16"]}, 1), load, np.random.default_rng(1)) as launch:
        (arena,) = launch.play().arenas
        assert arena.words[arena.run + RUN.over] == turns_of(load)
        words = arena.words[: arena.run].copy()
        words[WORLD_AT + WORLD.clock_origin] = 0
        for cpu in range(arena.layout.nr_cpus):
            words[arena.layout.area(cpu) + CPU.service] &= ~SERVICE_BELL
        kworker = arena.layout.area(arena.kworker_cpu)
        words[kworker + LOCK_COUNTS : kworker + OPS_AT] = 0
        return words


def test_a_tape_of_one_cpu_leaves_the_same_world_however_it_is_cut():
    load = build("pairs", 1, operations=20_000, batch=60, charged=False)
    cut = in_turns(load, 700)
    assert turns_of(load) == 1 < 10 < turns_of(cut)
    whole, pieces = world_after(load), world_after(cut)
    assert np.count_nonzero(whole) > 1000 and np.flatnonzero(whole != pieces).tolist() == []
