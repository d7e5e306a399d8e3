"""What a run compares unless told otherwise."""

import json

from running import invoke, small


def test_what_is_compared_unless_told_otherwise(interpreted, tmp_path):
    done = invoke(tmp_path, "--serial", "--quiet", "--format", "json", *small(6000))
    assert done.exit_code == 0, done.stderr
    result = json.loads(done.stdout)
    assert list(result["designs"]) == ["linux-3.16", "v1", "v3"] and len(result["designs"]["v3"]["stats"]) == 26
    assert result["designs"]["v3"]["dead_caches"]["left"] == 0 < result["designs"]["linux-3.16"]["dead_caches"]["left"]
    assert result["invariants"]["violated"] == [] and result["invariants"]["checked"]
