"""Reading 3.16 traces: what becomes of each kind of row, and what is refused."""

import numpy as np
import pytest

from scenarios import tape
from scenarios.checks import validate
from scenarios.traces import ABSENT, FAST, NEVER, SLOW, UNRECORDED, Outcome, TraceError, open_trace

BOOT = [
    "0,0,0,S,98000,0,0,64",
    "1,0,0,C,,1,,",
    "2,0,0,A,98040,1,0,0",
    "3,0,0,C,,2,,",
    "4,0,0,C,,3,,",
]
LIFE = BOOT + [
    "5,0,0,B,,2,,",
    "6,0,1,S,a0000,3,0,21",
    "7,0,1,A,a0000,3,0,5",
    '8,0,1,M,"phase 1, with a comma",,,',
    "9,1,1,C,,4,,",
    "10,1,1,S,b0000,4,0,21",
    "11,1,1,A,b0000,4,1,5",
    "12,1,1,F,a0000,3,0,6",
    "13,0,1,A,a0000,3,1,5",
    "14,0,1,H,,3,,",
    "15,0,1,K,,4,,",
    "16,0,1,A,a00c0,3,1,7",
    "17,0,1,H,,4,,",
    "18,0,1,F,b0000,4,0,7",
    "19,1,1,D,b0000,4,0,21",
    "20,1,1,X,,4,,",
    "21,0,1,M,end,,,",
]


def in_order(load):
    """(cpu, name, a, b, c) of every operation in the global order."""
    following = [zip(*tape.decode(one)) for one in load.tapes]
    return [
        (int(cpu), tape.OP_NAMES[code], *map(int, rest)) for cpu in load.order for code, *rest in [next(following[cpu])]
    ]


def test_life(write316):
    load, record = open_trace(write316(LIFE))
    validate(load)
    names = [(tape.EV_NAMES[event.kind], event.arg) for event in load.events]
    assert names == [
        ("create_cache", 1), ("shrink_cache", 1), ("create_cache", 2), ("create_cache", 3), ("shrink_cache", 2),
        ("mark", 0),
        ("create_cgroup", 1), ("create_cache", 4), ("shrink_cache", 3), ("offline_cache", 4), ("mark", 1),
    ]  # fmt: skip
    assert [event.cpu for event in load.events] == [0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0]
    ops = [(cpu, name, a, c) for cpu, name, a, b, c in in_order(load) if name in ("alloc", "free")]
    assert ops == [
        (0, "alloc", 1, 0), (0, "alloc", 1, 1), (0, "alloc", 3, 2), (1, "alloc", 4, 3), (1, "free", 0, 2),
        (0, "alloc", 3, 4), (0, "alloc", 3, 5), (0, "free", 0, 3),
    ]  # fmt: skip
    assert record.fast.tolist() == [UNRECORDED, SLOW, SLOW, FAST, SLOW, FAST, FAST, SLOW]
    assert load.marks == ("phase 1, with a comma", "end")
    assert record.slabs_at_mark.tolist() == [[0, 1, 0, 1, 0], [0, 1, 0, 1, 0]]
    assert record.slabs_created.tolist() == [0, 1, 0, 1, 1]
    assert record.slabs_at_end.tolist() == [0, 1, 0, 1, 0]
    assert record.created_row.tolist() == [NEVER, 1, 3, 4, 9]
    assert record.offline_row[4] == 15 and record.destroyed_row[4] == 20
    assert record.outcomes == (Outcome("shrink", 4, 17), Outcome("destroy", 4, 20))
    assert record.rows == len(LIFE) and record.row_counts["A"] == 5
    assert record.unplaced == () and len(record.notes) == 2
    assert record.objects_per_slab.tolist() == [0, 64, 16, 21, 21]
    assert record.cgroups == ("root", "0:A") and load.cgroups == 1


def test_events_are_fenced_on_every_cpu(write316):
    load, _ = open_trace(write316(LIFE))
    ops = in_order(load)
    for number, event in enumerate(load.events, start=1):
        at = ops.index((0, "round", 0, 0, event.round))
        assert ops[at : at + 4] == [
            (0, "round", 0, 0, number), (1, "round", 0, 0, number), (0, "wait", 0, 0, number), (1, "wait", 0, 0, number)
        ]  # fmt: skip


def test_specs(write316):
    load, record = open_trace(write316(LIFE + ["22,0,1,C,,5,,"]))
    clone = load.caches[5]
    assert (clone.name, clone.size, clone.object_size, clone.parent, clone.cgroup) == ("dentry(1:B)", 192, 184, 3, 2)
    assert [spec.created for spec in load.caches] == [True, False, False, False, False, False]
    assert record.cgroups == ("root", "0:A", "1:B") and load.cgroups == 2


def test_cut_short_after_the_boot_slab(write316):
    load, record = open_trace(write316(BOOT[:1]))
    validate(load)
    assert [spec.name for spec in load.caches] == ["?81367c40", "kmem_cache_node"]
    assert record.slabs_at_end.tolist() == [0, 1] and record.cgroups == ("root",)


def test_second_clone_of_a_root_in_the_same_name_is_of_another_cgroup(write316, caches316):
    caches316[5]["name"] = "dentry(0:A)"
    load, record = open_trace(write316(BOOT + ["5,0,1,C,,4,,", "6,0,1,K,,4,,", "7,0,1,C,,5,,"]))
    assert record.cgroups == ("root", "0:A", "0:A") and load.caches[5].cgroup == 2


def test_cache_that_no_row_creates(write316):
    with pytest.raises(TraceError, match="cache 4 .* is listed, but no row"):
        open_trace(write316(BOOT + ["5,0,1,C,,5,,"]))


def test_kernel_counts(write316):
    counters = {
        "k": "statall",
        "tag": "end",
        "cache": "dentry",
        "alloc_slab": "2 C0=1 C1=1",
        "slabs_cpu_partial": "5(2) C1=5(2)",
    }
    meta = {
        "comparison": [{"cache": "dentry", "id": 3, "slabs_kernel": 2, "slabs_trace": 1}],
        "kernel_counters_at_end": [counters],
    }
    _, record = open_trace(write316(LIFE, meta))
    assert record.kernel_slabs_at_end.tolist() == [ABSENT, ABSENT, ABSENT, 2, 0]
    assert record.kernel_counters == {
        3: {
            "alloc_slab": 2, "alloc_slab_C0": 1, "alloc_slab_C1": 1, "slabs_cpu_partial_objects": 5,
            "slabs_cpu_partial_slabs": 2,
            "slabs_cpu_partial_objects_C1": 5, "slabs_cpu_partial_slabs_C1": 2,
        }
    }  # fmt: skip


def test_root_cache_destroyed_and_clone_shrunk_by_itself(write316):
    rows = BOOT + ["5,0,1,C,,4,,", "6,0,1,H,,4,,", "7,0,1,X,,4,,", "8,0,1,X,,3,,"]
    load, record = open_trace(write316(rows))
    names = [(tape.EV_NAMES[event.kind], event.arg) for event in load.events]
    assert names[-2:] == [("shrink_cache", 4), ("destroy_cache", 3)]
    assert record.outcomes == (Outcome("destroy", 4, 7),)


def test_second_boot_slab_is_counted_as_unplaced(write316):
    _, record = open_trace(write316([BOOT[0], "0,0,0,S,99000,0,0,64", *BOOT[1:]]))
    (unplaced,) = record.unplaced
    assert (unplaced.count, unplaced.line) == (1, 3) and "boot" in unplaced.reason


@pytest.mark.parametrize(
    "row, problem",
    [
        ("5,0,1,A,a0000,3,1", "7 columns instead of 8"),
        ("5,0,1,A,a0000,3,1,5,6", "9 columns instead of 8"),
        ("", "1 columns instead of 8"),
        ("zz,0,1,A,a0000,3,1,5", "column t_tsc is 'zz'"),
        ("5,x,1,A,a0000,3,1,5", "column cpu is 'x'"),
        ("5,0,1,A,g000,3,1,5", "column addr_hex is 'g000', which is no number of base 16"),
        ("5,0,1,A,a0000,,1,5", "column cache is ''"),
        ("5,0,1,A,a0000,3,2,5", "x of an A row is '2'"),
        ("5,0,1,A,a0000,3,1,y", "column y is 'y'"),
        ("5,2,1,A,a0000,3,1,5", "cpu 2 is out of range"),
        ("5,-1,1,S,a0000,3,1,5", "cpu -1 is out of range"),
        ("5,7,1,M,end,,,", "cpu 7 is out of range"),
        ("5,0,1,A,a0000,6,1,5", "cache 6 is out of range, the metadata lists 6"),
        ("5,0,1,D,a0000,-1,0,5", "cache -1 is out of range"),
        ("5,0,1,S,a0000,5,0,21", "cache 5 (dentry(1:B)), which does not exist"),
        ("5,0,1,D,a0000,3,0,21", "cache 3, which has none left"),
        ("5,0,1,A,a0000,5,1,5", "cache 5 (dentry(1:B)), which does not exist"),
        ("5,0,1,A,98040,3,1,5", "object 98040 is allocated twice: it is live since line 4"),
        ("5,0,1,F,a0000,3,1,5", "free of an unknown object: a0000"),
        ("5,0,1,F,98040,3,1,5", "freed to cache 3, but was allocated from cache 1 in line 4"),
        ("5,0,1,Q,a0000,3,1,5", "unknown event 'Q'"),
        ("5,0,1,,a0000,3,1,5", "unknown event ''"),
        ("5,0,1,AA,a0000,3,1,5", "unknown event 'AA'"),
        ("5,0,1,C,,3,,", "created twice, first in line 6"),
        ("5,0,1,C,,0,,", "no size of it"),
        ("5,0,1,K,,3,,", "which is no clone"),
        ("5,0,1,X,,4,,", "X of cache 4 (dentry(0:A)), which does not exist"),
        ("5,0,1,H,,zz,,", "column cache is 'zz'"),
        ('5,0,1,M,"no end,,,', "quotes that do not pair"),
        ("5,0,1,M,\udcff,,,", "malformed"),
    ],
)
@pytest.mark.parametrize("pack", [False, True])
def test_bad_row(write316, row, problem, pack):
    rows = [*BOOT, row, "9,0,1,M,end,,,"]
    text = "".join(f"{line}\n" for line in ["t_tsc,cpu,pid,op,addr_hex,cache,x,y", *rows]).encode(
        errors="surrogateescape"
    )
    path = write316(rows, raw=text, pack=pack)
    with pytest.raises(TraceError) as caught:
        open_trace(path)
    assert problem in str(caught.value)
    assert caught.value.line == len(BOOT) + 2
    assert f"{path}:{len(BOOT) + 2}: " in str(caught.value)


def test_clone_before_its_root(write316):
    with pytest.raises(TraceError, match="root cache does not exist"):
        open_trace(write316(BOOT[:4] + ["4,0,0,C,,4,,"]))


@pytest.mark.parametrize(
    "change, problem",
    [
        ({"n_events": None}, "n_events is missing"),
        ({"n_events": "5"}, "n_events is '5'"),
        ({"caches": None}, "caches is missing"),
        ({"caches": [7]}, "caches[0].id is missing"),
        ({"caches": [{"id": 1, "name": "x"}]}, "must be listed by id"),
        (
            {"caches": [{"id": 0, "name": "x", "size": 8, "object_size": 1 << 40}]},
            "caches[0].object_size is 1099511627776",
        ),
        ({"caches": [{"id": 0, "name": "x", "size": 0}]}, "caches[0].size is 0"),
        ({"caches": [{"id": 0, "name": "x", "size": "8"}]}, "caches[0].size is '8'"),
        ({"caches": [{"id": 0, "name": "x"}, {"id": 1, "name": "y"}]}, "caches[1].size is missing"),
        ({"caches": [{"id": 0, "name": "x(0:A)", "memcg": True}]}, "not root(id:cgroup)"),
        ({"caches": [7] * 5000}, "5000 caches"),
        ({"ncpu": 1000}, "ncpu is 1000"),
        ({"comparison": [{"id": 77}]}, "comparison names cache 77"),
        ({"comparison": [{"id": 3}]}, "slabs_kernel is missing"),
    ],
)
def test_bad_metadata(write316, change, problem):
    with pytest.raises(TraceError) as caught:
        open_trace(write316(BOOT, change))
    assert problem in str(caught.value)


@pytest.mark.parametrize("seed", range(20))
def test_native_play_in_any_interleaving(write316, seed):
    """CPUs that run apart finish, and every free finds the object that the trace freed."""
    rng = np.random.default_rng(seed)
    rows, live = list(BOOT), []
    for time in range(300):
        cpu, kind = rng.integers(2), rng.random()
        if kind < 0.02:
            rows.append(f"{time},{cpu},1,H,,3,,")
        elif kind < 0.5 and live:
            rows.append(f"{time},{cpu},1,F,{live.pop(rng.integers(len(live))):x},3,1,5")
        else:
            address = int(rng.choice([a for a in range(64, 64 + 400) if a not in live]))
            live.append(address)
            rows.append(f"{time},{cpu},1,A,{address:x},3,1,5")
    load, record = open_trace(write316(rows))
    assert len(record.fast) == load.operations()
    validate(load)
    play(load, rng)


def play(load, rng):
    """Step CPUs in a random order; a CPU that would have to wait is passed over."""
    at, reached, done, slots = [0] * load.cpus, [0] * load.cpus, 0, {}
    while any(load.tapes[cpu][at[cpu]] & 15 != tape.OP_END for cpu in range(load.cpus)):
        moved = False
        for cpu in rng.permutation(load.cpus):
            for _ in range(rng.integers(1, 40)):
                code, _, _, c = (int(field) for field in tape.decode(load.tapes[cpu][at[cpu]]))
                waits = (code == tape.OP_WAIT and done < c) or (code == tape.OP_FREE and slots.get(c) != "live")
                if waits or code == tape.OP_END:
                    break
                if code == tape.OP_ALLOC:
                    assert c not in slots
                    slots[c] = "live"
                elif code == tape.OP_FREE:
                    slots[c] = "freed"
                elif code == tape.OP_ROUND:
                    reached[cpu] = c
                at[cpu] += 1
                moved = True
            while done < len(load.events) and min(reached) >= load.events[done].round:
                done += 1
                moved = True
        assert moved, "deadlock"
    assert done == len(load.events)
