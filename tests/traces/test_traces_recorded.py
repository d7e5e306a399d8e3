"""The recorded traces from end to end, against the kernel's own counters."""

import numpy as np
import pytest

from scenarios import tape
from scenarios.checks import validate
from scenarios.traces import ABSENT, FAST, NEVER, SLOW, UNRECORDED, open_trace
from scenarios.traces.source import Metadata


@pytest.mark.parametrize(
    "name, kernel_has_more, destroyed", [("linux-3.16-slub-base", {"dentry": 1}, 183), ("linux-3.16-slub-v1", {}, 199)]
)
def test_life_of_a_kernel(recorded, name, kernel_has_more, destroyed):
    path = recorded(f"{name}.csv.zst")
    load, record = open_trace(path)
    validate(load)
    meta = Metadata(path).content
    assert record.row_counts == meta["op_counts"] and record.rows == meta["n_events"]
    operations = meta["op_counts"]["A"] + meta["op_counts"]["F"] + 1
    assert load.operations() == len(record.fast) == operations
    assert record.unplaced == () and load.cgroups == 17 and load.cpus == 2

    counted = record.kernel_slabs_at_end != ABSENT
    difference = (record.kernel_slabs_at_end - record.slabs_at_end)[counted]
    names = np.array([spec.name for spec in load.caches])[counted]
    assert {str(n): int(d) for n, d in zip(names, difference) if d} == kernel_has_more
    for entry in meta["comparison"]:
        boot = entry["cache"] == "kmem_cache_node"
        assert record.slabs_at_end[entry["id"]] == entry["slabs_trace"] + boot
        assert record.kernel_counters[entry["id"]]["slabs"] == entry["slabs_kernel"]
    for cache, entry in enumerate(meta["caches"]):
        assert record.destroyed_row[cache] == entry.get("closed", NEVER)
        assert record.offline_row[cache] == entry.get("memcg_offline", NEVER)
    assert np.count_nonzero(record.destroyed_row != NEVER) == destroyed

    ops, cache, _, _ = tape.decode(global_order(load))
    touch = (ops == tape.OP_ALLOC) | (ops == tape.OP_FREE)
    alloc = ops[touch] == tape.OP_ALLOC
    for entry in meta["comparison"][1:]:
        mine = cache[touch] == entry["id"]
        for flag, counter in ((FAST, "alloc_fastpath"), (SLOW, "alloc_slowpath")):
            assert np.count_nonzero(mine & alloc & (record.fast == flag)) == entry[counter][1]


def test_mixed_load(recorded):
    path = recorded("linux-6.18-mixed.csv.zst")
    load, record = open_trace(path)
    validate(load)
    meta = Metadata(path).content
    assert record.row_counts == meta["event_counts"]
    assert np.all(record.fast == UNRECORDED) and len(record.fast) == load.operations()
    reasons = {entry.reason: entry.count for entry in record.unplaced}
    assert sorted(reasons.values()) == [30, 31, 72, meta["matching"]["kfree_large"] + meta["matching"]["kmalloc_large"]]
    assert record.cgroups == ("root", *meta["memcgs"][1:])
    for index, mark in enumerate(load.marks):
        kernel, trace = record.kernel_slabs_at_mark[index], record.slabs_at_mark[index]
        if mark.startswith("SNAP_END"):
            error = int(np.abs(kernel - trace).sum())
            assert error <= (28 if mark.endswith("after_sock") else 2)
        else:
            assert np.all(kernel == ABSENT)
    assert sum(mark.startswith("SNAP_END") for mark in load.marks) == 13


def global_order(load):
    """All operations as one array in the global order."""
    words = np.empty(len(load.order), dtype=np.int64)
    for cpu, one in enumerate(load.tapes):
        words[load.order == cpu] = one[:-1]
    return words
