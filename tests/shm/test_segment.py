"""The segment: sizes, views of one memory, inheritance by fork."""

from __future__ import annotations

import mmap
import os
from pathlib import Path

import pytest
from bare_machine import in_parallel

from shm.segment import Segment


def test_views_are_one_memory():
    with Segment(1000) as segment:
        assert segment.bytes == 2 * mmap.PAGESIZE and segment.words == 1000
        segment.array[7] = -5
        assert segment.words_view[7] == -5
        segment.words_view[8] = 1 << 62
        assert segment.array[8] == 1 << 62


def resident_bytes(segment: Segment) -> int:
    return os.fstat(segment.fd).st_blocks * 512


def test_pages_are_committed_when_touched():
    with Segment(1 << 20) as segment:
        assert resident_bytes(segment) == 0
        segment.array[::512] = 1
        assert resident_bytes(segment) == segment.bytes


def test_impossible_sizes():
    with pytest.raises(ValueError, match="positive size"):
        Segment(0)
    with pytest.raises(MemoryError, match="does not fit this machine's"):
        Segment(1 << 45)


def test_forked_processes_share_it():
    with Segment(512) as segment:
        view = segment.words_view
        in_parallel(lambda: view.__setitem__(3, 33), lambda: view.__setitem__(4, 44))
        assert list(segment.array[3:5]) == [33, 44]


def test_it_has_no_name_that_could_be_left_behind():
    before = set(os.listdir("/dev/shm"))
    with Segment(512) as segment:
        assert Path(f"/proc/self/fd/{segment.fd}").readlink().name.endswith("(deleted)")
        assert set(os.listdir("/dev/shm")) <= before


def test_closing_with_a_view_still_alive_is_harmless():
    segment = Segment(512)
    kept = segment.array[:4]
    segment.close()
    assert kept.sum() == 0
