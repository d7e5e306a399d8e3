"""The segment: sizes, views of one memory, inheritance by fork."""

from __future__ import annotations

import mmap
import os
import resource
from pathlib import Path

import numpy as np
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


def test_touched_pages_are_those_that_were_written():
    pages = [0, 1, 7, 300, 2047]
    with Segment(1 << 20) as segment:
        assert segment.touched().tolist() == []
        segment.array[[page * 512 + 5 for page in pages]] = 1
        assert segment.touched().tolist() == pages


@pytest.mark.parametrize("advice", [True, False], ids=["MADV_POPULATE_WRITE", "an older kernel"])
def test_populated_pages_have_memory_and_keep_what_is_in_them(advice, monkeypatch):
    if not advice:
        monkeypatch.setattr("shm.segment._POPULATE_WRITE", 9999)  # EINVAL
    near, far = [3, 4, 9], [200, 1000, 2047]
    with Segment(1 << 20) as segment:
        segment.array[200 * 512 :][:3] = [1, 2, 3]
        segment.populate(np.array([*near, *far, 2048, 1 << 40]))  # the last ones do not exist
        assert set(segment.touched().tolist()) == {*range(3, 10), *far}, "a short gap is filled"
        assert segment.array[200 * 512 :][:3].tolist() == [1, 2, 3] and segment.array.sum() == 6
        segment.populate(np.empty(0, np.int64))


def test_who_populates_takes_no_more_faults():
    """Of memory that another process gave the segment; else it would be one for every page."""
    pages = np.arange(0, 2048)
    with Segment(1 << 20) as segment:
        segment.array[::512] = 1

        def read_all() -> int:
            before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
            segment.array[::512].sum()
            return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

        def populated() -> None:
            segment.populate(pages)
            assert read_all() < 100

        in_parallel(populated)


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
