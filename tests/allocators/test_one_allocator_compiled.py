"""A program contains the code of its own allocator only."""

from __future__ import annotations

import pytest
from machine_code import plain_name

from allocators.designs import DESIGNS
from shm import lean
from shm.entry import Entry
from stress.engine import counting_main

PROGRAM = "slob", DESIGNS["v1"].features("slob") | {"STATS"}


@pytest.fixture
def linked(monkeypatch) -> set[str]:
    """The functions of programs that are compiled from now on, before LLVM drops or inlines any."""
    found: set[str] = set()
    optimise = lean.EntryLibrary._optimize_final_module

    def remember(library):
        found.update(plain_name(f.name) for f in library._final_module.functions if not f.is_declaration)
        optimise(library)

    monkeypatch.setattr(lean.EntryLibrary, "_optimize_final_module", remember)
    return found


@pytest.mark.xdist_group("compiles")
def test_slob_compiles_nothing_of_the_others(linked, monkeypatch, tmp_path):
    """Other tests need this program too: theirs, unless somebody was faster."""
    Entry(counting_main.function).compile(*PROGRAM)
    if not linked:
        monkeypatch.setattr("shm.entry.cache_folder", lambda: tmp_path)
        Entry(counting_main.function).compile(*PROGRAM)
    assert {"allocators.slob.alloc.slob_alloc", "allocators.slob.free.slob_free"} <= linked
    assert not [
        name
        for name in linked
        if name.startswith(
            ("allocators.slub.", "allocators.slab.", "allocators.memcg.obj", "allocators.memcg.cache_ref.")
        )
    ]
