"""Reading 6.18 traces: cgroups, objects from before the trace, snapshots, and what is refused."""

import pytest

from scenarios import tape
from scenarios.checks import validate
from scenarios.traces import ABSENT, UNRECORDED, Outcome, TraceError, open_trace

ROWS = [
    "0,0,7,F,1000,0,1,,,,0",
    "1,0,7,f,1100,-1,1,,,,0",
    "2,0,7,S,2,0,0,,,,",
    '3,0,7,M,"SNAP_BEGIN start"',
    '4,0,7,M,"SNAP_END start"',
    '5,0,7,C,"mkdir /A"',
    '6,0,8,C,"attach pid=8 /A"',
    '7,0,7,M,"PHASE 1_x: one, two"',
    "8,1,8,A,2000,0,192,192,1,1,3",
    "9,1,8,a,3000,1,50,64,0,1,3",
    "10,1,8,A,2100,0,192,192,1,0,3",
    "11,1,9,a,3100,1,64,64,1,2,3",
    "12,0,8,x,3000,1,,,,,-1",
    "13,0,8,a,3000,1,50,64,1,1,3",
    "14,0,8,L,9000,-1,16384,16384,,,38",
    "15,0,8,l,9000,-1,,,,,93",
    '16,0,7,C,"rmdir /A"',
    "17,0,8,A,2200,0,192,192,1,1,3",
    "18,1,7,f,3000,1,0,,,,5",
    "19,1,7,F,2000,0,0,,,,5",
    '20,1,7,C,"release /A"',
    "21,0,7,D,7,0,0,,,,",
    "22,0,7,D,8,0,0,,,,",
    '23,0,7,M,"SNAP_BEGIN end"',
    '24,0,7,M,"SNAP_END end"',
]
SNAPSHOTS = [
    {"name": "start", "sysfs": {"dentry": [100, 1, 1], "kmalloc-64": [5]}},
    {"name": "end", "sysfs": {"dentry": [99], "kmalloc-64": [6]}},
]


def test_life(write618):
    load, record = open_trace(write618(ROWS, {"snapshots": SNAPSHOTS}))
    validate(load)
    names = [(tape.EV_NAMES[event.kind], event.arg) for event in load.events]
    assert names == [
        ("mark", 0),
        ("create_cgroup", 1),
        ("mark", 1),
        ("create_cgroup", 2),
        ("offline_cgroup", 1),
        ("mark", 2),
    ]
    code, a, b, c = tape.decode(load.tapes[1])
    allocs = code == tape.OP_ALLOC
    assert list(zip(a[allocs], b[allocs], c[allocs])) == [(0, 1, 0), (1, 0, 1), (0, 0, 2), (1, 2, 3)]
    code, a, b, c = tape.decode(load.tapes[0])
    allocs = code == tape.OP_ALLOC
    assert list(zip(a[allocs], b[allocs], c[allocs])) == [(1, 1, 4), (0, 0, 5)]
    assert c[code == tape.OP_FREE].tolist() == [1]
    assert record.fast.tolist() == [UNRECORDED] * load.operations()
    assert record.cgroups == ("root", "/A", "/B") and load.cgroups == 2
    assert record.notes == ("1 allocations accounted to a removed cgroup are done for the root cgroup",)
    assert record.outcomes == (Outcome("release", 1, 20),)
    assert [(entry.count, entry.line) for entry in record.unplaced] == [(2, 2), (1, 8), (2, 16)]
    assert record.row_counts["M"] == 5 and record.rows == len(ROWS)


def test_slabs_are_relative_to_the_first_row(write618):
    load, record = open_trace(write618(ROWS, {"snapshots": SNAPSHOTS}))
    assert load.marks == ("SNAP_END start", "PHASE 1_x: one, two", "SNAP_END end")
    assert record.slabs_before.tolist() == [99, 5]
    assert record.slabs_at_mark.tolist() == [[1, 0], [1, 0], [-1, 0]]
    assert record.kernel_slabs_at_mark.tolist() == [[1, 0], [ABSENT, ABSENT], [0, 1]]
    assert record.kernel_slabs_at_end.tolist() == [0, 1]
    assert record.slabs_at_end.tolist() == [-1, 0]


def test_without_snapshots_the_kernel_counts_are_absent(write618):
    _, record = open_trace(write618(ROWS))
    assert (record.kernel_slabs_at_mark == ABSENT).all() and (record.kernel_slabs_at_end == ABSENT).all()


def test_specs(write618):
    load, _ = open_trace(write618(ROWS))
    dentry, kmalloc = load.caches
    assert (dentry.size, dentry.object_size, dentry.destroy_by_rcu, dentry.created) == (192, 192, True, True)
    assert (kmalloc.align, kmalloc.has_ctor) == (64, False)


def test_cgroup_made_again_is_another(write618):
    rows = [
        '0,0,7,C,"mkdir /A"',
        "1,0,7,A,2000,0,9,9,1,1,3",
        '2,0,7,C,"rmdir /A"',
        '3,0,7,C,"mkdir /A"',
        "4,0,7,A,2100,0,9,9,1,1,3",
    ]
    load, record = open_trace(write618(rows))
    validate(load)
    code, _, b, _ = tape.decode(load.tapes[0])
    assert b[code == tape.OP_ALLOC].tolist() == [1, 2] and record.cgroups == ("root", "/A", "/A")


def test_rmdir_of_an_unseen_cgroup_is_counted(write618):
    load, record = open_trace(write618(['0,0,7,C,"rmdir /B"']))
    assert load.events == () and record.unplaced[0].count == 1


@pytest.mark.parametrize(
    "row, problem",
    [
        ("5,0,7,A,2000,0,192,192,1,1", "10 columns instead of 11"),
        ("5,0,7,A,2000,0,192,192,1,1,z", "column site is 'z'"),
        ("5,0,7,A,2000,0,x,192,1,1,1", "column bytes_req is 'x'"),
        ("5,0,7,A,2000,0,192,192,7,1,1", "column accounted is '7'"),
        ("5,0,7,A,2000,0,192,192,1,3,1", "memcg 3 is out of range"),
        ("5,0,7,A,2000,0,192,192,1,-1,1", "memcg -1 is out of range"),
        ("5,0,7,A,2000,2,192,192,0,0,1", "cache 2 is out of range"),
        ("5,2,7,A,2000,0,192,192,0,0,1", "cpu 2 is out of range"),
        ("5,0,7,A,2000,0,192,192,0,0,1\n6,0,7,A,2000,0,192,192,0,0,1", "allocated twice"),
        ("5,0,7,F,2000,0,0,,,,1", "free of an unknown object: 2000"),
        ("5,0,7,x,2000,0,,,,,-1", "free of an unknown object: 2000"),
        ("5,0,7,F,2000,0,,,,,1", "bytes_req of a free is ''"),
        ("5,0,7,F,2000,9,1,,,,1", "cache 9 is out of range"),
        ("5,0,7,A,2000,0,1,1,0,0,1\n6,0,7,F,2000,0,1,,,,1", "said to predate the trace"),
        ("5,0,7,S,zz,0,0,,,,", "column addr_hex is 'zz'"),
        ("5,0,7,Q,2000,0,0,,,,", "unknown event 'Q'"),
        ("5,0,7", "3 columns instead of 11"),
        ("5,0,7,C,mkdir /A,3", "6 columns instead of 5"),
        ("5,0,7,C,fly /A", "unknown cgroup event 'fly /A'"),
        ("5,0,7,C,mkdir /A\n6,0,7,C,mkdir /A", "mkdir of /A, which exists"),
        ("5,0,7,C,mkdir /A\n6,0,7,C,rmdir /A\n7,0,7,C,rmdir /A", "removed already"),
        ("5,3,7,M,hello", "cpu 3 is out of range"),
    ],
)
def test_bad_row(write618, row, problem):
    rows = ["0,0,7,L,0,-1,1,1,,,0", *row.split("\n"), '9,0,7,M,"end"']
    with pytest.raises(TraceError) as caught:
        open_trace(write618(rows))
    assert problem in str(caught.value)
    assert caught.value.line == len(rows)


@pytest.mark.parametrize(
    "change, problem",
    [
        ({"ncpu": 0}, "ncpu is 0"),
        ({"caches": ["dentry", "gone"]}, "cache_static: gone is missing"),
        ({"cache_static": {"dentry": {"slab_size": 8}}}, "object_size is missing"),
        ({"event_counts": {"A": "x"}}, "event_counts.A is 'x'"),
        ({"ncpu": 10**30}, "ncpu is beyond"),
        ({"snapshots": [7]}, "snapshots: name is missing"),
        ({"snapshots": [{"name": "start", "sysfs": {"dentry": []}}]}, "sysfs of dentry: column 0 is missing"),
    ],
)
def test_bad_metadata(write618, change, problem):
    with pytest.raises(TraceError) as caught:
        open_trace(write618(ROWS, change))
    assert problem in str(caught.value)
