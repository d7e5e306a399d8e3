"""Writing and reading `result.json`."""

import datetime
import json
import os
from pathlib import Path

import msgspec
import pytest
from stress_records import TRACE, record

from allocators.catalogue import SLUB
from stress.measure.evaluation import measure
from stress.process.errors import UsageError
from stress.process.files import write_atomically
from stress.result.files import encode, read_result, write_result

NOON = datetime.datetime(2026, 1, 1, 12, 0, 0, tzinfo=datetime.UTC)

PROMISED = {
    "schema_version", "scenario", "parameters", "allocator", "seed", "cpus", "baseline", "designs", "ratios",
    "invariants", "partial", "trust",
}  # fmt: skip
PROMISED_OF_A_DESIGN = {
    "switches": None,
    "frees_per_second": {"live", "dead", "all"},
    "dead_caches": {"offlined", "destroyed", "left"},
    "lifetime_seconds": {"p50", "p99", "max"},
    "empty_slabs": {"cpu_slab", "cpu_partial", "node_partial"},
    "slabs_left": None,
    "pages_left": None,
    "stats": set(SLUB.statistics),
    "per_free": {"list_lock", "list_lock_contended", "page_cas", "page_cas_failed"},
}


@pytest.fixture
def result():
    return measure(record(trace=TRACE))


def test_the_promised_fields_are_there(result):
    data = json.loads(encode(result))
    assert PROMISED <= set(data) and data["schema_version"] == "1" and list(data)[0] == "schema_version"
    assert len(PROMISED_OF_A_DESIGN["stats"]) == 26
    for design in data["designs"].values():
        for name, inner in PROMISED_OF_A_DESIGN.items():
            assert name in design and (inner is None or set(design[name]) == inner), name
    assert {"estimate", "low", "high"} <= set(data["ratios"]["v1"]["free_throughput"])
    assert {"checked", "violated"} == set(data["invariants"])


def test_round_trip(result, tmp_path):
    written, path = write_result(result, tmp_path, NOON)
    assert read_result(path) == written == read_result(path.parent)
    assert path.read_bytes() == encode(written)


def test_run_id_names_time_and_scenario(result, tmp_path):
    written, path = write_result(result, tmp_path / "new" / "results", NOON)
    assert written.run_id == path.parent.name
    assert written.run_id.startswith("20260101-120000-offline-storm-")
    assert written.created == "2026-01-01T12:00:00+00:00"


def test_an_existing_run_is_never_touched(result, tmp_path):
    first = write_result(result, tmp_path, NOON)[1]
    before = first.read_bytes()
    second = write_result(result, tmp_path, NOON)[1]
    assert first != second and first.read_bytes() == before
    assert {p.name for p in tmp_path.iterdir()} == {first.parent.name, second.parent.name}


def test_a_run_whose_result_has_no_room_leaves_no_folder(result, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("stress.result.files.write_atomically", full)
    with pytest.raises(OSError, match="No space"):
        write_result(result, tmp_path, NOON)
    assert not list(tmp_path.iterdir())


def test_a_failed_write_leaves_the_old_content_and_no_rubbish(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_atomically(path, b"old")

    def broken(*_):
        raise OSError("disk on fire")

    monkeypatch.setattr(os, "replace", broken)
    with pytest.raises(OSError, match="fire"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


def test_numpy_values_and_paths_are_written_as_plain_json(tmp_path):
    np = pytest.importorskip("numpy")
    given = {"n": np.int64(3), "share": np.float64(0.5), "sizes": np.array([1, 2]), "file": Path("a/b")}
    data = json.loads(encode(measure(record(parameters=given))))
    assert data["parameters"] == {"n": 3, "share": 0.5, "sizes": [1, 2], "file": "a/b"}


def test_unknown_fields_of_a_later_version_are_skipped(result, tmp_path):
    path = tmp_path / "result.json"
    path.write_bytes(msgspec.json.encode({**json.loads(encode(result)), "new_field": 1}))
    assert read_result(path).scenario == "offline-storm"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "cannot be read"),
        (b"", "is not a result"),
        (b"[1]", "is not a result"),
        (b"\xff\xfe", "is not a result"),
        (b'{"schema_version": "99"}', "schema_version '99'"),
        (b'{"schema_version": "1"}', "missing required field"),
        (b"{}", "schema_version None"),
    ],
)
def test_unreadable_results_say_why(tmp_path, content, says):
    path = tmp_path / "result.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError, match=says) as caught:
        read_result(path)
    assert str(path) in str(caught.value)


def test_truncated_result(result, tmp_path):
    path = tmp_path / "result.json"
    path.write_bytes(encode(result)[:-200])
    with pytest.raises(UsageError, match="is not a result"):
        read_result(path)
