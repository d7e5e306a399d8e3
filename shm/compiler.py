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

import functools

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
