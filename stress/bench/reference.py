"""The reference in C (c/reference.c beside this file, and what it includes): generate its header, compile it, call it.

The header carries the word offsets of every struct and the constants that both programs share, so
the C program plays in the very segment that ours plays in.
"""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from allocators.core import kmem_cache, page_alloc, page_pair, world
from allocators.memcg import memcontrol
from allocators.slub import state
from scenarios import tape
from shm import locks, machine, waiting
from stress import engine
from stress.process.errors import DamagedRun

SOURCE = Path(__file__).resolve().with_name("c") / "reference.c"
FLAGS = ("-std=gnu11", "-O2", "-march=native", "-shared", "-fPIC", "-Wall")

_STRUCTS = (
    machine.MACHINE,
    machine.CPU,
    locks.LOCK_COUNT,
    world.WORLD,
    world.OPS,
    page_alloc.PAGE,
    page_alloc.ZONE,
    kmem_cache.CACHE,
    kmem_cache.NODE,
    memcontrol.MEMCG,
    kmem_cache.KMEM_CACHE_CPU,
    state.STAT,
    engine.RUN,
    engine.PLAY,
    engine.SECTION,
)
_CONSTANTS = {
    locks: ("LOCK_COUNTS", "LIST_LOCK", "ZONE_LOCK"),
    waiting: ("PATIENCE", "NAP"),
    world: ("WORLD_AT", "MEM_MAP", "OPS_AT", "PAGE_SHIFT"),
    page_alloc: ("MAX_ORDER", "KIND_BUDDY", "KIND_SLAB", "KIND_FREE_TAIL", "KIND_TAIL"),
    kmem_cache: ("SLAB_DESTROY_BY_RCU", "SLAB_NO_CPU_PARTIAL"),
    memcontrol: ("SLOT_PENDING",),
    state: ("TID_STEP",),
    page_pair: ("FROZEN",),
    tape: ("OP_END", "OP_ALLOC", "OP_FREE", "OP_ROUND", "OP_WAIT", "OP_SECTION_BEGIN", "OP_SECTION_END", "OP_CUT"),
    engine: ("SLOT_FAILED",),
}

Play = Callable[[int, int, int], int]  # address of word 0, CPU, RUN -> operations played


class NoCompiler(Exception):
    """The C columns cannot be had; the text says why."""


def header() -> str:
    """Offsets as ``PAGE_pair``, sizes as ``SIZEOF_PAGE``, constants under their names."""
    lines = ["#pragma once", "#include <stdint.h>"]
    for struct in _STRUCTS:
        name = type(struct).__name__
        offsets = [f"{name}_{field} = {offset}" for field, offset in zip(struct._fields, struct) if field != "SIZE"]
        lines.append(f"enum {{ {', '.join(offsets)}, SIZEOF_{name} = {struct.SIZE} }};")
    for module, names in _CONSTANTS.items():
        lines += [f"#define {name} ((int64_t){getattr(module, name)})" for name in names]
    return "\n".join(lines) + "\n"


def compile_reference(*, stats: bool = False) -> Play:
    """The reference's `play` as a function; stats: with the counters of the feature STATS.

    Raises NoCompiler when there is no C compiler, DamagedRun when the compiler refuses the source.
    """
    compiler = shutil.which("cc")
    if compiler is None:
        raise NoCompiler("no C compiler")
    # The library stays mapped after its file is gone.
    with tempfile.TemporaryDirectory(prefix="slab-stress-") as folder:
        layout, library = Path(folder) / "layout.h", Path(folder) / "reference.so"
        layout.write_text(header())
        command = [
            compiler,
            *FLAGS,
            *(["-DSTATS"] if stats else []),
            "-include",
            str(layout),
            "-o",
            str(library),
            str(SOURCE),
        ]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise DamagedRun(f"the reference does not compile:\n{done.stderr}")
        function = ctypes.CDLL(str(library)).play
    function.argtypes = [ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64]
    function.restype = ctypes.c_int64
    return function
