"""The default workload: how large it is, who outlives whom, when it is empty again."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from scenarios import tape
from scenarios.checks import validate
from scenarios.registry import build
from scenarios.settings import ParameterError
from scenarios.workloads.offline_storm import ALL_CACHES, OfflineStorm
from scenarios.workloads.offline_storm.cgroup_churn import NEVER, Churn
from scenarios.workloads.offline_storm.kernel_caches import KERNEL_CACHES
from scenarios.workloads.offline_storm.tapes import _stable_order
from scenarios.writer import generator


@pytest.fixture(scope="module")
def storm():
    return build("offline-storm", ["operations=200k"], cpus=2, seed=3)[0]


@pytest.fixture(scope="module")
def lives(storm):
    """One row per object: cgroup, cache, CPU and round of the allocation, CPU and round of the free."""
    rows = []
    for cpu, words in enumerate(storm.tapes):
        code, a, b, c = tape.decode(words)
        rounds = np.maximum.accumulate(np.where(code == tape.OP_ROUND, c, 0))
        touch = np.flatnonzero((code == tape.OP_ALLOC) | (code == tape.OP_FREE))
        rows.append(np.stack([c[touch], rounds[touch], touch, np.full(len(touch), cpu), b[touch], a[touch]]))
    slot, round_, at, cpu, cgroup, cache = table = np.concatenate(rows, axis=1)
    born, died = np.hsplit(
        table[:, np.lexsort((at, round_, slot))].reshape(6, -1, 2).transpose(0, 2, 1).reshape(6, -1), 2
    )
    return dict(cgroup=born[4], cache=born[5], cpu=born[3], round=born[1], freed_on=died[3], freed_in=died[1])


def offline_rounds(load):
    rounds = np.full(load.cgroups + 1, NEVER)
    for event in load.events:
        if event.kind == tape.EV_OFFLINE_CGROUP:
            rounds[event.arg] = event.round
    return rounds


def test_default_size():
    assert OfflineStorm().planned_operations(2) == 2_400_000
    assert OfflineStorm().planned_operations(64) <= 9_600_000
    assert OfflineStorm().cgroups == 96
    assert all(cache in KERNEL_CACHES for cache in ALL_CACHES) and len(ALL_CACHES) == len(KERNEL_CACHES) == 10


def test_many_cgroups_go_offline_with_objects_alive(storm, lives):
    offline = offline_rounds(storm)
    assert np.count_nonzero(offline < NEVER) == 72
    dead = lives["freed_in"] > offline[lives["cgroup"]]
    assert 0.03 < dead.mean() < 0.2
    assert len(np.unique(lives["cgroup"][dead])) > 60
    assert set(lives["cgroup"][lives["cgroup"] > 0]) <= set(range(1, 97))


def test_a_dead_cgroups_objects_are_freed_on_any_cpu_others_mostly_at_home(storm, lives):
    remote = lives["cpu"] != lives["freed_on"]
    dead = lives["freed_in"] > offline_rounds(storm)[lives["cgroup"]]
    assert 0.45 < remote[dead].mean() < 0.55
    assert 0.05 < remote[~dead].mean() < 0.15
    assert np.all((lives["freed_in"] - lives["round"])[remote] >= 2)


def test_popularity_and_lives_have_heavy_tails(lives):
    counts = np.sort(np.bincount(lives["cgroup"])[1:])[::-1]
    assert counts[:10].sum() > 4 * counts[-48:].sum()
    age = lives["freed_in"] - lives["round"]
    assert np.median(age) <= 2 and np.percentile(age, 95) > 8 and age.max() > 80
    assert 0.08 < (lives["cgroup"] == 0).mean() < 0.12


def test_some_cgroups_run_on_one_cpu_only(lives):
    on = np.zeros((97, 2), dtype=int)
    np.add.at(on, (lives["cgroup"], lives["cpu"]), 1)
    confined = (on[1:] > 0).sum(axis=1) == 1
    assert 4 <= confined.sum() <= 48


def test_the_last_rounds_only_free(storm):
    params = OfflineStorm()
    for words in storm.tapes:
        code, _, _, c = tape.decode(words)
        rounds = np.maximum.accumulate(np.where(code == tape.OP_ROUND, c, 0))
        assert rounds[code == tape.OP_ALLOC].max() == params.rounds - params.drain_rounds
        assert rounds[-1] == params.rounds


def test_slots_stay_near_the_peak_of_live_objects(storm, lives):
    alive = np.zeros(200, dtype=int)
    np.add.at(alive, lives["round"], 1)
    np.add.at(alive, lives["freed_in"] + 1, -1)
    assert storm.slots < 1.25 * np.cumsum(alive).max()


def test_every_round_has_an_event_to_wait_for(storm):
    assert {event.round for event in storm.events} >= set(range(1, OfflineStorm().rounds))


def test_four_thousand_cgroups():
    load, parameters = build("offline-storm", ["cgroups=4k", "active=1k", "operations=100k"], cpus=2, seed=1)
    validate(load)
    assert load.cgroups == parameters["cgroups"] == 4000


def test_churn_always_has_its_places_filled():
    params = OfflineStorm(cgroups=30, active=7, rounds=16, root_share=0.0)
    churn = Churn(params, 2, 12, generator(5))
    rounds = np.repeat(np.arange(1, 13), 200)
    g = churn.draw(0, rounds, generator(6))
    created = {event.arg: event.round for event in churn.schedule.events if event.kind == tape.EV_CREATE_CGROUP}
    assert g.min() > 0 and np.all(churn.offline_round[g] > rounds)
    assert all(created[int(x)] < r for x, r in zip(g, rounds))


def test_a_cpu_no_cgroup_may_run_on_allocates_for_the_root():
    load, _ = build("offline-storm", ["cgroups=1", "active=1", "cpuset_share=1", "operations=100"], cpus=3, seed=1)
    charged = [bool(np.any(tape.decode(words)[2])) for words in load.tapes]
    assert sorted(charged) == [False, False, True]


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (["active=97"], "active"),
        (["cgroups=97", "active=1", "rounds=80"], "rounds"),
        (["caches=dentry,dentry"], "caches"),
    ],
)
def test_parameters_that_do_not_fit_together(text, key):
    with pytest.raises(ParameterError) as caught:
        build("offline-storm", text)
    assert caught.value.key == key


@given(arrays(np.int64, st.integers(0, 300), elements=st.integers(0, 50)), st.sampled_from([0, 40, 56]))
def test_the_fast_order_is_the_stable_one(keys, shift):
    """Keys that do not fit a word with their places are sorted the slow way."""
    keys = keys << shift
    assert np.array_equal(_stable_order(keys), np.argsort(keys, kind="stable"))
