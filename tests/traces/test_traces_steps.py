"""Tables of deterministic steps."""

from pathlib import Path

import pytest

from scenarios.traces import TraceError
from scenarios.traces.steps import Alloc, Free, Initial, Pairs, Shrink, free_order, read_steps

DATA = Path(__file__).resolve().parents[1] / "data"
SLUB, SLAB = DATA / "linux-3.16-slub-steps.csv", DATA / "linux-3.16-slab-steps.csv"


@pytest.mark.parametrize("path, allocator", [(SLUB, "slub"), (SLAB, "slab")])
def test_recorded_tables(path, allocator):
    table = read_steps(path)
    assert (table.allocator, table.cpus, len(table)) == (allocator, 2, 252)
    numbers = [*range(21), *range(100, 121), *range(200, 221)]
    for (cache, steps), size in zip(table.steps.items(), (64, 256, 1024, 4096)):
        assert cache == f"sb{size}"
        assert [step.number for step in steps] == numbers
        assert {step.object_size for step in steps} == {size}
        assert len({frozenset(step.expected) for step in steps}) == 1
        assert [step.action for step in steps[:3]] == [
            Initial(),
            Alloc(0, 0, steps[1].action.cache, 1000),
            Free(0, 0, 0),
        ]
        assert steps[15].action == Free(1, 1, 2) and steps[16].action == Pairs(0, steps[1].action.cache, 1000)
        assert steps[20].action == Shrink()


def test_slub_columns():
    steps = read_steps(SLUB).steps["sb64"]
    first, freed = steps[0].expected, steps[2].expected
    assert first["alloc_fastpath_C1"] == 0 and first["slabs_cpu_partial_slabs_C0"] == 0
    assert freed["free_slowpath"] == 960 and freed["free_slowpath_C0"] == 960 and freed["free_slowpath_C1"] == 0
    assert freed["slabs_cpu_partial_objects"] == 15 and freed["slabs_cpu_partial_slabs_C0"] == 15
    assert freed["slabs_cpu_partial_objects_C1"] == 0
    for step in steps:
        for name in ("alloc_fastpath", "alloc_slowpath", "free_fastpath", "free_slowpath", "alloc_slab", "free_slab"):
            assert step.expected[name] == step.expected[f"{name}_C0"] + step.expected[f"{name}_C1"]


def test_slab_columns():
    step = read_steps(SLAB).steps["sb64"][1]
    assert step.expected["active_objs"] == 1005 and step.expected["sharedavail"] == 0 and "t" not in step.expected


def test_free_orders():
    assert free_order(0, 4).tolist() == [0, 1, 2, 3]
    assert free_order(1, 4).tolist() == [3, 2, 1, 0]
    assert free_order(3, 5).tolist() == [0, 2, 4]
    assert free_order(4, 5).tolist() == [1, 3]
    assert free_order(2, 10).tolist() == [6, 7, 9, 4, 8, 5, 1, 2, 3, 0]
    assert sorted(free_order(2, 1000)) == list(range(1000))
    assert free_order(2, 0).tolist() == [] and free_order(2, 1).tolist() == [0]
    with pytest.raises(ValueError):
        free_order(5, 3)


HEADER = "kernel,t,cache,step,do,objsize,num_slabs\n"
GOOD = "k,0.1,sb64,0,initial,64,0\n"


@pytest.mark.parametrize(
    "text, line, problem",
    [
        ("", 1, "truncated"),
        (HEADER, 1, "no step follows"),
        (HEADER + GOOD[:-1], 2, "truncated"),
        ("a,b\n1,2\n", 1, "no column cache, do, kernel, objsize, step"),
        (HEADER + GOOD + "k,0.1,sb64,1,shrink,64\n", 3, "6 columns instead of 7"),
        (HEADER + "k,0.1,sb64,1,shrink,64,0\n", 2, "do not begin with 'initial'"),
        (HEADER + GOOD + "k,0.1,sb64,1,cpu0 z 1,64,0\n", 3, "unknown step 'cpu0 z 1'"),
        (HEADER + GOOD + "k,0.1,sb64,1,cpu0 f 0 1,64,0\n", 3, "handle 0 is freed before"),
        (HEADER + GOOD + "k,0.1,sb64,1,cpu0 c 0 0 9,64,0\nk,0.1,sb64,2,cpu0 f 0 7,64,0\n", 4, "order 7 is none of"),
        (HEADER + GOOD + "k,0.1,sb64,1,shrink,64,x\n", 3, "'x' is no counter"),
        (HEADER + GOOD + "k,0.1,sb64,1,shrink,64,\n", 3, "an empty counter"),
        (HEADER + GOOD + "k,0.1,sb64,zz,shrink,64,0\n", 3, "malformed"),
        (HEADER + GOOD + GOOD, 3, "step 0 of sb64 follows step 0"),
        (HEADER + '"\n', 0, "no table"),
    ],
)
def test_bad_tables(tmp_path, text, line, problem):
    path = tmp_path / "steps.csv"
    path.write_text(text)
    with pytest.raises(TraceError) as caught:
        read_steps(path)
    assert problem in str(caught.value) and caught.value.line == line


def test_missing_table(tmp_path):
    with pytest.raises(TraceError, match="cannot be read"):
        read_steps(tmp_path / "none.csv")
