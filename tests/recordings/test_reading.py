"""Recordings of events as people have them: what is in them, counted apart from the product, and hostile ones."""

import gzip
import lzma
from pathlib import Path

import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from scenarios.checks import validate
from scenarios.tape import EV_CREATE_CGROUP, EV_OFFLINE_CGROUP
from scenarios.traces.errors import TraceError
from stress.recordings import pair as p
from stress.recordings import rows as s
from stress.recordings.naming import name_caches
from stress.recordings.reading import Reader
from stress.recordings.workload import open_recording

FIELD = Path(__file__).resolve().parents[1] / "data" / "field"
COUNTED = (
    p.ALLOCATIONS, p.BYTES_REQ, p.BYTES_ALLOC, p.FAILURES, p.FREE_EVENTS, p.NULL_FREES, p.OLD_FREES, p.INFERRED,
    p.CROSS, p.IN_USE, p.BYTES_LIVE,
)  # fmt: skip
# Allocations, bytes wanted and given, failed; frees, null, old, inferred, of another CPU; in use at the end, bytes.
EXPECTED = {
    "ftrace-3.x": (10, 13054, 17888, 1, 9, 2, 2, 1, 1, 2, 64),
    "ftrace-6.x": (7, 27464, 29776, 0, 6, 1, 2, 0, 2, 3, 24592),
    "trace_pipe-lost": (4, 584, 640, 0, 5, 0, 2, 1, 1, 0, 0),
    "trace-cmd-report": (4, 4944, 5000, 0, 2, 1, 0, 0, 2, 2, 648),
    "perf-script": (4, 4592, 4608, 0, 2, 1, 0, 0, 1, 2, 448),
}


def read(path) -> Reader:
    reader = Reader(Path(path))
    for _ in reader.chunks():
        pass
    return reader


def written(path, text: str) -> Path:
    path.write_text(text)
    return path


@pytest.mark.parametrize("name", EXPECTED)
def test_a_recording_holds_what_was_counted_by_hand(name):
    assert tuple(read(FIELD / f"{name}.txt").counts[list(COUNTED)]) == EXPECTED[name]


def test_what_a_tracer_says_beside_its_events_is_kept():
    lost = read(FIELD / "trace_pipe-lost.txt")
    assert lost.lost == {0: [1, 12, 0], 1: [1, 0, 1]}
    assert lost.counts[p.OLD_AFTER_LOSS] == 2
    cut = read(FIELD / "trace-cmd-report.txt")
    assert [(problem.line, problem.count) for problem in cut.problems] == [(12, 1)]
    assert (cut.cpus_said, cut.lost) == (8, {5: [1, 0, 1]})
    assert read(FIELD / "perf-script.txt").cpus == {8, 20, 47}


def test_caches_are_known_by_their_own_name_or_by_their_sizes():
    six = {cache.name: cache.in_slabs for cache in name_caches(read(FIELD / "ftrace-6.x.txt")).caches}
    assert six == {
        "names_cache": True, "filp": True, "?16/16": True, "kmalloc-4096": True, "kmalloc-cg-64": True,
        "kmalloc-640": True, "kmalloc-20480": False,
    }  # fmt: skip


@pytest.mark.parametrize("name", EXPECTED)
@pytest.mark.parametrize("by", ["events", "comm", "pid"])
def test_every_recording_makes_tapes_that_keep_their_promises(name, by):
    load, recording = open_recording(FIELD / f"{name}.txt", by)
    validate(load)
    counts = dict(zip(COUNTED, EXPECTED[name], strict=True))
    beyond = sum(u.count for u in recording.unplaced if "page allocator" in u.reason)
    frees = counts[p.FREE_EVENTS] - counts[p.OLD_FREES] + counts[p.INFERRED]
    assert load.operations() == counts[p.ALLOCATIONS] + frees - beyond


HEAD = "  {comm}-{pid}  [00{cpu}] ..... 1.{at:06d}: "


def test_cgroups_come_from_their_events(tmp_path):
    lines = [
        "cgroup_mkdir: root=0 id=7 level=1 path=/a pid=3",
        "cgroup_attach_task: dst_root=0 dst_id=7 dst_level=1 dst_path=/a pid=3 pid=50 comm=x pid=9",
        "kmem_cache_alloc: call_site=f+0x1 ptr=0000000000000010 bytes_req=8 bytes_alloc=8 gfp_flags=X accounted=true",
        "sched_process_fork: comm=x pid=50 child_comm=x child_pid=51",
        "cgroup_rmdir: root=0 id=7 level=1 path=/a pid=3",
        "kfree: call_site=f ptr=0000000000000010",
    ]
    text = "".join(HEAD.format(comm="x", pid=50, cpu=0, at=i) + line + "\n" for i, line in enumerate(lines))
    load, recording = open_recording(written(tmp_path / "t", text))
    validate(load)
    assert [(e.kind, e.arg) for e in load.events] == [(EV_CREATE_CGROUP, 1), (EV_OFFLINE_CGROUP, 1)]
    assert recording.cgroups == ("root", "/a pid=3")
    assert load.operations() == 2


def test_a_cgroup_of_a_task_goes_offline_when_the_task_has_ended():
    load, recording = open_recording(FIELD / "trace_pipe-lost.txt", "pid")
    assert set(recording.cgroups) >= {"root", "pid 501", "pid 502"}
    assert any(e.kind == EV_OFFLINE_CGROUP for e in load.events)
    assert any("sched_process_exit" in note for note in recording.notes)


@pytest.mark.parametrize(
    "pack", [gzip.compress, lzma.compress, lambda b: zstandard.compress(b[:900]) + zstandard.compress(b[900:])]
)
def test_packed_recordings_are_read_and_damaged_ones_refused(tmp_path, pack):
    packed = pack((FIELD / "ftrace-3.x.txt").read_bytes())
    path = tmp_path / "trace"
    path.write_bytes(packed)
    assert tuple(read(path).counts[list(COUNTED)]) == EXPECTED["ftrace-3.x"]
    path.write_bytes(packed[: len(packed) // 2] + b"\0" * 40)
    with pytest.raises(TraceError):
        read(path)


def test_what_is_no_recording_is_refused_with_what_was_expected(tmp_path):
    with pytest.raises(TraceError, match=r":1: no event .* expected a line of an event"):
        read(written(tmp_path / "t", "hello\nworld\n"))
    with pytest.raises(TraceError, match="every address is 0"):
        read(
            written(
                tmp_path / "t", HEAD.format(comm="x", pid=1, cpu=0, at=1) + "kfree: call_site=f ptr=0000000000000000\n"
            )
        )
    (tmp_path / "t").write_bytes(b"\x17\x08\x44tracing6\0")
    with pytest.raises(TraceError, match=r"trace-cmd.* not (installed|read)|trace-cmd could not read"):
        read(tmp_path / "t")


names = st.text(
    st.characters(codec="utf-8", exclude_characters="\n\r", exclude_categories=("Cs",)), min_size=1, max_size=15
)
events = st.lists(
    st.tuples(
        st.sampled_from(["kmalloc", "kmem_cache_alloc", "kfree", "kmem_cache_free"]),
        names, st.integers(1, 999999), st.integers(0, 9), st.integers(1, 6), st.integers(0, 4096), st.booleans(),
    ),
    min_size=1, max_size=12,
)  # fmt: skip
layouts = st.sampled_from(["ftrace", "no flags", "tgid", "perf", "trace-cmd", "glued", "named"])


def line_of(layout, number, event) -> str:
    kind, comm, pid, cpu, pointer, size, accounted = event
    head = {
        "no flags": f"{comm}-{pid} [00{cpu}] 12.{number:06d}: ",
        "tgid": f"{comm}-{pid}  ( {pid}) [00{cpu}] d..1. 12.{number:06d}: ",
        "perf": f"{comm} {pid}/{pid} [00{cpu}] 12.{number:06d}:   1 kmem:",
    }.get(layout, f"     {comm}-{pid}   [00{cpu}] d..1. 12.{number:06d}: ")
    address = f"0x{pointer:x}00" if layout in ("perf", "trace-cmd") else f"{pointer << 8:016x}"
    text = f"{head}{kind}: {'(f+0x1) ' if layout == 'trace-cmd' else ''}call_site=f+0x1/0x2 [mod] ptr={address}"
    if "free" in kind:
        return text + (" name=some cache\n" if kind == "kmem_cache_free" else "\n")
    glue = "" if layout == "glued" else " "
    name = " name=some cache" if layout == "named" and kind == "kmem_cache_alloc" else ""
    return (
        f"{text}{name} bytes_req={size}{glue}bytes_alloc={size + 8} gfp_flags=GFP_KERNEL|__GFP_ZERO node=-1 newfield=7 "
        f"accounted={str(accounted).lower()}\n"
    )


@settings(max_examples=60, deadline=None)
@given(layouts, events)
def test_what_is_written_in_any_layout_is_read_back(tmp_path_factory, layout, written_events):
    path = tmp_path_factory.mktemp("r") / "t"
    plain = [(k, c.replace("[", "(").strip() or "x", *rest) for k, c, *rest in written_events]
    # A comm that looks like the end of a line's head, or like a comment, is another matter.
    plain = [(k, "x" + c.replace("#", "").replace("CPU", "").strip(), *rest) for k, c, *rest in plain]
    path.write_text("".join(line_of(layout, i, event) for i, event in enumerate(plain)))
    reader = Reader(path)
    rows = np.concatenate([chunk.rows for chunk in reader.chunks()], axis=1)
    found = []
    for row in rows.T:
        kind = s.EVENTS[row[s.KIND]]
        alloc = "free" not in kind
        assert reader.names.text(row[s.SITE]) == "f+0x1/0x2 [mod]"
        found.append((
            kind, reader.names.text(row[s.COMM]), row[s.PID], row[s.CPU], row[s.PTR] >> 8,
            *((row[s.REQ], bool(row[s.ACCOUNTED])) if alloc else (0, False)),
        ))  # fmt: skip
        assert not alloc or row[s.ALLOC] == row[s.REQ] + 8
        named = kind == "kmem_cache_free" or layout == "named" and kind == "kmem_cache_alloc"
        assert reader.names.text(row[s.NAME]) == ("some cache" if named else "")
    assert found == [(*e[:5], *(e[5:] if "free" not in e[0] else (0, False))) for e in plain]
    assert not reader.problems


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(EXPECTED)), st.data())
def test_a_mutated_recording_is_read_or_refused_never_more(tmp_path_factory, name, data):
    content = bytearray((FIELD / f"{name}.txt").read_bytes())
    for _ in range(data.draw(st.integers(1, 20))):
        at = data.draw(st.integers(0, len(content) - 1))
        if data.draw(st.booleans()):
            content[at] = data.draw(st.integers(0, 255))
        else:
            del content[at : at + data.draw(st.integers(1, 60))]
            content = content or bytearray(b"x")
    path = tmp_path_factory.mktemp("m") / "t"
    path.write_bytes(content)
    try:
        load, _ = open_recording(path, data.draw(st.sampled_from(["events", "comm", "pid"])))
    except TraceError as error:
        assert str(path) in str(error)
    else:
        validate(load)


def test_a_recording_of_ours_printed_as_a_trace_of_6_18_holds_what_its_rows_hold():
    """Where the folder of shared recordings is not there, this is not compared."""
    path = FIELD.parents[2] / "shared" / "data" / "field" / "ftrace-6.18-kmt_A.txt"
    if not path.is_file():
        path = FIELD.parents[3] / "shared" / "data" / "field" / path.name
    if not path.is_file():
        pytest.skip(f"{path} is not there")
    expected = (1893, 1297518, 1314776, 0, 1615, 23, 45, 13, 13, 310, 151760)
    assert tuple(read(path).counts[list(COUNTED)]) == expected
    load, recording = open_recording(path)
    validate(load)
    assert recording.cgroups == ("root", "/kmt_A")
    assert any((tape >> 16 & 0xFFFFF == 1).any() for tape in load.tapes)
