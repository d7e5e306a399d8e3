"""What a run compares unless told otherwise."""

import json

import pytest
from running import finish, small


@pytest.mark.xdist_group("cpus")
def test_what_is_compared_unless_told_otherwise(tmp_path):
    run = finish(tmp_path, "--seconds", "0.2", "--quiet", "--format", "json", *small())
    result = json.loads(run.stdout)
    assert list(result["designs"]) == ["linux-3.16", "v1", "v3"] and len(result["designs"]["v3"]["stats"]) == 26
    assert result["designs"]["v3"]["dead_caches"]["left"] == 0 < result["designs"]["linux-3.16"]["dead_caches"]["left"]
    assert result["invariants"]["violated"] == [] and result["invariants"]["checked"]
