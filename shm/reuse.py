"""A function is compiled once for all machines of this process that cannot be told apart by it and what it calls.

Programs of different designs have most functions in common, and Numba's part of compiling one, four fifths of the
time, is done anew for each machine's type. Here the questions that compiling a function asked of the machine are kept
beside what it gave (`shm.machine_type`). A machine that answers all of them the same would lead to the same code,
step by step, so it takes that code; LLVM still sees each program as a whole.

How functions are compiled (flags) is not asked: it is the same for all that a process compiles, `shm.compiler` says
the rest explicitly.

Only programs with STATS do so: timed ones are always compiled by themselves, whatever this process did before.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from shm.machine_type import FEATURES, KERNEL, MachineType, ask_again, asking
from shm.numba_internals import infer, infer_global, make_overload_template, types

compiled: list[str] = []  # functions for which nothing was there, in order


def overload_once(
    function: Callable[..., Any], jit_options: dict[str, Any], meaning: Callable[..., Any], hooked: Callable[[], bool]
) -> None:
    """As `numba.extending.overload`, strict=False, but what machines answer alike is compiled once.

    hooked: has a plugin replaced functions? Then their code is no more what it was, and nothing is shared.
    """
    options = {"no_cpython_wrapper": True, "nopython": True} | jit_options
    stock: Any = make_overload_template(function, meaning, options, False, "never")

    class Once(stock):
        known: ClassVar[dict[Any, list[Any]]] = {}

        def generic(self, args: Any, kws: Any) -> Any:
            machines = {a for a in (*args, *kws.values()) if isinstance(a, MachineType)}
            machine = machines.pop() if len(machines) == 1 else None
            if machine is None or not machine.answers({"STATS": True}):
                return super().generic(args, kws)
            alone = hooked()
            others = tuple(a for a in args if a != machine), tuple((k, v) for k, v in kws.items() if v != machine)
            places = tuple(a == machine for a in args), tuple(k for k, v in kws.items() if v == machine)
            known = self.known.setdefault((others, places), [])
            for asked, signature in () if alone else known:
                if machine.answers(asked):
                    ask_again(asked)
                    return signature
            with asking() as asked:
                signature = super().generic(args, kws)
                if alone or (signature is not None and isinstance(signature.return_type, MachineType)):
                    # For this very type: the caller goes on with a machine of it, or a plugin is looked for by it.
                    asked |= {FEATURES: machine.features, KERNEL: machine.kernel}
            if signature is not None and not any(machine.answers(a) for a, _ in known):
                known.append((asked, signature))
                compiled.append(function.__name__)
            return signature

    Once.__name__ = stock.__name__
    infer(Once)
    infer_global(function, types.Function(Once))
