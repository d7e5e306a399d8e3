"""Files that are missing, cut, damaged, too large or of another kind."""

import pytest
import zstandard

from scenarios.traces import TraceError, linux316, open_trace
from scenarios.traces import source as module

ROWS = ["0,0,0,C,,1,,"] + [f"{n},0,0,A,{n:x}000,1,1,0" for n in range(1, 3000)]
TEXT = "".join(f"{row}\n" for row in [linux316.HEADER, *ROWS]).encode()


def refused(path, **how):
    with pytest.raises(TraceError) as caught:
        open_trace(path, **how)
    return caught.value


def test_packed_and_plain_are_the_same(write316):
    plain, _ = open_trace(write316(ROWS))
    packed, _ = open_trace(write316(ROWS, pack=True))
    assert (plain.tapes[0] == packed.tapes[0]).all() and len(plain.tapes[0]) == len(ROWS) + 1 + 1


def test_several_frames(write316, tmp_path):
    write316(ROWS)
    half = len(TEXT) // 2
    frames = b"".join(zstandard.ZstdCompressor().compress(part) for part in (TEXT[:half], TEXT[half:]))
    (tmp_path / "trace.csv.zst").write_bytes(frames)
    load, _ = open_trace(tmp_path / "trace.csv.zst")
    assert load.operations() == len(ROWS) - 1


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("pack", [False, True])
def test_cut_anywhere(write316, share, pack):
    path = write316(ROWS, pack=pack)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    error = refused(path)
    assert "truncated" in str(error) or "empty" in str(error)
    assert error.line >= 1


def test_rows_missing_at_the_end(write316):
    error = refused(write316(ROWS[:-5], {"n_events": len(ROWS)}))
    assert "the file ends after 2995 of 3000 events" in str(error) and error.line == 2996


def test_more_rows_than_recorded(write316):
    error = refused(write316(ROWS, {"n_events": 10}))
    assert "more events than the 10" in str(error) and error.line == 12


def test_damaged_stream(write316):
    path = write316(ROWS, pack=True)
    whole = bytearray(path.read_bytes())
    whole[20:40] = bytes(20)
    path.write_bytes(whole)
    assert isinstance(refused(path), TraceError)


def test_missing_files(write316, tmp_path):
    assert "cannot be read" in str(refused(tmp_path / "none.csv"))
    assert "cannot be read" in str(refused(tmp_path))
    path = write316(ROWS)
    (tmp_path / "trace.meta.json").unlink()
    assert "metadata trace.meta.json cannot be read" in str(refused(path))


@pytest.mark.parametrize("text, line", [("{\n]", 2), ("[]", 0), ("[" * 100_000, 0)])
def test_metadata_that_is_none(write, text, line):
    error = refused(write(linux316.HEADER, ROWS, text))
    assert "no JSON" in str(error) and error.line == line and error.path.endswith("trace.meta.json")


@pytest.mark.parametrize(
    "raw, problem",
    [
        (b"kernel,cache,step,do\n", "table of steps"),
        (b"a,b\n1,2\n", "unknown header"),
        (b"\xff\xfe\n", "unknown header"),
    ],
)
def test_other_files(write, raw, problem):
    error = refused(write("", [], None, raw=raw))
    assert problem in str(error) and error.line == 1


def test_limits(write316, monkeypatch):
    path = write316(ROWS, pack=True)
    assert "larger than 1000 bytes unpacked" in str(refused(path, limit=1000))
    monkeypatch.setattr(module, "LINE_LIMIT", 100)
    path = write316([*ROWS, "x" * 1_000_000], raw=TEXT + b"x" * 1_000_000 + b"\n")
    error = refused(path)
    assert "a line longer than 100 bytes" in str(error)


def test_progress(write316):
    seen = []
    path = write316(ROWS)
    open_trace(path, progress=lambda done, size: seen.append((done, size)))
    size = path.stat().st_size
    assert seen[-1] == (size, size) and seen == sorted(seen) and len(seen) < 120
