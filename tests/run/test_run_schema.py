"""Results of actual runs keep to the published schema."""

import json

import jsonschema
import pytest
from running import finish, play, small
from test_run_serial import TINY

from stress import schema
from stress.result import encode


def validate(data: bytes | str) -> None:
    jsonschema.validate(json.loads(data), json.loads(schema.path("result").read_text()))


@pytest.mark.parametrize("allocator, after", [("slub", ("v3",)), ("slab", ("v1",)), ("slob", ("v1",))])
def test_serial(allocator, after):
    validate(encode(play(allocator=allocator, after=after, settings=TINY["pinned"], scenario="pinned")))


@pytest.mark.xdist_group("cpus")
def test_parallel(tmp_path):
    validate(finish(tmp_path, "--after", "v3", "--seconds", "0.1", "--quiet", "--format", "json", *small()).stdout)
