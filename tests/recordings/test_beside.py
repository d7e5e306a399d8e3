"""Sizes of caches from a state beside a recording."""

import shutil

import pytest
from test_reading import FIELD

from scenarios.traces import TraceError
from stress.recordings.beside import beside
from stress.recordings.workload import open_recording

SLABINFO = "slabinfo - version: 2.1\n{} 1 2 {} 8 1 : tunables 0 0 0 : slabdata 1 1 0\n"


@pytest.fixture
def trace(tmp_path):
    """A recording of a 3.x, whose kmem_cache_alloc rows name no cache."""
    return shutil.copy(FIELD / "ftrace-3.x.txt", tmp_path / "trace.txt")


def caches(trace):
    load, record = open_recording(trace)
    return {spec.name: spec for spec in load.caches}, record.notes


def test_a_slabinfo_names_and_sizes(trace):
    before, _ = caches(trace)
    unknown = next(name for name in before if name.startswith("?"))
    size = before[unknown].size
    trace.with_name("trace.txt.before.slabinfo").write_text(SLABINFO.format("my_cache", size))
    after, notes = caches(trace)
    assert set(after) == set(before) - {unknown} | {"my_cache"} and after["my_cache"].size == size
    assert f"trace.txt.before.slabinfo tells the sizes of 1 of {len(before)} caches" in notes


def test_a_tree_tells_what_events_do_not(trace):
    before, _ = caches(trace)
    name = next(iter(before))
    folder = trace.with_name("trace.txt.slab") / ":0000104"
    folder.mkdir(parents=True)
    size = before[name].size + 128
    shown = {"slab_size": size, "object_size": 100, "objs_per_slab": 9, "align": 64, "destroy_by_rcu": 1,
             "sheaf_capacity": 32, "ctor": "init_once+0x0/0x10"}  # fmt: skip
    for file, value in shown.items():
        (folder / file).write_text(f"{value}\n")
    (folder.parent / name).symlink_to(folder.name)
    spec = caches(trace)[0][name]
    assert (spec.size, spec.object_size, spec.align, spec.sheaf_capacity) == (size, 100, 64, 32)
    assert spec.destroy_by_rcu and spec.has_ctor


def test_a_state_that_is_none_is_refused(trace):
    assert beside(trace).path is None
    trace.with_name("trace.txt.slabinfo").write_text("nothing\n")
    with pytest.raises(TraceError, match="no line of a slabinfo"):
        beside(trace)
