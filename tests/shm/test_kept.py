"""Functions that a process compiled serve programs that other processes compile."""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path

import pytest
from llvmlite import binding
from python_code import forked
from small_program import memory, small_program

from shm import kept

FIRST, SECOND, THIRD = ({"STATS"}, {"STATS", "THIRDS"}, {"STATS", "PREEMPT"})
ITS_OWN = {"every_operation", "_mixed", "_rarely", "_turn", "_loud", "_mark"}  # of no sources of ours: not kept
COMPILED = """
import json, sys
import small_program
from shm import reuse
words = small_program.memory(small_program.native, frozenset(sys.argv[1:]))
print(json.dumps([words, reuse.compiled]))
"""

ASSEMBLED = """
import json, sys
import small_program
of = [small_program.native.compile("bare", frozenset({feature})).inspect_asm() for feature in sys.argv[1:]]
print(json.dumps([code for (code,) in map(dict.values, of)]))
"""


def compiled(cache: Path, features: set[str]) -> tuple[set[str], bool]:
    """A process of its own compiles the small program, and plays it: which functions were compiled for that, and does
    it leave what the interpreter leaves?
    """
    words, names = json.loads(forked(COMPILED, cache, *sorted(features)))
    return set(names), words == memory(small_program, frozenset(features))


def instructions(cache: Path, *programs: str) -> list[list[str]]:
    """The machine code of these timed programs, which a process of its own compiles one after another."""
    every = json.loads(forked(ASSEMBLED, cache, *programs))
    lines = [[line for line in code.splitlines() if re.match(r"\t[^.]", line)] for code in every]
    named = re.compile(r'\$"[^"]*"|\$?[\w.$]*(\.[0-9a-f]{16}|_ZN\w+)\b')
    return [[named.sub("name", line) for line in code] for code in lines]


def altered(archive: Path, function: str, old: str, new: str) -> bytes:
    """An archive of which one function's code does something else."""
    with zipfile.ZipFile(archive) as kept_here:
        entries = {name: kept_here.read(name) for name in kept_here.namelist()}
    symbols = [symbol for symbol, *_ in json.loads(entries[kept.INDEX])]
    number = str(next(i for i, symbol in enumerate(symbols) if f".{function}." in symbol))
    text = str(binding.parse_bitcode(entries[number]))
    assert old in text
    entries[number] = binding.parse_assembly(text.replace(old, new)).as_bitcode()
    with zipfile.ZipFile(archive, "w") as other:
        for name, entry in entries.items():
            other.writestr(name, entry)
    return archive.read_bytes()


@pytest.mark.xdist_group("compiles")
def test_another_process_takes_what_was_compiled(tmp_path):
    first, right = compiled(tmp_path, FIRST)
    assert right and first > ITS_OWN | {"next_random", "ring_push", "smp_call_mask"}
    (archive,) = tmp_path.glob("*/functions/*.zip")
    whole = archive.read_bytes()
    altered(archive, "next_random", ", 20\n", ", 21\n")
    second, right = compiled(tmp_path, SECOND)
    assert second == ITS_OWN and not right, "it takes the others, and so what was altered"
    assert [archive] == list(archive.parent.iterdir()), "and has none to keep"
    # What asks for PREEMPT is compiled for it. Archives that broke off, or have other bytes within, count for nothing.
    (archive.parent / "0.zip").write_bytes(whole[: len(whole) // 2])
    (archive.parent / "1.zip").write_bytes(whole[:100] + bytes(len(whole) // 2) + whole[100 + len(whole) // 2 :])
    archive.write_bytes(whole)
    third, right = compiled(tmp_path, THIRD)
    assert right and "ring_push" not in third and ITS_OWN < third < first


@pytest.mark.xdist_group("compiles")
def test_timed_code_is_the_same_whatever_was_compiled_before(tmp_path):
    (alone,) = instructions(tmp_path / "a", "THIRDS")
    other, after = instructions(tmp_path / "b", "X", "THIRDS")
    assert alone == after != other and len(alone) > 500


def test_a_folder_that_cannot_be_written_stops_nobody(tmp_path, monkeypatch):
    class Library:
        _linking_libraries = ()

        def bitcode(self) -> bytes:
            return b"code"

    takes = kept.signature(kept.types.none, kept.types.int64)
    monkeypatch.setattr(kept.reuse, "made", [kept.reuse.Function("f.0", {}, (), takes, Library())] * 2)
    (tmp_path / "file").touch()
    kept.keep(tmp_path / "file")
    assert kept.reuse.made == [] and [path.name for path in tmp_path.iterdir()] == ["file"]


def test_what_is_written_is_read():
    words = [None, "int64", "bool", "none", [-3], [True]]
    assert kept._words(kept._shape(words)) == words
    with pytest.raises(ValueError, match="no word for float64"):
        kept._words((kept.types.float64,))
