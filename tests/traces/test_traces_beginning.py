"""A trace that begins in mid-life: the state it begins in, and frees that left no event."""

import numpy as np
import pytest

from allocators.designs import parse_design
from scenarios import tape
from scenarios.checks import validate
from scenarios.tape import CacheSpec
from scenarios.traces import open_trace
from scenarios.traces.beginning import MARK, Beginning, Prologue
from stress.play.predict import predict
from stress.show.progress import Progress

START = {"name": "start", "sysfs": {"dentry": [9, 140, 189, 4, 60, 3, "21(2) C0=10(1) C1=10(1)"],
                                    "kmalloc-64": [2, 128, 128, 0, 0, 0, "0(0)"]}}  # fmt: skip
STATIC = {
    "dentry": {"object_size": 192, "slab_size": 192, "objs_per_slab": 21, "order": 0},
    "kmalloc-64": {"object_size": 64, "slab_size": 64, "objs_per_slab": 64, "order": 0, "sheaf_capacity": 32},
}
META = {"snapshots": [START], "cache_static": STATIC}


def operations(load):
    """(opcode, slot) of the global order."""
    words = np.empty(len(load.order), np.int64)
    for cpu, one in enumerate(load.tapes):
        words[load.order == cpu] = one[:-1]
    code, cache, _, slot = tape.decode(words)
    return code, cache, slot


@pytest.mark.parametrize("partial, in_use", [(4, 60), (5, 0), (8, 18), (1, 20), (7, 7 * 20), (3, 1)])
def test_holes_are_as_many_as_there_were(partial, in_use):
    for seed in range(20):
        holes = Prologue(2, 0, seed)._holes(Beginning(20, 21, partial, in_use, (0, 0), 0))
        assert len(holes) == partial and sum(holes) == 21 * partial - in_use
        assert all(1 <= free <= 21 for free in holes) and sum(free == 21 for free in holes) <= 5


def test_objects_that_the_trace_frees_stay_together():
    prologue = Prologue(1, 100, 3)
    state = Beginning(40, 21, 6, 50, (2,), 1)
    prologue.cache(0, CacheSpec("dentry", 192), state, [list(range(20)), [20, 21]])
    code, _, _, slot = tape.decode(np.array(prologue.words))
    made, freed = slot[code == tape.OP_ALLOC], slot[code == tape.OP_FREE]
    assert set(range(22)) <= set(made.tolist()) and not set(freed.tolist()) & set(range(22))
    at = {int(s): int(i) // 21 for i, s in enumerate(made)}
    assert len({at[s] for s in range(20)}) == 1 and at[20] == at[21]


def test_a_trace_begins_in_its_state(write618):
    rows = [
        "0,0,7,F,1000,0,1,,,,0",
        "1,1,7,A,2000,0,192,192,0,0,3",
        "2,1,7,F,1000,0,1,,,,0",
        '3,0,7,M,"SNAP_END start"',
    ]
    load, record = open_trace(write618(rows, META))
    validate(load)
    assert record.begins and load.marks == (MARK, "SNAP_END start")
    code, cache, slot = operations(load)
    # 4 partial slabs, one of each CPU's list, a CPU slab; perhaps a full one with the old object. The other is unused.
    assert np.count_nonzero((code == tape.OP_ALLOC) & (cache == 0)) - 2 in (6 * 21, 7 * 21)
    assert not np.any((code == tape.OP_ALLOC) & (cache == 1))
    assert {u.count for u in record.unplaced if "left no event" in u.reason} == {1}
    assert len(record.fast) == load.operations()
    again, _ = open_trace(write618(rows, META), seed=1)
    other, _ = open_trace(write618(rows, META), seed=2)
    assert np.array_equal(again.tapes[0], load.tapes[0]) and not np.array_equal(other.tapes[0], load.tapes[0])


def test_a_discarded_slab_frees_what_was_in_it(write618):
    rows = [
        "0,0,7,S,2,0,0,,,,",
        "1,0,7,A,2000,0,192,192,0,0,3",
        "2,0,7,A,20c0,0,192,192,0,0,3",
        "3,0,7,F,2000,0,0,,,,5",
        "4,1,7,D,2,0,0,,,,",
        "5,0,7,x,20c0,0,,,,,-1",
        "6,0,7,A,20c0,0,192,192,0,0,3",
    ]
    load, record = open_trace(write618(rows, {"cache_static": STATIC}))
    validate(load)
    code, _, slot = operations(load)
    assert list(zip(code, slot)) == [(1, 0), (1, 1), (2, 0), (2, 1), (1, 2)]
    assert record.notes == ("1 frees that left no event are done when their slab is discarded",)


def test_objects_without_events_of_frees_go_with_their_task(write618):
    rows = [
        "0,0,7,A,2000,0,192,192,0,0,3",
        "1,0,8,A,20c0,0,192,192,0,0,3",
        "2,1,7,a,3000,1,64,64,0,0,3",  # the last of task 7
        "3,0,8,x,2000,0,,,,,-1",
        "4,0,8,A,2000,0,192,192,0,0,3",
        "5,0,9,a,3040,1,64,64,0,0,3",
        "6,0,9,f,3040,1,0,,,,5",
    ]
    load, record = open_trace(write618(rows, META))
    code, _, slot = operations(load)
    there = np.flatnonzero(code == tape.OP_WAIT)[-1] + 1
    story = [(int(c), int(s)) for c, s in zip(code[there:], slot[there:])]
    assert story == [(1, 0), (1, 1), (1, 2), (2, 0), (1, 3), (2, 1), (2, 3), (1, 4), (2, 4)]
    assert record.notes == ("2 frees that left no event are done behind their task's last event",)


@pytest.mark.xdist_group("compiles")
def test_the_mixed_load_is_predicted(recorded):
    """Of every draw: at every snapshot nine caches in ten within 5 % or 2 slabs, and sums near."""
    (found,) = predict(
        recorded("linux-6.18-mixed.csv.zst"),
        [parse_design("linux-6.18")],
        draws=1,
        seed=1,
        progress=Progress(quiet=True),
    )
    assert len(found.names) == 13 and found.slabs[:, 0].sum() <= 2  # the state itself
    assert (found.near >= 0.9 * len(found.caches)).all()
    sums, theirs = found.slabs.sum(axis=2), found.recorded.sum(axis=1)
    assert (np.abs(sums - theirs) <= 0.05 * (theirs + found.before.sum())).all()
    # The change alone, which is a thirtieth of what was there: twice that tolerance, and 20 slabs.
    assert (np.abs(sums - theirs) <= np.maximum(30, 0.05 * theirs)).all()
