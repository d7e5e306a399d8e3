"""The lean pipeline: the passes that straight integer code needs, and one optimisation, before the entry point.

It leans on how Numba links and lowers, so it is imported only where `shm.numba_internals` found all of that.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

from shm import reuse
from shm.features_pass import ResolveFeatures, Whole
from shm.machine_type import THIS_MACHINE, MachineType
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
    binding,
    llvm,
    register_pass,
)


def _link_callees(caller: JITCodeLibrary, whole, chosen: Mapping[str, Any]) -> None:
    """Link everything that a library calls into a module that has its own functions.

    chosen: the library of each symbol.
    Callers come before callees (reverse postorder): LLVM's linker drops a linkonce function that nothing refers to yet.
    """
    order, seen = [], set()

    def visit(library) -> None:
        seen.add(id(library))
        for link in links(library):
            callee = chosen[link] if isinstance(link, str) else link
            if id(callee) not in seen:
                visit(callee)
        order.append(library)

    visit(caller)
    for library in order[-2::-1]:
        # Its own functions only (an already compiled one brings what it calls along).
        whole.link_in(JITCodeLibrary._get_module_for_linking(library), preserve=True)


def links(library: JITCodeLibrary) -> list[Any]:
    """What it calls, in order: symbols of what is shared, and libraries of what is not."""
    return [getattr(link, "symbol", None) or link for link in library._linking_libraries]


class InnerLibrary(JITCodeLibrary):
    """A library that is only ever linked into others: neither optimised, emitted nor linked by itself.

    It remembers what it calls; only the entry point that asks for it links everything, once.
    """

    out_of_line = False  # True: never inlined into a caller
    symbol: str | None = None  # by which callers name it, if it is shared: which library that is differs by program

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
        if self.symbol is not None:
            self._bring_along()
        self._finalize_dynamic_globals()
        self._finalized = True

    def _bring_along(self) -> None:
        """What Numba's own library compiled, `min` of two words say, becomes part of it: it has no symbol."""
        own = {f.name for f in self._final_module.functions if not f.is_declaration}
        for library in [link for link in links(self) if not isinstance(link, str)]:
            if library.name == THIS_MACHINE:
                continue  # linked as it is: so this one is for that machine, too
            self._linking_libraries.remove(library)
            if library.name != "nrt":  # Numba's reference counts, which every function is given, and none of ours has
                self._final_module.link_in(JITCodeLibrary._get_module_for_linking(library), preserve=True)
        for function in self._final_module.functions:
            if not function.is_declaration and function.name not in own:
                function.linkage = "internal"

    def _get_module_for_linking(self):
        whole = super()._get_module_for_linking().clone()
        _link_callees(self, whole, reuse.libraries(EntryLibrary.linked_for))
        return whole

    def bitcode(self) -> bytes:
        """Its own functions, for `restored`."""
        return bytes(super()._get_module_for_linking().as_bitcode())

    @classmethod
    def restored(cls, codegen, symbol: str, bitcode: bytes, calls: list[InnerLibrary]) -> InnerLibrary:
        """What another process compiled for a symbol. calls: libraries of the symbols that it links."""
        library = cls(codegen, symbol)
        library.enable_object_caching()
        library.symbol = symbol
        library._shared_module = binding.parse_bitcode(bitcode)
        library._linking_libraries.extend(calls)
        library._finalized = True
        return library


@contextlib.contextmanager
def _named(state, symbol: str) -> Iterator[None]:
    """While a function is lowered, its name, and its environment's, is the symbol."""
    context, this = state.targetctx, state.func_id.unique_id
    mangler = context.mangler

    def name(qualified: str, types: Any, *, abi_tags: Any = (), uid: int | None = None) -> str:
        if uid != this:
            return mangler(qualified, types, abi_tags=abi_tags, uid=uid)
        return f"env.{symbol}" if qualified.startswith(".NumbaEnv.") else symbol

    context.mangler = name
    try:
        yield
    finally:
        del context.mangler


@register_pass(mutates_CFG=True, analysis_only=False)
class InnerLowering(NativeLowering):
    _name = "inner_lowering"

    def run_pass(self, state):
        state.library = InnerLibrary(state.targetctx.codegen(), state.func_id.func_qualname)
        state.library.enable_object_caching()
        state.library.out_of_line = isinstance(state.pipeline, Outer)
        state.flags = state.flags.copy()
        state.flags.no_compile = state.flags.no_cfunc_wrapper = state.flags.no_cpython_wrapper = True
        shared = reuse.being_compiled()
        if shared is None:
            super().run_pass(state)
        else:
            state.library.symbol = shared.symbol
            with _named(state, shared.symbol):
                super().run_pass(state)
            reuse.takes(shared.machine, shared.symbol, state.library)
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

    linked_for: ClassVar[MachineType | None] = None  # the machine of the program that is compiled now
    machine: MachineType | None = None  # of a program that counts: each callee is linked once, by its symbol

    def finalize(self):
        self._exported = {f.name for f in self._final_module.functions if not f.is_declaration}
        if self.machine is not None:
            _link_callees(self, self._final_module, reuse.libraries(self.machine))
            self._linking_libraries.clear()
        super().finalize()

    def _optimize_final_module(self):
        for function in self._final_module.functions:
            if not function.is_declaration and function.name not in self._exported:
                function.linkage = "internal"
        super()._optimize_final_module()

    def serialize_using_object_code(self):
        """As Numba does for its cache, but of the bitcode, which is for who would link this, and which every process
        that loads the program would parse, only the names of what it defines.
        """
        self._ensure_finalized()
        names, nothing = llvm.Module(), llvm.FunctionType(llvm.VoidType(), ())
        for function in self._final_module.functions:
            if not function.is_declaration:
                llvm.IRBuilder(llvm.Function(names, nothing, function.name).append_basic_block()).unreachable()
        for value in self._final_module.global_variables:
            if not value.is_declaration:
                llvm.GlobalVariable(names, llvm.IntType(8), value.name).initializer = llvm.IntType(8)(0)
        bitcode = binding.parse_assembly(str(names)).as_bitcode()
        return self.name, "object", (self._get_compiled_object(), bitcode)


class Entry(Whole):
    """Numba's own pipeline with `ResolveFeatures`, into an `EntryLibrary`.

    Programs that count are linked at once, in a third of the time. What is timed is linked as it always was: the order
    of functions in a module decides what LLVM inlines.
    """

    def __init__(self, typingctx, targetctx, library, args, *rest) -> None:
        library = EntryLibrary(targetctx.codegen(), "entry")
        machine = next((a for a in args if isinstance(a, MachineType)), None)
        EntryLibrary.linked_for = machine
        library.machine = machine if machine is not None and machine.has("STATS") else None
        library.enable_object_caching()
        super().__init__(typingctx, targetctx, library, args, *rest)
