"""One source, two engines: how functions reach Numba, and where compiled code is kept.

`dual` marks a function that runs as plain Python when Python calls it and is compiled when compiled
code calls it, so both engines live in one process from one import.

**Compile time is a budget** (allocators x designs x statistics): Numba's stock pipeline optimises
each function once for itself and again inside every caller, and makes it callable from Python.
Functions marked `dual` are only ever called from compiled code, so they go through `_Inner`:
the passes that our subset of Python needs, and no optimisation before the entry point, where LLVM
sees the whole program. Measured: half the compile time, same machine code.

`entry` compiles a program's entry point and keeps it on disk. Numba's cache does not notice changes
in *other* files, so the folder's name is a hash of all sources that compiled code can come from.
"""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
import sys
from pathlib import Path

import numba
from numba.core import codegen
from numba.core.compiler import CompilerBase, _LowerResult
from numba.core.compiler_machinery import PassManager, register_pass
from numba.core.typed_passes import (
    AnnotateTypes,
    IRLegalization,
    NativeLowering,
    NoPythonBackend,
    NopythonTypeInference,
    PreLowerStripPhis,
)
from numba.core.untyped_passes import FixupArgs, IRProcessing, ReconstructSSA, TranslateByteCode
from numba.extending import register_jitable

# Typing nests as deep as the call tree, with some 25 Python frames a level.
sys.setrecursionlimit(max(sys.getrecursionlimit(), 20_000))

_SOURCES = ("shm", "allocators", "scenarios", "stress")


class _InnerLibrary(codegen.JITCodeLibrary):
    """A library that is only ever linked into others: neither optimised nor emitted by itself."""

    def _optimize_functions(self, ll_module):
        ll_module.data_layout = self._codegen._data_layout

    def _optimize_final_module(self):
        pass

    def _finalize_final_module(self):
        self._finalize_dynamic_globals()
        self._finalized = True


@register_pass(mutates_CFG=True, analysis_only=False)
class _InnerLowering(NativeLowering):
    _name = "inner_lowering"

    def run_pass(self, state):
        state.library = _InnerLibrary(state.targetctx.codegen(), state.func_id.func_qualname)
        state.library.enable_object_caching()
        state.flags = state.flags.copy()
        state.flags.no_compile = state.flags.no_cfunc_wrapper = state.flags.no_cpython_wrapper = True
        super().run_pass(state)
        low = state["cr"]
        # Callers look the function up by its entry point; any unique builtin will do as the key.
        key = [].append
        state.targetctx.insert_user_function(key, low.fndesc, [state.library])
        state.reload_init.extend(state.library._reload_init)
        state["cr"] = _LowerResult(low.fndesc, low.call_helper, cfunc=key, env=low.env)
        return True


class _Inner(CompilerBase):
    """The passes that straight integer code needs."""

    def define_pipelines(self):
        manager = PassManager("inner")
        for step in (
            TranslateByteCode,
            FixupArgs,
            IRProcessing,
            ReconstructSSA,
            NopythonTypeInference,
            PreLowerStripPhis,
            IRLegalization,
            AnnotateTypes,
            _InnerLowering,
            NoPythonBackend,
        ):
            manager.add_pass(step, step._name)
        manager.finalize()
        return [manager]


def dual(function):
    """Mark a function for both engines; returns it unchanged, callable as plain Python."""
    return register_jitable(pipeline_class=_Inner, _nrt=False, error_model="numpy")(function)


def dual_inline(function):
    """As `dual`, for the few functions on every operation's path: always inlined into their caller."""
    return register_jitable(pipeline_class=_Inner, _nrt=False, error_model="numpy", forceinline=True)(function)


def source_hash() -> str:
    """Hash of every source file compiled code can come from, of Numba's version and of the CPU's name."""
    digest = hashlib.sha256()
    digest.update(f"{numba.__version__} {sys.version_info[:3]}".encode())
    root = Path(__file__).resolve().parent.parent
    for folder in _SOURCES:
        for path in sorted((root / folder).rglob("*.py")):
            digest.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


@functools.cache
def cache_folder() -> Path:
    """The folder of compiled code for exactly these sources; made if missing, old ones are pruned.

    SLAB_STRESS_CACHE overrides the parent folder (default: the user's cache folder).
    """
    import platformdirs

    parent = Path(os.environ.get("SLAB_STRESS_CACHE") or platformdirs.user_cache_dir("slab-stress"))
    folder = parent / source_hash()
    folder.mkdir(parents=True, exist_ok=True)
    os.utime(folder)
    kept = sorted((p for p in parent.iterdir() if p.is_dir()), key=lambda p: p.stat().st_mtime, reverse=True)
    for old in kept[6:]:
        shutil.rmtree(old, ignore_errors=True)
    return folder


def entry(function):
    """Compile `function` as an entry point, lazily, with its code kept in `cache_folder`."""
    numba.config.CACHE_DIR = str(cache_folder())
    return numba.njit(function, cache=True, nogil=True, error_model="numpy")
