"""A program contains the code of its own allocator only."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from until import PATIENCE

ROOT = Path(__file__).resolve().parents[2]
# Whoever compiles the program, which other tests need too, leaves beside it what it is made of.
COMPILED = """
import shm.native
from shm import lean
modules, run_pass = set(), lean.InnerLowering.run_pass
def remember(self, state):
    modules.add(state.func_id.modname)
    return run_pass(self, state)
lean.InnerLowering.run_pass = remember
from allocators.designs import DESIGNS
from stress.engine import counting_main
program = "slob", DESIGNS["v1"].features("slob") | {"STATS"}
counting_main.compile(*program)
kept = counting_main.folder(*program) / "modules"
if modules:
    kept.write_text(" ".join(sorted(modules)))
print(kept.read_text() if kept.exists() else "")
"""


def compiled_modules(environment: Mapping[str, str]) -> list[str]:
    """The modules whose functions the program has, none if somebody compiled it who did not look."""
    done = subprocess.run(
        [sys.executable, "-c", COMPILED], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.xdist_group("compiles")
def test_slob_compiles_nothing_of_the_others(tmp_path):
    modules = compiled_modules(os.environ) or compiled_modules(os.environ | {"SLAB_STRESS_CACHE": str(tmp_path)})
    assert "allocators.slob.alloc" in modules and "allocators.slob.free" in modules
    assert not [
        m
        for m in modules
        if m.startswith(("allocators.slub", "allocators.slab.", "allocators.memcg.objcg", "allocators.memcg.cache_ref"))
    ]
