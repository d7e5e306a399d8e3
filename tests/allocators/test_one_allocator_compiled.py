"""A program contains the code of its own allocator only."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
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
counting_main.compile("slob", DESIGNS["v1"].features("slob") | {"STATS"})
print(*sorted(modules))
"""


@pytest.mark.xdist_group("compiles")
def test_slob_compiles_nothing_of_the_others(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", COMPILED],
        cwd=ROOT,
        env=os.environ | {"SLAB_STRESS_CACHE": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    modules = done.stdout.split()
    assert "allocators.slob.alloc" in modules and "allocators.slob.free" in modules
    assert not [
        m
        for m in modules
        if m.startswith(("allocators.slub", "allocators.slab.", "allocators.memcg.objcg", "allocators.memcg.cache_ref"))
    ]
