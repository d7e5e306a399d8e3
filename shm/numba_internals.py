"""What this project uses of Numba and llvmlite beside their documented interfaces: every name, and whether it is there.

Three groups. Without the *lean* ones (`shm.lean`) programs are compiled by Numba's own pipeline: slower to compile,
same meaning. Without the *placing* ones they always lie at the same place of a page. Without the *needed* ones there
are no compiled programs at all, and importing this module fails. Either way what is missing is named, with the
versions that miss it. Nothing else imports from `numba.core` or `llvmlite`.

`SLAB_STRESS_PLAIN_NUMBA=1` chooses Numba's own pipeline although nothing is missing.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import os
from collections.abc import Callable
from typing import Any

import llvmlite
import numba

VERSIONS = f"numba {numba.__version__}, llvmlite {llvmlite.__version__}"
TRIED = "0.61.0 to 0.68.1"  # versions of Numba that compile these programs, by the lean pipeline too


class Probes:
    """Looks for names and remembers which are gone."""

    def __init__(self) -> None:
        self.gone: list[str] = []

    def name(self, dotted: str) -> Any:
        """What `package.module.Name` is; None, and remembered, when there is no such thing."""
        module, _, attribute = dotted.rpartition(".")
        try:
            return getattr(importlib.import_module(module), attribute)
        except (ImportError, AttributeError):
            self.gone.append(dotted)
            return None

    def module(self, dotted: str) -> Any:
        """A module; None, and remembered, when there is no such module."""
        try:
            return importlib.import_module(dotted)
        except ImportError:
            self.gone.append(dotted)
            return None

    def holds(self, what: str, looks: Callable[[], bool]) -> None:
        """`what` is remembered as gone when `looks` is false or fails, however looking at something else fails."""
        try:
            good = looks()
        except Exception:
            good = False
        if not good:
            self.gone.append(what)

    def method(self, dotted: str, *parameters: str, more: bool = True) -> None:
        """`package.module.Class.method` has these parameters after self. more: and perhaps others behind them."""
        owner, _, method = dotted.rpartition(".")

        def looks() -> bool:
            module, _, name = owner.rpartition(".")
            function = getattr(getattr(importlib.import_module(module), name), method)
            has = tuple(inspect.signature(function).parameters)[1:]
            return (has[: len(parameters)] if more else has) == parameters

        self.holds(f"{dotted}({', '.join(parameters)})", looks)

    def attributes(self, dotted: str, *attributes: str) -> None:
        """Objects of `package.module.Class` have these: of the class, or set by a constructor of it or a base."""
        module, _, name = dotted.rpartition(".")

        def looks(attribute: str) -> bool:
            owner = getattr(importlib.import_module(module), name)
            made = [vars(c)["__init__"].__code__.co_names for c in owner.__mro__[:-1] if "__init__" in vars(c)]
            return hasattr(owner, attribute) or any(attribute in names for names in made)

        for attribute in attributes:
            self.holds(f"{dotted}.{attribute}", functools.partial(looks, attribute))


needed, lean, placing = Probes(), Probes(), Probes()

# The machine's type and its operations as instructions: `shm.native`, `stress.bench.programs`.
llvm = needed.module("llvmlite.ir")
binding = needed.module("llvmlite.binding")
cgutils = needed.module("numba.core.cgutils")
types = needed.module("numba.core.types")
AttributeTemplate = needed.name("numba.core.typing.templates.AttributeTemplate")
bound_function = needed.name("numba.core.typing.templates.bound_function")
infer_getattr = needed.name("numba.core.typing.templates.infer_getattr")
signature = needed.name("numba.core.typing.templates.signature")
needed.name("numba.core.cgutils.create_struct_proxy")
needed.name("numba.core.cgutils.get_or_insert_function")
needed.name("llvmlite.binding.initialize_native_asmparser")
needed.name("llvmlite.binding.get_host_cpu_name")
needed.name("llvmlite.binding.add_symbol")
# A pointer knows what it points to; with opaque pointers every access would have to say.
needed.holds("llvmlite.ir.Type.as_pointer", lambda: llvm.IntType(64).as_pointer().pointee == llvm.IntType(64))
needed.method("llvmlite.ir.IRBuilder.load_atomic", "ptr", "ordering", "align")
needed.method("llvmlite.ir.IRBuilder.store_atomic", "value", "ptr", "ordering", "align")
needed.method("llvmlite.ir.IRBuilder.cmpxchg", "ptr", "cmp", "val", "ordering")
needed.method("llvmlite.ir.IRBuilder.atomic_rmw", "op", "ptr", "val", "ordering")
needed.method("llvmlite.ir.IRBuilder.asm", "ftype", "asm", "constraint", "args", "side_effect")
config: Any = numba.config  # its values are set when it runs
needed.holds("numba.config.CACHE_DIR", lambda: isinstance(config.CACHE_DIR, str))

# A pass of our own in a pipeline of Numba's: `shm.features_pass`.
ir = needed.module("numba.core.ir")
ir_utils = needed.module("numba.core.ir_utils")
CompilerBase = needed.name("numba.core.compiler.CompilerBase")
DefaultPassBuilder = needed.name("numba.core.compiler.DefaultPassBuilder")
FunctionPass = needed.name("numba.core.compiler_machinery.FunctionPass")
register_pass = needed.name("numba.core.compiler_machinery.register_pass")
IRProcessing = needed.name("numba.core.untyped_passes.IRProcessing")
needed.name("numba.core.ir_utils.build_definitions")
needed.name("numba.core.ir_utils.get_definition")
needed.attributes("numba.core.ir.FunctionIR", "_definitions", "blocks")
needed.method("numba.core.compiler_machinery.PassManager.add_pass_after", "pass_cls", "location")
needed.attributes("numba.core.compiler.DefaultPassBuilder", "define_nopython_pipeline")

# The lean pipeline: `shm.lean`.
PassManager = lean.name("numba.core.compiler_machinery.PassManager")
TranslateByteCode = lean.name("numba.core.untyped_passes.TranslateByteCode")
FixupArgs = lean.name("numba.core.untyped_passes.FixupArgs")
DeadBranchPrune = lean.name("numba.core.untyped_passes.DeadBranchPrune")
ReconstructSSA = lean.name("numba.core.untyped_passes.ReconstructSSA")
NopythonTypeInference = lean.name("numba.core.typed_passes.NopythonTypeInference")
PreLowerStripPhis = lean.name("numba.core.typed_passes.PreLowerStripPhis")
IRLegalization = lean.name("numba.core.typed_passes.IRLegalization")
NativeLowering = lean.name("numba.core.typed_passes.NativeLowering")
NoPythonBackend = lean.name("numba.core.typed_passes.NoPythonBackend")
JITCodeLibrary = lean.name("numba.core.codegen.JITCodeLibrary")
LowerResult = lean.name("numba.core.compiler._LowerResult")
lean.method("numba.core.compiler_machinery.PassManager.add_pass", "pss", "description")
lean.method("numba.core.typed_passes.NativeLowering.run_pass", "state", more=False)
lean.holds(
    "numba.core.compiler._LowerResult's fields fndesc, call_helper, cfunc, env",
    lambda: set(LowerResult._fields) == {"fndesc", "call_helper", "cfunc", "env"},
)
lean.method(
    "numba.core.compiler.CompilerBase.__init__",
    *("typingctx", "targetctx", "library", "args", "return_type", "flags", "locals"),
    more=False,
)
lean.method("numba.core.base.BaseContext.insert_user_function", "func", "fndesc", "libs")
# Functions that programs have in common: `shm.reuse`.
make_overload_template = lean.name("numba.core.typing.templates.make_overload_template")
infer = lean.name("numba.core.typing.templates.infer")
infer_global = lean.name("numba.core.typing.templates.infer_global")
lean.name("numba.core.types.Function")
lean.method(
    "numba.core.typing.templates._OverloadFunctionTemplate.generic",
    *("args", "kws"),
    more=False,
)
# Functions that other processes compiled: `shm.kept`.
ExternalFunctionDescriptor = lean.name("numba.core.funcdesc.ExternalFunctionDescriptor")
cpu_target = lean.name("numba.core.registry.cpu_target")
lean.name("llvmlite.binding.parse_bitcode")
lean.name("numba.core.types.literal")
lean.method(
    "numba.core.funcdesc.ExternalFunctionDescriptor.__init__",
    *("name", "restype", "argtypes"),
    more=False,
)
lean.holds("numba.core.base.BaseContext.mangler", lambda: callable(cpu_target.target_context.mangler))
# What the libraries override: called by Numba, and what they call and read of it.
lean.method("numba.core.codegen.JITCodeLibrary.__init__", "codegen", "name", more=False)
lean.method("numba.core.codegen.JITCodeLibrary.finalize", more=False)
lean.method("numba.core.codegen.JITCodeLibrary.enable_object_caching")
lean.method("numba.core.codegen.JITCodeLibrary.add_ir_module", "ir_module", more=False)
lean.method("numba.core.codegen.JITCodeLibrary._optimize_functions", "ll_module", more=False)
lean.method("numba.core.codegen.JITCodeLibrary._optimize_final_module", more=False)
lean.method("numba.core.codegen.JITCodeLibrary._finalize_dynamic_globals")
lean.method("numba.core.codegen.JITCodeLibrary._get_module_for_linking", more=False)
lean.method("numba.core.codegen.JITCodeLibrary._raise_if_finalized")
lean.method("numba.core.codegen.JITCodeLibrary._ensure_finalized")
lean.method("numba.core.codegen.JITCodeLibrary._get_compiled_object")
lean.method("numba.core.codegen.JITCodeLibrary.serialize_using_object_code")
lean.attributes(
    "numba.core.codegen.JITCodeLibrary",
    *("_codegen", "_finalized", "_final_module", "_linking_libraries", "_shared_module"),
)
lean.attributes("numba.core.codegen.JITCPUCodegen", "_data_layout")
lean.holds(
    "the options _nrt and forceinline of numba.core.options.DefaultOptions",
    lambda: all(
        hasattr(importlib.import_module("numba.core.options").DefaultOptions, o) for o in ("_nrt", "forceinline")
    ),
)

# Loading an object at another place: `shm.placement`.
CPUCodeLibrary = placing.name("numba.core.codegen.CPUCodeLibrary")
placing.method("numba.core.codegen.CPUCodeLibrary._set_compiled_object", "value")

if needed.gone:
    raise ImportError(
        f"{VERSIONS}: {', '.join(needed.gone)}: gone or changed, and compiled programs need it;"
        f" install a numba of {TRIED}"
    )

PLAIN = bool(lean.gone) or os.environ.get("SLAB_STRESS_PLAIN_NUMBA") == "1"
WHY_PLAIN = (
    f"{VERSIONS}: {', '.join(lean.gone)}: gone or changed. Programs are compiled by Numba's own pipeline,"
    f" which takes longer and means the same; numba {TRIED} has what the short one needs"
    if lean.gone
    else ""
)
