"""The one pass of our own (features are constants, before anything is typed), and Numba's own pipeline with it."""

from __future__ import annotations

import functools
from typing import Any

from shm.machine_type import MachineType
from shm.numba_internals import (
    CompilerBase,
    DefaultPassBuilder,
    FunctionPass,
    IRProcessing,
    ir,
    ir_utils,
    register_pass,
)


@register_pass(mutates_CFG=False, analysis_only=False)
class ResolveFeatures(FunctionPass):
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
            asked = state.args[machine.index]
            if isinstance(asked, MachineType):
                return asked.has(feature.value)
        return None


class Whole(CompilerBase):
    """Numba's own pipeline with `ResolveFeatures`."""

    def define_pipelines(self) -> list[Any]:
        manager = DefaultPassBuilder.define_nopython_pipeline(self.state)
        manager.add_pass_after(ResolveFeatures, IRProcessing)
        manager.finalize()
        return [manager]
