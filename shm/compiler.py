"""One source, two engines: how functions reach Numba, and where compiled code is kept.

`dual` marks a function that runs as plain Python when Python calls it and is compiled when compiled
code calls it, so both engines live in one process from one import.

**Compile time is a budget** (allocators x designs x statistics): Numba's stock pipeline optimises
each function once for itself and again inside every caller, and makes it callable from Python.
Functions marked `dual` are only ever called from compiled code, so they go through `_Inner`:
the passes that our subset of Python needs, and no optimisation before the entry point, where LLVM
sees the whole program. Measured: half the compile time, same machine code.

`entry` compiles a program's entry point and keeps it on disk. Numba's cache does not notice changes
in *other* files, so the folder's name is a hash of all sources that compiled code can come from:
shm, allocators, the tapes' format and the engine.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import logging
import os
import shutil
import stat
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import llvmlite
import numba
from llvmlite import binding
from numba.core import codegen, ir, ir_utils
from numba.core.compiler import CompilerBase, DefaultPassBuilder, _LowerResult
from numba.core.compiler_machinery import FunctionPass, PassManager, register_pass
from numba.core.typed_passes import (
    IRLegalization,
    NativeLowering,
    NoPythonBackend,
    NopythonTypeInference,
    PreLowerStripPhis,
)
from numba.core.untyped_passes import DeadBranchPrune, FixupArgs, IRProcessing, ReconstructSSA, TranslateByteCode
from numba.extending import register_jitable

from shm.sources import DIGEST, source_digest

log = logging.getLogger(__name__)

KEPT_FOLDERS = 6  # of compiled code, the newest, that in use among them
KEPT_SECONDS = 24 * 3600  # a folder that was used within them is not pruned
PRUNE_LOCK = ".slab-stress-prune.lock"
# The marker by which a folder is known as ours to delete: https://bford.info/cachedir/
_TAG = "CACHEDIR.TAG"
_TAG_TEXT = """\
Signature: 8a477f597d28d172789f06886806bc55
# Made by slab-stress: compiled code, made again when it is missing. slab-stress deletes such folders when they are old.
"""

# Typing nests as deep as the call tree, with some 25 Python frames a level.
_TYPING_DEPTH = 20_000
_compiling = threading.RLock()  # held while process-wide settings are ours

_SOURCES = ("shm/*.py", "allocators/**/*.py", "scenarios/tape.py", "stress/engine/*.py", "stress/bench/programs.py")


class _InnerLibrary(codegen.JITCodeLibrary):
    """A library that is only ever linked into others: neither optimised, emitted nor linked by itself.

    It remembers what it calls; only the entry point that asks for it links everything, once.
    """

    out_of_line = False  # True: never inlined into a caller

    def _optimize_functions(self, ll_module):
        ll_module.data_layout = self._codegen._data_layout
        if self.out_of_line:
            for function in ll_module.functions:
                if not function.is_declaration:
                    function.add_function_attribute("noinline")

    def finalize(self):
        self._raise_if_finalized()
        self._finalize_dynamic_globals()
        self._finalized = True

    def _closure(self) -> list:
        """This library and everything it calls, callers before callees (reverse postorder).

        The order matters: LLVM's linker drops a linkonce function that nothing refers to yet.
        """
        order, seen = [], set()

        def visit(library) -> None:
            seen.add(id(library))
            for callee in library._linking_libraries:
                if id(callee) not in seen:
                    visit(callee)
            order.append(library)

        visit(self)
        return order[::-1]

    def _get_module_for_linking(self):
        whole = super()._get_module_for_linking().clone()
        for library in self._closure()[1:]:
            # Its own functions only (an already compiled one brings what it calls along).
            whole.link_in(codegen.JITCodeLibrary._get_module_for_linking(library), preserve=True)
        return whole


@register_pass(mutates_CFG=True, analysis_only=False)
class _InnerLowering(NativeLowering):
    _name = "inner_lowering"

    def run_pass(self, state):
        state.library = _InnerLibrary(state.targetctx.codegen(), state.func_id.func_qualname)
        state.library.enable_object_caching()
        state.library.out_of_line = isinstance(state.pipeline, _Outer)
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


@register_pass(mutates_CFG=False, analysis_only=False)
class _ResolveFeatures(FunctionPass):
    """Replace `m.has("X")`, m being an argument, by its constant, so that dead branches are pruned
    before anything in them is typed or compiled."""

    _name = "resolve_features"

    def __init__(self):
        FunctionPass.__init__(self)

    def run_pass(self, state):
        changed = False
        for block in state.func_ir.blocks.values():
            for statement in block.find_insts(ir.Assign):
                answer = self._answer(state, statement.value)
                if answer is not None:
                    statement.value = ir.Const(answer, statement.loc)
                    changed = True
        if changed:
            state.func_ir._definitions = ir_utils.build_definitions(state.func_ir.blocks)
        return changed

    @staticmethod
    def _answer(state, value) -> bool | None:
        definition = functools.partial(ir_utils.get_definition, state.func_ir)
        try:
            if not (isinstance(value, ir.Expr) and value.op == "call" and len(value.args) == 1):
                return None
            method = definition(value.func)
            if not (isinstance(method, ir.Expr) and method.op == "getattr" and method.attr == "has"):
                return None
            machine, feature = definition(method.value), definition(value.args[0])
        except KeyError:
            return None
        if isinstance(machine, ir.Arg) and isinstance(feature, ir.Const):
            features = getattr(state.args[machine.index], "features", None)
            if features is not None:
                return feature.value in features
        return None


class _Inner(CompilerBase):
    """The passes that straight integer code needs."""

    def define_pipelines(self):
        manager = PassManager("inner")
        for step in (
            TranslateByteCode,
            FixupArgs,
            IRProcessing,
            _ResolveFeatures,
            DeadBranchPrune,
            ReconstructSSA,
            NopythonTypeInference,
            PreLowerStripPhis,
            IRLegalization,
            _InnerLowering,
            NoPythonBackend,
        ):
            manager.add_pass(step, step._name)
        manager.finalize()
        return [manager]


class _Outer(_Inner):
    """As _Inner; the function stays out of line."""


class _EntryLibrary(codegen.JITCodeLibrary):
    """An entry point's library. What is linked into it is called by nobody else, and LLVM may know:
    it then passes arguments as it likes, drops those that nobody reads, and inlines what has one caller.
    """

    def finalize(self):
        self._exported = {f.name for f in self._final_module.functions if not f.is_declaration}
        super().finalize()

    def _optimize_final_module(self):
        for function in self._final_module.functions:
            if not function.is_declaration and function.name not in self._exported:
                function.linkage = "internal"
        super()._optimize_final_module()


class _Entry(CompilerBase):
    """Numba's own pipeline with `_ResolveFeatures`, into an `_EntryLibrary`."""

    def __init__(self, typingctx, targetctx, library, *rest):
        library = _EntryLibrary(targetctx.codegen(), "entry")
        library.enable_object_caching()
        super().__init__(typingctx, targetctx, library, *rest)

    def define_pipelines(self):
        manager = DefaultPassBuilder.define_nopython_pipeline(self.state)
        manager.add_pass_after(_ResolveFeatures, IRProcessing)
        manager.finalize()
        return [manager]


def dual(function):
    """Mark a function for both engines; returns it unchanged, callable as plain Python."""
    # Said explicitly, because a callee inherits forceinline from whichever caller is compiled first.
    return register_jitable(pipeline_class=_Inner, _nrt=False, error_model="numpy", forceinline=False)(function)


def dual_inline(function):
    """As `dual`, for the few functions on every operation's path: always inlined into their caller."""
    return register_jitable(pipeline_class=_Inner, _nrt=False, error_model="numpy", forceinline=True)(function)


def dual_slow(function):
    """As `dual`, for what a fast path calls rarely: never inlined, so it takes no registers from that path."""
    return register_jitable(pipeline_class=_Outer, _nrt=False, error_model="numpy", forceinline=False)(function)


def source_hash() -> str:
    """Hash of every source file compiled code can come from, and of Numba's, llvmlite's and Python's version."""
    return source_digest(*_SOURCES, prefix=f"{numba.__version__} {llvmlite.__version__} {sys.version_info[:3]}")


@functools.cache
def cache_folder() -> Path:
    """The folder of compiled code for exactly these sources; made if missing, old ones are pruned.

    SLAB_STRESS_CACHE overrides the parent folder (default: the user's cache folder). Raises OSError when
    the folder cannot be made or written. Its mtime says when a process last began to use it.
    """
    import platformdirs

    parent = Path(os.environ.get("SLAB_STRESS_CACHE") or platformdirs.user_cache_dir("slab-stress"))
    folder = parent / source_hash()
    folder.mkdir(parents=True, exist_ok=True)
    if not _is_ours(folder):
        new = folder / f"{_TAG}.{os.getpid()}"  # replaced as a whole: half a marker is none
        new.write_text(_TAG_TEXT)
        new.replace(folder / _TAG)
    os.utime(folder)
    _prune(parent)
    return folder


def _prune(parent: Path) -> None:
    """Delete the folders of compiled code below `parent` that are neither among the newest nor used lately.

    `parent` is the user's, who may keep other things there: only a folder that `_is_ours` goes. What versions
    before the marker made bears none and stays.
    """
    import filelock

    try:
        if not _pruneable(parent):
            return
        # Whoever has the lock prunes for all; there is no need to wait.
        with filelock.FileLock(parent / PRUNE_LOCK, timeout=0):
            for folder in _pruneable(parent):
                _delete(folder)
    except filelock.Timeout:
        pass
    except OSError as error:  # an old folder more is no reason not to run
        log.debug("%s is not pruned: %s", parent, error)


def _pruneable(parent: Path) -> list[Path]:
    used = {folder: folder.lstat().st_mtime for folder in parent.iterdir() if _is_ours(folder)}
    beyond = sorted(used, key=used.__getitem__, reverse=True)[KEPT_FOLDERS:]
    return [folder for folder in beyond if time.time() - used[folder] > KEPT_SECONDS]


def _is_ours(folder: Path) -> bool:
    """Did `cache_folder` make it? Neither it nor its marker may be a link."""
    tag = folder / _TAG
    try:
        return bool(
            DIGEST.fullmatch(folder.name)
            and stat.S_ISDIR(folder.lstat().st_mode)
            and stat.S_ISREG(tag.lstat().st_mode)
            and tag.read_bytes() == _TAG_TEXT.encode()
        )
    except OSError:  # no marker, or none that can be read
        return False


def _delete(folder: Path) -> None:
    """Delete a folder of ours; what cannot be deleted is left, and logged. No link is followed.

    The marker goes last: what is left of a removal that breaks off is still known as ours.
    """
    try:
        for path in folder.iterdir():
            if path.name == _TAG:
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
        (folder / _TAG).unlink()
        folder.rmdir()
    except OSError as error:
        log.debug("old compiled code stays: %s", error)


@contextlib.contextmanager
def _settings(folder: Path) -> Iterator[None]:
    """While code is compiled: Numba keeps it in `folder`, and typing may nest as deep as it must.

    Both settings belong to the whole process, so they are put back, and one thread at a time has them.
    """
    with _compiling:
        kept, depth = numba.config.CACHE_DIR, sys.getrecursionlimit()
        numba.config.CACHE_DIR = str(folder)
        sys.setrecursionlimit(max(depth, _TYPING_DEPTH))
        try:
            yield
        finally:
            numba.config.CACHE_DIR = kept
            sys.setrecursionlimit(depth)


class Entry:
    """An entry point: a function of a Machine and integers, compiled for each kind of machine.

    Every kind (kernel and features) has a dispatcher and a folder of its own, so processes that
    compile different kinds at the same time cannot mix their files up; those that want the same kind
    wait for the first one (a file lock) and load what it made.
    """

    def __init__(self, function) -> None:
        functools.update_wrapper(self, function)
        self.function = function
        self.name = function.__name__
        self.arity = function.__code__.co_argcount
        self._compiled: dict[tuple[str, frozenset[str]], object] = {}
        source = os.stat(function.__code__.co_filename)
        # What Numba's own cache goes by beside the sources' content: a copy of the checkout has its own code.
        of = f"{function.__code__.co_filename} {source.st_mtime_ns} {binding.get_host_cpu_name()}"
        self._ready = f"ready-{hashlib.sha256(of.encode()).hexdigest()[:8]}"

    def folder(self, kernel: str, features: frozenset[str]) -> Path:
        """Where the code of one kind is kept."""
        return cache_folder() / f"{self.name}-{kernel or 'none'}-{'+'.join(sorted(features)) or 'plain'}"

    def is_cached(self, kernel: str, features: frozenset[str]) -> bool:
        """Has some process compiled this kind already?"""
        return (self.folder(kernel, features) / self._ready).exists()

    def compile(self, kernel: str, features: frozenset[str]):
        """Make one kind callable in this process, from the cache if it is there."""
        key = (kernel, features)
        if key not in self._compiled:
            import filelock
            from shm.native import MachineType

            folder = self.folder(kernel, features)
            folder.mkdir(parents=True, exist_ok=True)
            with filelock.FileLock(folder / "lock"), _settings(folder):
                dispatcher = numba.njit(self.function, cache=True, nogil=True, error_model="numpy", pipeline_class=_Entry)
                dispatcher.compile((MachineType(features, kernel), *[numba.int64] * (self.arity - 1)))
                dispatcher.disable_compile()
                (folder / self._ready).touch()
            self._compiled[key] = dispatcher
        return self._compiled[key]

    def __call__(self, m, *integers: int):
        return self.compile(m.kernel, m.features)(m, *integers)


def entry(function) -> Entry:
    """Mark an entry point of compiled code; see `Entry`."""
    return Entry(function)
