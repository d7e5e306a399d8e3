"""Sizes and orders: as recorded from a 3.16 kernel with 2 CPUs, and as its rules say."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allocators.core.world import MAX_OBJECTS
from allocators.slub.sizing import LARGEST, sizing, slab_order

RECORDED = Path(__file__).parent.parent / "data" / "linux-3.16-sizing.csv"


def recorded() -> list[dict[str, int]]:
    with RECORDED.open() as file:
        return [{key: int(value) for key, value in row.items()} for row in csv.DictReader(file)]


@pytest.mark.parametrize("row", recorded(), ids=lambda row: f"{row['size']}B")
def test_as_the_kernel_had_it(row):
    ours = sizing(row["size"], 8, 2, size=row["size"])
    assert {name: getattr(ours, name) for name in ("objects", "order", "min_partial", "cpu_partial")} == {
        name: row[name] for name in ("objects", "order", "min_partial", "cpu_partial")
    }


@pytest.mark.parametrize(
    "object_size, align, outside, size, offset",
    (
        (64, 8, True, 72, 64),  # anon_vma: SLAB_DESTROY_BY_RCU
        (576, 8, True, 584, 576),  # radix_tree_node: constructor
        (528, 8, True, 536, 528),  # inode_cache
        (2088, 64, True, 2112, 2088),  # sighand_cache: both, and aligned to a cache line
        (40, 64, False, 64, 0),  # tcp_bind_bucket: aligned to a cache line
        (404, 64, False, 448, 0),  # skbuff_fclone_cache: not a multiple of a word
        (1, 1, False, 8, 0),
    ),
)
def test_strides_of_the_kernel(object_size, align, outside, size, offset):
    ours = sizing(object_size, align, 2, pointer_outside=outside)
    assert (ours.size, ours.offset) == (size, offset)


def test_more_cpus_want_larger_slabs():
    assert [slab_order(256, cpus) for cpus in (1, 2, 4, 16, 64)] == [0, 0, 0, 1, 1]


def test_cpu_partial_lists_can_be_off():
    assert sizing(64, 8, 2, cpu_partial=False).cpu_partial == 0


@pytest.mark.parametrize("arguments", ((0, 8, 2), (64, 3, 2), (64, 0, 2), (LARGEST + 1, 8, 2)))
def test_sizes_that_no_cache_has(arguments):
    with pytest.raises(ValueError):
        sizing(*arguments)


def test_recorded_strides_must_hold_the_object():
    with pytest.raises(ValueError, match="does not hold objects of 64 bytes"):
        sizing(64, 8, 2, size=56)


@given(st.integers(1, LARGEST), st.sampled_from((1, 8, 64)), st.integers(1, 62), st.booleans())
def test_slabs_hold_their_objects(object_size, align, cpus, outside):
    if object_size > LARGEST - 64:
        outside, align = False, 8
    s = sizing(object_size, align, cpus, pointer_outside=outside)
    assert object_size <= s.size and s.size % align == 0 and s.size % 8 == 0
    assert 0 <= s.offset <= s.size - 8 and s.offset % 8 == 0
    assert (not outside) or s.offset >= object_size
    assert 0 <= s.min_order <= s.order <= 3
    assert s.objects == (4096 << s.order) // s.size >= 1 and s.min_objects == (4096 << s.min_order) // s.size >= 1
    assert s.objects <= MAX_OBJECTS
    assert 5 <= s.min_partial <= 10
