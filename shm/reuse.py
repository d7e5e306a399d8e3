"""A function is compiled once for all machines that its own code cannot tell apart.

Programs of different designs have most functions in common, and Numba's part of compiling one, four fifths of the
time, is done anew for each machine's type. Here what compiling a function asked of the machine is kept beside what it
gave (`shm.machine_type`), and so is what it calls. A machine that answers the same, and for which what is called has
the same types, would lead to the same instructions, so it takes them: from this process, or from another one that
kept them (`shm.kept`).

The instructions name what they call by a *symbol*: the operation and the types of its arguments, a machine's left out.
Each program links what its machine chose for a symbol (`libraries`), so whoever calls a function that differs between
two machines is shared all the same. LLVM still sees each program as a whole, and makes the same of it whatever was
compiled before: code that is timed may depend on nothing else.

How functions are compiled (flags) is not asked: it is the same for all that a process compiles, `shm.compiler` says
the rest explicitly.

Once a plugin has replaced functions, whose code is no more what it was, nothing is shared.
"""

from __future__ import annotations

import contextlib
import hashlib
import inspect
from collections import ChainMap
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar, NamedTuple, Protocol

from shm.machine_type import MachineType, Questions, ask_again, asking
from shm.numba_internals import infer, infer_global, make_overload_template, types

Shape = tuple[Any, ...]  # the types of a function's arguments, or of what it returns and them; None is the machine's


class Call(NamedTuple):
    """What a function calls: by which template, with which arguments, and the types that it was found to have."""

    template: str
    arguments: Shape
    typed: Shape


class Function(NamedTuple):
    """What was compiled for a symbol: the code, and which machines it is code for."""

    symbol: str
    asked: Questions
    calls: tuple[Call, ...]
    signature: Any  # with the type of the machine that it was made for; others are cast to it
    library: Any  # `shm.lean.InnerLibrary`


class Kept(Protocol):
    """A function that another process compiled (`shm.kept`)."""

    @property
    def asked(self) -> Questions:
        """What compiling it asked of a machine."""

    @property
    def calls(self) -> tuple[Call, ...]:
        """What it calls."""

    def function(self, machine: MachineType | None) -> tuple[Function, Any] | None:
        """It, for a machine, and the key by which Numba finds how to call it; None if it cannot be had."""


class Compiling(NamedTuple):
    """A function that is being compiled. machine: None if it takes none, so it is the same for all."""

    machine: MachineType | None
    symbol: str
    calls: list[Call]


compiled: list[str] = []  # functions for which nothing was there, in order
made: list[Function] = []  # by this process, of operations that are kept
templates: dict[str, Any] = {}  # by name: what types an operation
_open: list[Compiling | None] = []  # callers before callees; None: not shared
_libraries: dict[MachineType | None, dict[str, Any]] = {None: {}}  # by machine and symbol


def being_compiled() -> Compiling | None:
    """The function whose code Numba makes now; None if it is not shared."""
    return _open[-1] if _open else None


def takes(machine: MachineType | None, symbol: str, library: Any) -> None:
    """Programs of a machine link this library for a symbol."""
    _libraries.setdefault(machine, {})[symbol] = library


def libraries(machine: MachineType | None) -> Mapping[str, Any]:
    """By symbol: what programs of a machine link for it."""
    return ChainMap(_libraries.get(machine, {}), _libraries[None])


def shape_of(found: Any) -> Shape:
    """A signature without its machine."""
    return tuple(None if isinstance(t, MachineType) else t for t in (found.return_type, *found.args))


def _types(machine: MachineType | None, arguments: Shape) -> Shape:
    return tuple(machine if a is None else a for a in arguments)


@contextlib.contextmanager
def _compiling(what: Compiling | None) -> Iterator[None]:
    _open.append(what)
    try:
        yield
    finally:
        _open.pop()


def symbol_of(call: Call) -> str:
    """The symbol of what is called. Raises KeyError if no module of this process has such a template."""
    return templates[call.template].symbol_of(call.arguments)


def _calls_alike(context: Any, machine: MachineType | None, call: Call) -> bool:
    """Does what a machine chooses for a call have these types? It is compiled if need be."""
    if call.template not in templates:
        return False
    with _compiling(None):
        found = templates[call.template](context).generic(_types(machine, call.arguments), {})
    return found is not None and shape_of(found) == call.typed


def overload_once(
    function: Callable[..., Any],
    jit_options: dict[str, Any],
    meaning: Callable[..., Any],
    hooked: Callable[[], bool],
    find_kept: Callable[[str], Iterable[Kept]] | None,
) -> None:
    """As `numba.extending.overload`, strict=False, but what machines answer alike is compiled once.

    hooked: has a plugin replaced functions? find_kept: what other processes made for a symbol; None: they may not.
    """
    options = {"no_cpython_wrapper": True, "nopython": True} | jit_options
    stock: Any = make_overload_template(function, meaning, options, False, "never")
    name = f"{_whose(function)} {_whose(meaning)}"
    if name in templates:  # defined again, as tests do
        name, find_kept = f"{name} {len(templates)}", None

    class Once(stock):
        symbols: ClassVar[dict[Shape, str]] = {}  # by arguments
        known: ClassVar[dict[str, list[Function]]] = {}  # by symbol
        taken: ClassVar[dict[tuple[MachineType | None, Shape], Function | Questions]] = {}  # questions: no meaning

        def generic(self, args: Any, kws: Any) -> Any:
            if kws:
                args = inspect.signature(function).bind(*args, **kws).args
            machine = next((a for a in args if isinstance(a, MachineType)), None)
            if hooked():
                with _compiling(None):
                    return super().generic(args, {})
            arguments = tuple(None if isinstance(a, MachineType) else a for a in args)
            found = self.taken.get((machine, arguments))
            if found is None:
                found = self._known(machine, arguments) or self._make(machine, arguments)
                self.taken[machine, arguments] = found
            if not isinstance(found, Function):
                ask_again(found)
                return None
            caller = being_compiled()
            if caller is not None:
                caller.calls.append(Call(name, arguments, shape_of(found.signature)))
            return found.signature

        @classmethod
        def symbol_of(cls, arguments: Shape) -> str:
            """The same in every process that runs these sources."""
            if arguments not in cls.symbols:
                of = hashlib.sha256(f"{name} {arguments}".encode()).hexdigest()
                cls.symbols[arguments] = f"{function.__module__}.{function.__qualname__}.{of[:16]}"
            return cls.symbols[arguments]

        def _known(self, machine: MachineType | None, arguments: Shape) -> Function | None:
            symbol = self.symbol_of(arguments)
            for made_here in self.known.setdefault(symbol, []):
                if self._fits(machine, made_here.asked, made_here.calls):
                    takes(machine, symbol, made_here.library)
                    return made_here
            for record in find_kept(symbol) if find_kept else ():
                found = record.function(machine) if self._fits(machine, record.asked, record.calls) else None
                if found is not None:
                    made_there, key = found
                    as_called = made_there.signature.replace(pysig=inspect.signature(function))
                    made_there = made_there._replace(signature=as_called)
                    self._compiled_overloads[as_called.args] = key
                    self.known[symbol].append(made_there)
                    takes(machine, symbol, made_there.library)
                    return made_there
            return None

        def _fits(self, machine: MachineType | None, asked: Questions, calls: tuple[Call, ...]) -> bool:
            return (machine is None or machine.answers(asked)) and all(
                _calls_alike(self.context, machine, c) for c in calls
            )

        def _make(self, machine: MachineType | None, arguments: Shape) -> Function | Questions:
            symbol = self.symbol_of(arguments)
            this = Compiling(machine, symbol, [])
            with asking() as asked, _compiling(this):
                found = super().generic(_types(machine, arguments), {})
            if found is None:
                return asked
            if machine is not None and isinstance(found.return_type, MachineType):
                asked |= machine.all_answers()  # the caller goes on with this very type
            new = Function(
                symbol,
                asked,
                tuple(dict.fromkeys(this.calls)),
                found,
                _libraries[machine][symbol],
            )
            self.known[symbol].append(new)
            compiled.append(function.__name__)
            if find_kept:
                made.append(new)
            return new

    Once.__name__ = stock.__name__
    templates[name] = Once
    infer(Once)
    infer_global(function, types.Function(Once))


def _whose(function: Callable[..., Any]) -> str:
    return f"{function.__module__}.{function.__qualname__}:{function.__code__.co_firstlineno}"
