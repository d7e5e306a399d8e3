"""Results of actual runs keep to the published schema."""

import pytest
from running import finish, play, small
from test_run_serial import TINY

from stress.result.files import encode


@pytest.mark.parametrize("allocator, after", [("slub", ("v3",)), ("slab", ("v1",)), ("slob", ("v1",))])
def test_serial(allocator, after, valid):
    valid("result", encode(play(allocator=allocator, after=after, settings=TINY["pinned"], scenario="pinned")))


@pytest.mark.xdist_group("cpus")
def test_parallel(tmp_path, valid):
    valid(
        "result", finish(tmp_path, "--after", "v3", "--seconds", "0.1", "--quiet", "--format", "json", *small()).stdout
    )
