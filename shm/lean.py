"""The lean pipeline: the passes that straight integer code needs, and one optimisation, before the entry point.

It leans on how Numba links and lowers, so it is imported only where `shm.numba_internals` found all of that.
"""

from __future__ import annotations

from collections.abc import Callable

from shm.features_pass import ResolveFeatures, Whole
from shm.machine_type import MachineType
from shm.numba_internals import (
    CompilerBase,
    DeadBranchPrune,
    FixupArgs,
    IRLegalization,
    IRProcessing,
    JITCodeLibrary,
    LowerResult,
    NativeLowering,
    NoPythonBackend,
    NopythonTypeInference,
    PassManager,
    PreLowerStripPhis,
    ReconstructSSA,
    TranslateByteCode,
    register_pass,
)


def _link_callees(caller: JITCodeLibrary, whole) -> None:
    """Link everything that a library calls into a module that has its own functions.

    Callers come before callees (reverse postorder): LLVM's linker drops a linkonce function that nothing refers to yet.
    """
    order, seen = [], set()

    def visit(library) -> None:
        seen.add(id(library))
        for callee in library._linking_libraries:
            if id(callee) not in seen:
                visit(callee)
        order.append(library)

    visit(caller)
    for library in order[-2::-1]:
        # Its own functions only (an already compiled one brings what it calls along).
        whole.link_in(JITCodeLibrary._get_module_for_linking(library), preserve=True)


class InnerLibrary(JITCodeLibrary):
    """A library that is only ever linked into others: neither optimised, emitted nor linked by itself.

    It remembers what it calls; only the entry point that asks for it links everything, once.
    """

    out_of_line = False  # True: never inlined into a caller

    def add_ir_module(self, ir_module):
        if self.out_of_line:
            for function in ir_module.functions:
                if not function.is_declaration:
                    function.attributes.add("noinline")
        super().add_ir_module(ir_module)

    def _optimize_functions(self, ll_module):
        ll_module.data_layout = self._codegen._data_layout

    def finalize(self):
        self._raise_if_finalized()
        self._finalize_dynamic_globals()
        self._finalized = True

    def _get_module_for_linking(self):
        whole = super()._get_module_for_linking().clone()
        _link_callees(self, whole)
        return whole


@register_pass(mutates_CFG=True, analysis_only=False)
class InnerLowering(NativeLowering):
    _name = "inner_lowering"

    def run_pass(self, state):
        state.library = InnerLibrary(state.targetctx.codegen(), state.func_id.func_qualname)
        state.library.enable_object_caching()
        state.library.out_of_line = isinstance(state.pipeline, Outer)
        state.flags = state.flags.copy()
        state.flags.no_compile = state.flags.no_cfunc_wrapper = state.flags.no_cpython_wrapper = True
        super().run_pass(state)
        low = state["cr"]
        # Callers look the function up by its entry point; any unique builtin will do as the key.
        key: Callable[..., None] = [].append
        state.targetctx.insert_user_function(key, low.fndesc, [state.library])
        state["cr"] = LowerResult(low.fndesc, low.call_helper, cfunc=key, env=low.env)
        return True


class Inner(CompilerBase):
    """The passes that straight integer code needs."""

    def define_pipelines(self):
        manager = PassManager("inner")
        for step in (
            TranslateByteCode,
            FixupArgs,
            IRProcessing,
            ResolveFeatures,
            DeadBranchPrune,
            ReconstructSSA,
            NopythonTypeInference,
            PreLowerStripPhis,
            IRLegalization,
            InnerLowering,
            NoPythonBackend,
        ):
            manager.add_pass(step, step._name)
        manager.finalize()
        return [manager]


class Outer(Inner):
    """As Inner; the function stays out of line."""


class EntryLibrary(JITCodeLibrary):
    """An entry point's library. What is linked into it is called by nobody else, and LLVM may know:
    it then passes arguments as it likes, drops those that nobody reads, and inlines what has one caller.
    """

    at_once = False  # True: each callee is linked once, not once for each function that the entry point calls

    def finalize(self):
        self._exported = {f.name for f in self._final_module.functions if not f.is_declaration}
        if self.at_once:
            _link_callees(self, self._final_module)
            self._linking_libraries.clear()
        super().finalize()

    def _optimize_final_module(self):
        for function in self._final_module.functions:
            if not function.is_declaration and function.name not in self._exported:
                function.linkage = "internal"
        super()._optimize_final_module()


class Entry(Whole):
    """Numba's own pipeline with `ResolveFeatures`, into an `EntryLibrary`.

    Programs that count are linked at once, in a third of the time. What is timed is linked as it always was: the order
    of functions in a module decides what LLVM inlines.
    """

    def __init__(self, typingctx, targetctx, library, args, *rest) -> None:
        library = EntryLibrary(targetctx.codegen(), "entry")
        library.at_once = any(isinstance(a, MachineType) and a.has("STATS") for a in args)
        library.enable_object_caching()
        super().__init__(typingctx, targetctx, library, args, *rest)
