"""Virtual time on both engines, and an operation at a time against an access at a time."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterator

import interleave
import numpy as np
import pytest
from simulations import DESIGNS
from trace_format import check

from allocators.core.world import WORLD, WORLD_AT, world
from allocators.memcg.memcontrol import RCU_UNREGISTER
from scenarios.tape import C_SHIFT, OP_ALLOC, OP_FREE, OP_MASK, Workload
from shm.locks import LOCK_CLASSES
from shm.rcu import call_rcu_sched, rcu_process
from shm.virtual import calendar
from shm.virtual.machine import Joined, PricedMachine
from shm.virtual.words import ASLEEP, HOLDS, clock_of, vcpu_of, wait_until
from stress.engine import FINISHED, PLAYING
from stress.engine.virtual import begin_virtual, crowd_out, play_virtual
from stress.play.arena import Arena, BlockSettings
from stress.play.virtual import STATS, VirtualTime, features_of
from stress.play.workload import build_workload
from stress.process.errors import UsageError
from stress.profiles.load import load
from stress.profiles.profile import Profile
from stress.simulate import tracing
from stress.simulate.exact import WORKLOADS, play_steps
from stress.simulate.point import Job, play_point

pytestmark = pytest.mark.xdist_group("compiles")  # a process that has compiled one has half of the next


def _machine() -> Profile:
    """One that has all that can be modelled."""
    of = load("xeon-2014")
    cache = dataclasses.replace(of.cache, tlb_entries=64, streams=4, store_misses=4)
    return dataclasses.replace(of, cache=cache, ps=dataclasses.replace(of.ps, tlb=20_000, branch=15_000, ahead=30_000))


PLAYS = (
    ("remote-free", {"batch": "96", "rounds": "2"}),
    ("offline-storm", {"operations": "256", "cgroups": "3", "active": "2"}),
)


@pytest.mark.parametrize("scenario, sizes", PLAYS, ids=[name for name, _ in PLAYS])
def test_both_engines_leave_the_same_words(scenario: str, sizes: dict[str, str]) -> None:
    workload, _ = build_workload(scenario, sizes, 3, 1)
    features = features_of(DESIGNS["slub"], "slub")
    booted = features - STATS - {"VTIME"}
    arena = Arena(workload, features=booted, nodes=2, memory=16 << 20, serial=True)
    arena.reset(booted, BlockSettings(seed=1, settle_ns=10_000_000_000))
    virtual = VirtualTime(arena, booted, _machine(), crowded=True)
    before = [words.copy() for words in (arena.words, virtual.words)]
    assert virtual.play(lambda: None)
    compiled = [words.copy() for words in (arena.words, virtual.words)]
    assert (compiled[0] != before[0]).any() and (compiled[1] != before[1]).any()
    for words, kept in zip((arena.words, virtual.words), before):
        words[:] = kept
    memory = Joined(arena.segment.words_view, virtual.segment.words_view, virtual.offset)
    machine = PricedMachine(memory, arena.kworker_cpu, features, "slub")
    loop = virtual.offset + virtual.plan["loop"]
    begin_virtual(machine, arena.run, loop)
    assert np.array_equal(virtual.words, before[1])
    while (state := play_virtual(machine, arena.run, loop, 1000)) == PLAYING:
        pass
    assert state == FINISHED
    for words, kept, names in zip((arena.words, virtual.words), compiled, (arena.plan, virtual.plan)):
        differ = np.flatnonzero(words != kept)
        assert not len(differ), (names.regions, differ[:10], words[differ[:10]], kept[differ[:10]])
    virtual.close()
    arena.close()


# workload, allocator, CPUs: locks and lines that are fought for, interrupts, work, timers after the tapes.
ACCESSES = (("list-lock", "slub", 8), ("churn", "slub", 3), ("dead-free", "slab", 5), ("churn", "slab", 4))


@pytest.mark.parametrize("name, allocator, cpus", ACCESSES, ids=[f"{a[0]}-{a[1]}" for a in ACCESSES])
def test_compiled_code_left_in_its_middle_does_what_interpreted_code_does(name: str, allocator: str, cpus: int) -> None:
    """An access at a time by stacks that are switched and by greenlets, each with a scheduler of its own."""
    scenario, settings = WORKLOADS[name]
    workload, _ = build_workload(scenario, settings(cpus), cpus, 1)
    features = features_of(DESIGNS[allocator], allocator)
    arena, virtual = _begun(workload, allocator, 2, _machine())
    before = [words.copy() for words in (arena.words, virtual.words)]
    assert virtual.play(lambda: None, steps=37)
    compiled = _told(arena, virtual)
    for words, kept in zip((arena.words, virtual.words), before):
        words[:] = kept
    assert (compiled["arena"] != before[0]).any()
    assert interleave.Interleaving(arena, virtual, features).play()
    for what, words in _told(arena, virtual).items():
        differ = np.flatnonzero(words != compiled[what])
        assert not len(differ), (what, differ[:10], words[differ[:10]], compiled[what][differ[:10]])
    assert virtual.stacks is not None and 0 < virtual.stacks.used() < virtual.stacks.size // 4
    virtual.close()
    arena.close()


def _begun(workload: Workload, allocator: str, nodes: int, profile: Profile) -> tuple[Arena, VirtualTime]:
    """To be played an access at a time, exactly."""
    booted = features_of(DESIGNS[allocator], allocator) - STATS - {"VTIME"}
    arena = Arena(workload, allocator, features=booted, nodes=nodes, memory=16 << 20, serial=True)
    arena.reset(booted, BlockSettings(seed=1, settle_ns=10_000_000_000))
    return arena, VirtualTime(arena, booted, profile, slack=0, crowded=True)


def _told(arena: Arena, virtual: VirtualTime) -> dict[str, np.ndarray]:
    """All that a play leaves but what the two schedulers keep, each in its own way."""
    found = {"arena": arena.words.copy()}
    for region in ("vcpus", "pcp", "lock_table", "l1", "tags", "llc", "tlb", "states", "lines"):
        base, size = virtual.plan.regions[region]
        found[region] = virtual.words[base : base + size].copy()
    locks = virtual.calendars()
    for field in ("lock", "kind", "acquired", "contended", "held", "waited", "longest", "begin"):
        found[f"locks' {field}"] = locks[field].copy()
    return found


def test_a_trace_has_every_operation_and_all_of_the_time() -> None:
    tapes, _ = build_workload("remote-free", {"batch": "96", "rounds": "2"}, 3, 1)
    job = Job(DESIGNS["slub"], "slub", 3, 2, load("xeon-2014"), 16 << 20, 1, 10.0, tapes, step="operation")
    point = play_point(job, lambda done: None)
    events = check(tracing.encode([job], {"command": "none"}))
    worked = [e for e in events if e["ph"] == "X" and "args" in e and e["tid"] < 3]
    names = Counter(e["name"] for e in worked)
    assert names["alloc"] + names["free"] == point.operations and names["alloc"] == names["free"]
    assert max(e["ts"] + e["dur"] for e in worked) == pytest.approx(point.ms * 1000)
    told: Counter[str] = Counter()
    for event in worked:
        told.update(event["args"])
    spent = {
        f"{where}: {what}, ns": ns * point.operations
        for where, row in point.spent.items()
        for what, ns in row.items()
        if what not in LOCK_CLASSES
    }
    assert spent and {name: told[name] for name in spent} == pytest.approx(spent, rel=0.01, abs=1)
    played = [(cpu, int(op) & OP_MASK, int(op) >> C_SHIFT) for cpu, tape in enumerate(tapes.tapes) for op in tape]
    made = {slot: cpu for cpu, code, slot in played if code == OP_ALLOC}
    remote = sum(code == OP_FREE and made[slot] != cpu for cpu, code, slot in played)
    assert sum(e["ph"] == "s" for e in events) == remote > 500
    few = check(tracing.encode([job], {}, most=50))
    assert 0 < sum(e["ph"] == "X" for e in few) < 200


class Small:
    """Three CPUs and the kworker at time 0, interpreted."""

    def __init__(self) -> None:
        workload, _ = build_workload("remote-free", {"batch": "8", "rounds": "1"}, 3, 1)
        features = features_of(DESIGNS["slub"], "slub")
        booted = features - STATS - {"VTIME"}
        self.arena = Arena(workload, features=booted, memory=16 << 20, serial=True)
        self.arena.reset(booted)
        self.virtual = VirtualTime(self.arena, booted, load("xeon-2014"))
        memory = Joined(self.arena.segment.words_view, self.virtual.segment.words_view, self.virtual.offset)
        self.machines = [PricedMachine(memory, cpu, features, "slub") for cpu in range(4)]
        self.clocks = self.virtual.vcpus()["clock"]


@pytest.fixture
def small() -> Iterator[Small]:
    made = Small()
    yield made
    made.virtual.close()
    made.arena.close()


def test_a_lock_is_free_long_before_any_number_of_holds(small: Small) -> None:
    """Of CPUs that are ahead, more than a calendar has room for."""
    ahead, behind = small.machines[:2]
    lock = WORLD_AT + WORLD.slab_mutex
    small.clocks[0] = late = 10**12
    for _ in range(3 * HOLDS):
        assert not ahead.lock_in_time(lock, 0)
        ahead.unlock_in_time(lock)
    assert not behind.lock_in_time(lock, 0)
    behind.unlock_in_time(lock)
    assert 0 < small.clocks[1] < late // 1000
    ahead.lock_in_time(lock, 0)
    small.clocks[1] = small.clocks[0]
    small.clocks[0] += late // 1000
    ahead.unlock_in_time(lock)
    assert behind.lock_in_time(lock, 0) and small.clocks[1] >= small.clocks[0]


def test_callbacks_wait_for_a_grace_period_and_nobody_for_them(small: Small) -> None:
    kworker = small.machines[3]
    queue, scratch = world(kworker, WORLD.rcu_queue), small.arena.layout.first_frame << 9
    assert call_rcu_sched(kworker, queue, RCU_UNREGISTER + 1000, 0)  # whose function does nothing
    began = int(small.clocks[3])
    small.clocks[:3] = began
    assert rcu_process(kworker, queue, scratch) == 0
    assert call_rcu_sched(kworker, queue, RCU_UNREGISTER + 1000, 0)  # too late for this period
    period = load("xeon-2014").kernel.grace_period
    assert rcu_process(kworker, queue, scratch) == 0 and small.clocks[3] < began + period // 2
    small.clocks[3] = began + 2 * period
    assert rcu_process(kworker, queue, scratch) == 1
    assert rcu_process(kworker, queue, scratch) == 0
    small.clocks[3] += 2 * period
    assert rcu_process(kworker, queue, scratch) == 1 == rcu_process(kworker, queue, scratch) + 1


def test_an_interrupt_takes_its_own_time_only(small: Small) -> None:
    """Of a CPU that is busy and far behind: what the handler stored then is nothing that it waits for now."""
    sender, busy, *_ = small.machines
    clocks, late = small.clocks, 10**12
    clocks[0] = late
    where = sender.begin_call(busy, False)
    words = small.arena.layout.first_frame << 9
    for line in range(100):  # more than the store buffer holds
        busy.store(words + 8 * line, 1)
    handled = int(clocks[1]) - late
    sender.end_call(busy, where)
    assert 0 < handled < clocks[1] < late // 1000
    after = int(clocks[1])
    busy.store(words, 2)
    busy.cmpxchg(words, 2, 3)
    assert clocks[1] - after < late // 1000


# workload, allocator, CPUs -> how far off an operation at a time may be. docs/scale.md has more of them.
BOUNDS = (
    ("churn", "slub", 4, 0.03),
    ("dead-free", "slub", 4, 0.1),
    ("churn", "slab", 2, 0.03),
    ("list-lock", "slub", 8, 0.25),
    ("list-lock", "slab", 8, 0.45),
)


@pytest.mark.parametrize("workload, allocator, cpus, bound", BOUNDS, ids=[f"{b[0]}-{b[1]}" for b in BOUNDS])
def test_an_operation_at_a_time_is_as_near_as_is_said(workload: str, allocator: str, cpus: int, bound: float) -> None:
    scenario, settings = WORKLOADS[workload]
    tapes, _ = build_workload(scenario, settings(cpus), cpus, 1)
    operation, access, exact = play_steps(tapes, allocator, DESIGNS[allocator], load("epyc-2022"))
    assert (exact.waits < 0.05) == (bound < 0.05), exact
    assert abs(operation.ns / exact.ns - 1) < bound, (operation, exact)
    assert abs(access.ns / exact.ns - 1) < min(bound, 0.15), (access, exact)


def test_without_calendars_it_would_be_farther_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the bounds are worth: locks that nobody waits for break the last of them."""
    workload, allocator, cpus, bound = BOUNDS[-1]
    scenario, settings = WORKLOADS[workload]
    tapes, _ = build_workload(scenario, settings(cpus), cpus, 1)
    (exact,) = play_steps(tapes, allocator, "linux-3.16", load("epyc-2022"), steps=["exact"])
    monkeypatch.setattr(VirtualTime, "play", _interpreted)
    monkeypatch.setattr(calendar, "_free_from", lambda m, c, at: at)
    (operation,) = play_steps(tapes, allocator, "linux-3.16", load("epyc-2022"), steps=["operation"])
    assert operation.locks == 0 < exact.locks
    assert operation.ns / exact.ns - 1 < -bound, (operation, exact)


def _interpreted(virtual: VirtualTime, tick: Callable[[], None]) -> bool:
    """VirtualTime.play on the other engine."""
    arena, features = virtual.arena, virtual.machine.features
    memory = Joined(arena.segment.words_view, virtual.segment.words_view, virtual.offset)
    machine = PricedMachine(memory, arena.kworker_cpu, features, arena.allocator)
    loop = virtual.offset + virtual.plan["loop"]
    begin_virtual(machine, arena.run, loop)
    while (state := play_virtual(machine, arena.run, loop, 1000)) == PLAYING:
        pass
    return state == FINISHED


def _with_locks(profile: Profile, locks: str) -> Profile:
    return dataclasses.replace(profile, kernel=dataclasses.replace(profile.kernel, locks=locks))


def test_a_lock_that_is_not_fair_guards_all_the_same() -> None:
    """Whoever finds it free has it, not who came first; `play_steps` looks at the allocator's invariants afterwards."""
    scenario, settings = WORKLOADS["list-lock"]
    tapes, _ = build_workload(scenario, settings(4), 4, 1)
    queued, unfair = (
        play_steps(tapes, "slab", "linux-3.16", _with_locks(load("epyc-2022"), locks), steps=["exact"])[0]
        for locks in ("queued", "unfair")
    )
    assert unfair.locks > 0 and unfair != queued
    with pytest.raises(UsageError, match="--step access"):
        play_steps(tapes, "slab", "linux-3.16", _with_locks(load("epyc-2022"), "unfair"), steps=["operation"])


@pytest.mark.parametrize("allocator", ["slub", "slab"])
def test_accesses_happen_in_the_order_of_their_times(allocator: str, monkeypatch: pytest.MonkeyPatch) -> None:
    times: list[int] = []
    for name in ("charge_read", "charge_write", "charge_locked", "charge_this_cpu"):
        charge = getattr(interleave, name)

        def noted(m, a, charge=charge):
            times.append(clock_of(m))
            charge(m, a)

        monkeypatch.setattr(interleave, name, noted)
    tapes, _ = build_workload("remote-free", {"batch": "64", "rounds": "2", "object_size": "1024"}, 4, 1)
    features = features_of(DESIGNS[allocator], allocator)
    arena, virtual = _begun(tapes, allocator, 1, load("epyc-2022"))
    assert interleave.Interleaving(arena, virtual, features).play()
    virtual.close()
    arena.close()
    assert len(times) > 10_000 and times == sorted(times)


def test_a_kworker_without_a_cpu_runs_on_those_of_workers() -> None:
    """Where somebody waits that one's; else each worker's in turn. Whose it was finds nothing in its first level."""
    workload, _ = build_workload("remote-free", {"batch": "16", "rounds": "1"}, 2, 1)
    arena, virtual = _begun(workload, "slub", 1, _machine())
    memory = Joined(arena.segment.words_view, virtual.segment.words_view, virtual.offset)
    kworker = PricedMachine(memory, 2, features_of(DESIGNS["slub"], "slub"), "slub")
    base, size = virtual.plan.regions["l1"]
    waits = virtual.plan["waits"]
    first_level = virtual.words[base : base + size].reshape(3, -1)
    wait_until(kworker, vcpu_of(kworker, 2), ASLEEP, 1_000_000)

    def forgotten(*waiting: int) -> list[int]:
        virtual.words[waits : waits + 2] = [int(cpu in waiting) for cpu in range(2)]
        first_level[:] = 1
        crowd_out(kworker, virtual.offset + waits)
        return [cpu for cpu in range(2) if not first_level[cpu].any()]

    assert [forgotten() for _ in range(3)] == [[0], [1], [0]]
    assert forgotten(0) == [0] and forgotten(0) == [0]
    assert forgotten() == [1], "whose turn it was"
    wait_until(kworker, vcpu_of(kworker, 1), ASLEEP, 10)
    assert forgotten(0, 1) == [0], "who has waited longest"
    virtual.close()
    arena.close()
