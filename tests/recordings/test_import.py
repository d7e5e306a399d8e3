"""`python -m stress import`: what it prints and writes, and that hostile texts and files do no harm."""

import json

import jsonschema
import numpy as np
import pytest
from test_reading import EXPECTED, FIELD, HEAD, read, written

from stress.process.errors import UsageError
from stress.recordings import pair as p
from stress.recordings.command import main
from stress.recordings.workload import open_recording
from stress.schema import schema


@pytest.mark.parametrize("name", EXPECTED)
def test_a_converted_recording_replays_as_the_text_does(tmp_path, name, capsys):
    out = tmp_path / "r.parquet"
    assert main(FIELD / f"{name}.txt", out, format="json", details=False) == 0
    found = json.loads(capsys.readouterr().out)
    jsonschema.validate(found, schema("recording"))
    assert (found["allocations"], found["bytes_requested"], found["bytes_allocated"]) == EXPECTED[name][:3]
    assert sum(cache["in_use"] for cache in found["caches"]) == EXPECTED[name][9]
    for by in ("events", "comm", "pid"):
        text, _ = open_recording(FIELD / f"{name}.txt", by)
        again, _ = open_recording(out, by)
        assert again.caches == text.caches and again.events == text.events
        assert all(np.array_equal(a, b) for a, b in zip(again.tapes, text.tapes, strict=True))
    assert read(out).lost == read(FIELD / f"{name}.txt").lost


def test_nothing_is_left_half_written(tmp_path):
    out = tmp_path / "r.parquet"
    bad = written(tmp_path / "t", "no events\n")
    with pytest.raises(UsageError, match=":1: no event"):
        main(bad, out, format="text", details=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["t"]
    with pytest.raises(UsageError, match="cannot be written"):
        main(FIELD / "ftrace-3.x.txt", tmp_path / "no" / "r", format="text", details=False)


def test_a_damaged_or_foreign_parquet_file_is_refused(tmp_path):
    out = tmp_path / "r.parquet"
    main(FIELD / "ftrace-3.x.txt", out, format="json", details=False)
    content = out.read_bytes()
    for damaged in (
        content[:60],
        content[: len(content) // 2] + content[-8:],
        content[:40] + b"\xff" * 400 + content[440:],
    ):
        out.write_bytes(damaged)
        with pytest.raises(UsageError):
            main(out, None, format="json", details=False)


def test_names_cannot_command_a_terminal(tmp_path, capsys):
    line = HEAD.format(comm="\x1b]0;x\x07<b>", pid=1, cpu=0, at=1)
    line += "kmem_cache_alloc: call_site=f ptr=10 name=\x1b[2J<script> bytes_req=8 bytes_alloc=8\n"
    main(written(tmp_path / "t", line), None, format="text", details=True)
    printed = capsys.readouterr().out
    assert "<script>" in printed and "\x1b" not in printed and "\x07" not in printed


def test_a_long_recording_takes_no_more_memory_at_a_time(tmp_path):
    """Chunks stay as small however long the text is, and what is freed does not stay in the table."""
    free = HEAD.format(comm="x", pid=1, cpu=0, at=2) + "kfree: call_site=f ptr=00000000000000{:02x}\n"
    take = (
        HEAD.format(comm="x", pid=1, cpu=0, at=1)
        + "kmalloc: call_site=f ptr=00000000000000{:02x} bytes_req=8 bytes_alloc=8\n"
    )
    lines = "".join(take.format(i) + free.format(i) for i in range(1, 200))
    reader = read(written(tmp_path / "t", lines * 300))
    assert reader.counts[p.ALLOCATIONS] == 199 * 300 == reader.counts[p.FREE_EVENTS]
    assert len(reader._table) == 1 << 14
