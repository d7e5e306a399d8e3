"""Structs, record views and plans of regions."""

from __future__ import annotations

import numpy as np
import pytest

from shm.layout import CACHE_LINE, Plan, field_name, struct, view

POINT = struct("TEST_POINT", "x", ("history", 3), "y", size=8)


def test_offsets_and_size():
    assert (POINT.x, POINT.history, POINT.y, POINT.SIZE) == (0, 1, 4, 8)


def test_view_shares_the_memory():
    words = np.arange(40)
    points = view(words, POINT, 8, 3)
    assert points["x"].tolist() == [8, 16, 24]
    assert points["history"][1].tolist() == [17, 18, 19]
    points["y"][2] = -1
    assert words[8 + 2 * 8 + 4] == -1


def test_field_names():
    assert [field_name(POINT, offset) for offset in range(5)] == ["x", "history[0]", "history[1]", "history[2]", "y"]


def test_a_struct_must_fit_and_have_a_name_of_its_own():
    with pytest.raises(ValueError, match="needs 3 words, 2 were declared"):
        struct("TEST_TOO_LONG", "a", ("b", 2), size=2)
    with pytest.raises(ValueError, match="declared twice"):
        struct("TEST_POINT", "x")


def test_regions_start_at_cache_lines_and_do_not_overlap():
    plan = Plan()
    assert plan.reserve("first", 3) == 0
    assert plan.reserve("second", 1) == CACHE_LINE
    assert plan.reserve("third", 5, 64) == 64
    assert plan["second"] == CACHE_LINE and plan.regions["third"] == (64, 5) and plan.end == 69
    with pytest.raises(ValueError, match="reserved twice"):
        plan.reserve("first", 1)
