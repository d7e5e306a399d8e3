"""What the system refuses ends a command with a sentence, whichever name, number or file it came by."""

import datetime
import json
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner
from until import PATIENCE

from stress.claims.keeping import keep
from stress.commands.app import app
from stress.commands.guarded import command_line
from stress.process import files
from stress.process.errors import DamagedRun, UsageError
from stress.process.failures import as_stress_error, shortened
from stress.process.files import read_input, write_atomically
from stress.result.files import encode

ROOT = Path(__file__).resolve().parents[2]
LONG = "a" * 300


class Said(msgspec.Struct):
    path: Path


def stress(*arguments: str, **kwargs) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "stress", *arguments]
    return subprocess.run(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, timeout=PATIENCE, **kwargs)


@pytest.mark.parametrize(
    "typed",
    [
        "results show NAME", "report NAME", "compare NAME last", "explore --like NAME", "replay NAME", "conform NAME",
        "run --trace NAME", "run --out NAME", "simulate --page NAME", "simulate --machine NAME",
        "machine --out NAME.toml", "calibrate --samples NAME",
        "bench --no-peers --library mimalloc=NAME", "results --out NAME",
        "claims --out NAME", "explore R12 --out NAME", "report last --out NAME",
        "results prune --keep 1 --out NAME",
    ],
)  # fmt: skip
def test_a_name_of_300_letters_is_an_error_of_usage(typed):
    done = CliRunner().invoke(app, [word.replace("NAME", LONG) for word in typed.split()])
    assert done.exit_code == 2 and isinstance(done.exception, SystemExit), done.exception
    assert done.stderr.startswith("error: ") and "aaa" in done.stderr and done.stdout == ""


@pytest.mark.parametrize("typed", ["replay", "report", "results show", "conform", "run --trace", "simulate --machine"])
@pytest.mark.parametrize("file", ["pipe", "/dev/zero", "loop", "."])
def test_what_is_no_plain_file_is_not_read(typed, file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    Path("loop").symlink_to("loop")
    done = CliRunner().invoke(app, [*typed.split(), file])
    assert done.exit_code == 2 and isinstance(done.exception, SystemExit), done.exception


@pytest.mark.parametrize(
    "typed", ["import pipe", "inspect pipe", "inspect slabinfo --cgroups pipe", "predict pipe", "inspect ."]
)
def test_a_pipe_that_nobody_writes_into_is_refused(typed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(files, "WRITER_S", 0.01)
    os.mkfifo("pipe")
    Path("slabinfo").write_bytes((ROOT / "tests/data/field/slabinfo-2.1-slub.txt").read_bytes())
    done = CliRunner().invoke(app, typed.split())
    assert done.exit_code == 2 and isinstance(done.exception, SystemExit), done.exception
    assert ("nobody has begun to write into this pipe" in done.stderr) == ("pipe" in typed)


def test_a_pipe_s_writer_may_come_later(tmp_path, monkeypatch):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    monkeypatch.setattr(files, "WRITER_S", PATIENCE)
    with subprocess.Popen([sys.executable, "-c", f"open({str(path)!r}, 'wb').write(b'later')"]):
        with files.open_input(path) as stream:
            assert stream.read() == b"later"


def test_a_pipe_s_writer_may_write_later(tmp_path, monkeypatch):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    monkeypatch.setattr(files, "WRITER_S", 0.01)
    writer = os.open(path, os.O_RDWR)
    with files.open_input(path) as stream:
        os.write(writer, b"later")
        os.close(writer)
        assert stream.read() == b"later"


def test_json_nested_too_deep_is_no_result_nor_schedule(tmp_path):
    path = tmp_path / "result.json"
    path.write_text("[" * 100_000)
    for command in ("replay", "report", "explore --like"):
        done = CliRunner().invoke(app, [*command.split(), str(path)])
        assert done.exit_code == 2 and str(path) in done.stderr, done.exception
    done = CliRunner().invoke(app, ["results", "--out", str(tmp_path.parent)])
    assert done.exit_code == 0


@pytest.mark.parametrize(
    ("error", "kind", "says"),
    [
        (FileNotFoundError(2, "No such file or directory", "x"), UsageError, "x: No such file"),
        (OSError(28, "No space left on device", "x"), DamagedRun, "x: No space"),
        (OSError(11, "Resource temporarily unavailable"), DamagedRun, "the system refused"),
        (MemoryError(), DamagedRun, "memory is short"),
        (RuntimeError("can't start new thread"), DamagedRun, "ulimit"),
        (ValueError("embedded null byte"), UsageError, "null byte"),
        (ValueError("Exceeds the limit (4300 digits) for integer string conversion"), UsageError, "too many digits"),
        (ImportError("libblas.so: failed to map segment from shared object"), DamagedRun, "memory is short"),
        (RecursionError("maximum recursion depth exceeded"), UsageError, "nests deeper"),
    ],
)
def test_sentences(error, kind, says):
    said = as_stress_error(error)
    assert type(said) is kind and says in str(said)


def test_a_fault_of_the_program_keeps_its_traceback():
    assert as_stress_error(KeyError("x")) is None and as_stress_error(RuntimeError("x")) is None


def test_names_that_cannot_be_printed():
    assert shortened(b"\xff") == "\\xff" and shortened("a\nb") == "a\\nb" and len(shortened(LONG)) < 130


def test_a_device_is_written_to_and_stays(tmp_path):
    link = tmp_path / "nowhere"
    link.symlink_to("/dev/null")
    write_atomically(link, b"x")
    assert link.is_symlink() and Path("/dev/null").is_char_device()
    longest = tmp_path / ("b" * 255)
    write_atomically(longest, b"x")
    assert read_input(longest) == b"x"


def test_a_full_disk_under_stdout():
    with open("/dev/full", "w") as full:
        for typed in (["list"], ["--help"], ["list", "races"]):
            done = stress(*typed, stdout=full)
            assert done.returncode == 3 and done.stderr.endswith("No space left on device\n"), done.stderr
            assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1


def test_a_full_disk_under_stderr_changes_no_exit_status():
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "stress"]
        for typed in (["list", "what"], ["campaign", "resume"], ["results", "show", "no-such-run"]):
            done = subprocess.run([*command, *typed], cwd=ROOT, stdout=subprocess.PIPE, stderr=full, timeout=PATIENCE)
            assert (done.returncode, done.stdout) == (2, b"")


@pytest.mark.parametrize(
    "where", ["stress.commands.app.app", "stress.report.render.redraw", "typer.core.TyperGroup.make_context"]
)
def test_ctrl_c_anywhere_is_a_sentence_and_the_next_one_is_ignored(where):
    """Twice: while modules are loaded, in a command's body, and while its options are read."""
    program = f"""
import os, signal, sys
from unittest import mock
import stress.__main__, stress.commands.app, stress.report.render
def impatient(*_, **__):
    os.kill(os.getpid(), signal.SIGINT)
    signal.pause()
def once_more(text, file):
    os.kill(os.getpid(), signal.SIGINT)
    file.write(text + chr(10))
sys.argv = ["stress", "report", "last"]
with mock.patch({where!r}, impatient), mock.patch("builtins.print", once_more):
    stress.__main__.main()
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE)
    assert (done.returncode, done.stderr) == (3, "interrupted before there was anything to report\n")


def test_claims_that_have_no_room_leave_no_folder(tmp_path, monkeypatch):
    def second_is_too_much(path, data):
        if path.name == "b":
            raise OSError(28, "No space left on device")
        path.write_bytes(data)

    monkeypatch.setattr("stress.claims.keeping.write_atomically", second_is_too_much)
    with pytest.raises(UsageError, match="No space"):
        keep(tmp_path, datetime.datetime(2026, 1, 1), "claims", {"a": b"1", "b": b"2"})
    assert not list(tmp_path.iterdir())


def test_a_number_of_thousands_of_digits_is_an_error_of_usage():
    done = CliRunner().invoke(app, ["claims", "9" * 5000])
    assert done.exit_code == 2 and "too many digits" in done.stderr, done.exception


@pytest.mark.parametrize("closed", [(1,), (2,), (0, 1, 2)])
def test_streams_that_are_closed(closed):
    redirections = " ".join(f"{number}>&-" for number in closed)
    command = f"{sys.executable} -m stress list {redirections}"
    done = subprocess.run(["sh", "-c", command], cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_command_line_that_is_no_utf8_can_be_written_into_a_result(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["stress", "run", "--out", os.fsdecode(b"r\xff")])
    assert command_line() == "python -m stress run --out 'r\\xff'"
    assert json.loads(encode(Said(Path(os.fsdecode(b"r\xff"))))) == {"path": "r\\xff"}
