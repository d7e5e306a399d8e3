"""Sizing, slots, schedule, and what particular scenarios promise about slabs."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from scenarios import tape
from scenarios.registry import build
from scenarios.sizing import objects_per_slab, slab_order, stride
from scenarios.writer import Schedule, SlotPool, deal, slot_bases

# (stride, order, objects per slab) of caches of a 3.16.0 with two CPUs.
RECORDED = [
    (8, 0, 512),
    (64, 0, 64),
    (72, 0, 56),
    (96, 0, 42),
    (176, 0, 23),
    (192, 0, 21),
    (256, 0, 16),
    (320, 0, 12),
    (512, 1, 16),
    (536, 1, 15),
    (584, 1, 14),
    (608, 1, 13),
    (640, 1, 12),
    (832, 2, 19),
    (960, 2, 17),
    (1024, 2, 16),
    (1808, 3, 18),
    (2048, 3, 16),
    (2096, 3, 15),
    (4096, 3, 8),
    (8192, 3, 4),
]


@pytest.mark.parametrize(("size", "order", "objects"), RECORDED)
def test_slabs_are_those_of_a_real_kernel(size, order, objects):
    assert (slab_order(size, 2), objects_per_slab(size, 2)) == (order, objects)


@pytest.mark.parametrize(
    ("object_size", "align", "outside", "size"),
    [(528, 8, True, 536), (248, 64, False, 256), (192, 8, False, 192), (5, 1, False, 8)],
)
def test_stride(object_size, align, outside, size):
    assert stride(object_size, align, outside) == size


@pytest.mark.parametrize("size", [0, 32769])
def test_objects_that_fit_no_slab(size):
    with pytest.raises(ValueError, match="does not fit"):
        slab_order(size, 2)


@settings(max_examples=100)
@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), max_size=30))
def test_slot_pool_hands_out_each_free_slot_once(moves):
    pool, out, peak = SlotPool(), [], 0
    for take, give in moves:
        out += pool.take(take).tolist()
        assert len(set(out)) == len(out)
        peak = max(peak, len(out))
        back, out = out[:give], out[give:]
        pool.give(np.array(back, dtype=np.int64))
    assert pool.size == peak


def test_slot_bases_keep_cpus_on_lines_of_their_own():
    bases, slots = slot_bases([1, 8, 0, 9])
    assert bases.tolist() == [0, 8, 16, 16] and slots == 32


@given(st.integers(0, 1000), st.integers(1, 9))
def test_deal_is_even(n, cpus):
    parts = np.diff(deal(n, cpus))
    assert parts.sum() == n and parts.max() - parts.min() <= 1


def test_schedule_orders_by_round_and_counts():
    schedule = Schedule()
    schedule.offline(1, 5)
    schedule.create(1, 0)
    schedule.barrier(5)
    schedule.barrier(3)
    assert [event.round for event in schedule.events] == [0, 3, 5]
    assert schedule.marks == ("round 3",)
    assert [schedule.done_by(r) for r in range(-1, 6)] == [0, 1, 1, 1, 2, 2, 3]
    with pytest.raises(RuntimeError):
        schedule.mark("too late", 7)


def counted(load, op, section=None):
    """Operations of this code per CPU, in all or in sections of one kind only."""
    totals = []
    for words in load.tapes:
        code, a, _, c = tape.decode(words)
        if section is None:
            totals.append(int(np.count_nonzero(code == op)))
        else:
            totals.append(int(c[(code == tape.OP_SECTION_END) & (a == section)].sum()))
    return totals


def test_dead_free_fills_whole_slabs_and_all_cpus_free():
    load, _ = build("dead-free", ["slabs=10", "object_size=192", "cgroups=3"], cpus=4, seed=1)
    per_slab = objects_per_slab(192, 4)
    fills = counted(load, tape.OP_ALLOC, tape.SECTION_ALLOC)
    assert sum(fills) == 3 * 10 * per_slab and all(n % per_slab == 0 for n in fills)
    assert counted(load, tape.OP_FREE, tape.SECTION_DEAD_FREE) == fills


def test_dead_free_by_cpus_that_never_allocated():
    load, _ = build("dead-free", ["slabs=4", "fill_cpus=1", "free_order=sequential"], cpus=2, seed=1)
    assert counted(load, tape.OP_ALLOC)[1] == 0
    frees = counted(load, tape.OP_FREE, tape.SECTION_DEAD_FREE)
    assert frees[0] == frees[1] > 0


def test_pinned_leaves_one_object_in_each_slab():
    load, _ = build("pinned", ["slabs=6", "cgroups=2", "object_size=1024"], cpus=2, seed=1)
    for words in load.tapes:
        code, a, _, c = tape.decode(words)
        dead = c[(code == tape.OP_SECTION_END) & (a == tape.SECTION_DEAD_FREE)]
        assert dead.tolist() == [2 * 3 * 15, 2 * 3 * 1]


def test_remote_free_frees_only_the_neighbours_objects():
    load, _ = build("remote-free", ["rounds=5", "batch=10"], cpus=3, seed=1)
    owner = {}
    for cpu, words in enumerate(load.tapes):
        code, _, _, c = tape.decode(words)
        owner |= dict.fromkeys(c[code == tape.OP_ALLOC].tolist(), cpu)
    for cpu, words in enumerate(load.tapes):
        code, _, _, c = tape.decode(words)
        freed = c[code == tape.OP_FREE][1:]  # the first is the warm-up's
        assert {owner[slot] for slot in freed.tolist()} == {(cpu - 1) % 3}


@pytest.mark.parametrize(("batch", "pattern"), [(1, [1, 2, 1, 2]), (2, [1, 1, 2, 2])])
def test_pairs_alternates_in_batches(batch, pattern):
    load, _ = build("pairs", [f"batch={batch}", "operations=8"], cpus=1, seed=1)
    code = tape.decode(load.tapes[0])[0]
    begin = np.flatnonzero(code == tape.OP_SECTION_BEGIN)[0]
    assert code[begin + 1 : begin + 5].tolist() == pattern


@pytest.mark.parametrize(("name", "settings"), [("one-way", {"rounds": "4", "batch": "500"}), ("free-burst", {})])
def test_allocations_that_may_not_block(name, settings):
    def flags(share: float) -> np.ndarray:
        load, _ = build(name, settings | {"may_not_block": str(share)}, cpus=1, seed=3)
        words = load.tapes[0]
        held = words[(words & tape.OP_MASK) == tape.OP_ALLOC][1:]  # the first one warms up
        assert not (words[(words & tape.OP_MASK) != tape.OP_ALLOC] & tape.FLAG).any()
        return held & tape.FLAG != 0

    assert not flags(0.0).any() and flags(1.0).all()
    assert 0.2 < flags(0.25).mean() < 0.3
