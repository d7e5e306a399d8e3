"""Numba's internals are looked for, what is missing is named, and Numba's own pipeline means the same."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from python_code import python
from small_program import FEATURES, memory, small_program

from shm.numba_internals import Probes, lean, needed


def run_small_program(cache: Path, before: str = "", **environment: str) -> tuple[str, bool, list[list[int]], str]:
    """The pipeline's module, whether the lean one was imported, memory for each set of features, what was said."""
    done = python(
        f"{before}\nimport runpy\nrunpy.run_module('small_program', run_name='__main__')", cache, **environment
    )
    assert done.returncode == 0, done.stderr
    return *json.loads(done.stdout), done.stderr


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> Path:
    """Each pipeline compiles once, whichever test asks first."""
    return tmp_path_factory.mktemp("cache")


@pytest.mark.xdist_group("compiles")
def test_both_pipelines_leave_the_same_memory(cache):
    interpreted = [memory(small_program, features) for features in FEATURES]
    assert interpreted[0] != interpreted[1]
    assert run_small_program(cache) == ("shm.lean", True, interpreted, "")
    # The same cache: each pipeline has code of its own there.
    assert run_small_program(cache, SLAB_STRESS_PLAIN_NUMBA="1") == ("shm.features_pass", False, interpreted, "")
    assert len([folder for folder in cache.iterdir() if folder.is_dir()]) == 2


@pytest.mark.xdist_group("compiles")
def test_without_an_internal_the_plain_pipeline_is_taken_and_said(cache):
    """As a version of Numba whose `finalize` takes more would be."""
    changed = """
from numba.core.codegen import JITCodeLibrary
JITCodeLibrary.finalize = lambda self, more=None, finalize=JITCodeLibrary.finalize: finalize(self)
"""
    pipeline, leaned, words, said = run_small_program(cache, changed)
    assert (pipeline, leaned) == ("shm.features_pass", False)
    assert words == [memory(small_program, features) for features in FEATURES]
    assert said.count("numba.core.codegen.JITCodeLibrary.finalize()") == 1, "once, not for each program"
    assert "gone or changed" in said and "llvmlite" in said


def test_what_cannot_be_done_without_is_named(tmp_path):
    done = python(
        "import numba.core.cgutils\ndel numba.core.cgutils.get_or_insert_function\nimport shm.atomics", tmp_path
    )
    last = done.stderr.splitlines()[-1]
    assert done.returncode == 1 and last.startswith("ImportError: numba ")
    assert "numba.core.cgutils.get_or_insert_function" in last and "install a numba of" in last


def test_nothing_is_missing_here():
    assert (needed.gone, lean.gone) == ([], [])


class Library:
    kept = 1

    def __init__(self, codegen):
        self._modules = [codegen]

    def finalize(self, module, more=None):
        pass


def test_probes_tell_what_is_gone_from_what_is_there():
    probes, library = Probes(), f"{__name__}.Library"
    assert probes.name(library) is Library and probes.module(__name__) is sys.modules[__name__]
    probes.method(f"{library}.finalize", "module")
    probes.method(f"{library}.finalize", "module", "more", more=False)
    probes.attributes(library, "kept", "_modules", "finalize")
    probes.holds("one", lambda: True)
    assert probes.gone == []
    assert probes.name(f"{__name__}.Gone") is None and probes.module("shm.gone") is None
    probes.method(f"{library}.finalize", "more")
    probes.method(f"{library}.finalize", "module", more=False)
    probes.method(f"{library}.link", "module")
    probes.attributes(library, "_linked")
    probes.holds("one", lambda: False)
    probes.holds("none", lambda: 1 // 0)
    assert probes.gone == [
        *(f"{__name__}.Gone", "shm.gone"),
        *(f"{library}.{name}" for name in ("finalize(more)", "finalize(module)", "link(module)", "_linked")),
        *("one", "none"),
    ]
