"""Hooks: a switch of a plugin brings its own code for functions of both engines.

    before = original(put_cpu_partial)                      # what the function was, to call from the new one

    @replaces(put_cpu_partial, "MY_SWITCH")
    def my_put_cpu_partial(m, s, page, drain): …

`apply` makes the function *choose*: it keeps its object, its flavour (`dual`, `dual_inline`, `dual_slow`) and its name,
and its code becomes

    if m.has("MY_SWITCH"):
        return my_put_cpu_partial(m, s, page, drain)
    return (what it was)(m, s, page, drain)

Both engines read a function's code when it is called or compiled, so whoever holds the function (callers that imported
it, tables of vectors, other plugins) gets the choice, and there is one mechanism. `m.has` is a constant to the
compiler, and both branches are inlined into the function: a program without the switch is the program that it was.
"""

from __future__ import annotations

import hashlib
import inspect
import itertools
import re
import types
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from shm.compiler import MARKED, dual_inline

_Function = Callable[..., Any]
NAME = re.compile(r"[A-Z][A-Z0-9_]*[a-z0-9]*")  # of a switch: part of code, of designs and of folders' names

STANDS_FOR: dict[tuple[str, str], tuple[str, str]] = {}  # (module, name) of a replacement -> of what it replaces
FILES: set[str] = set()  # where replacements are written
SOURCES: dict[str, str] = {}  # switch -> digest of the sources of the plugin that brings it


class HookError(ValueError):
    """A hook is wrong. file, line: of the replacement."""

    def __init__(self, function: _Function, text: str) -> None:
        code = getattr(inspect.unwrap(function), "__code__", None)
        self.file: str = code.co_filename if code else ""
        self.line: int = code.co_firstlineno if code else 0
        super().__init__(text)


class Hook(NamedTuple):
    """`replacement` takes the place of `function` in programs with the switch."""

    function: Any  # a plain Python function
    switch: str
    replacement: _Function
    number: int


_numbers = itertools.count()
_pending: list[Hook] = []
APPLIED: list[Hook] = []


def _twin(function: types.FunctionType) -> types.FunctionType:
    """A function of its own with the code that this one has now; inlined into its caller."""
    twin = types.FunctionType(
        function.__code__, function.__globals__, function.__name__, function.__defaults__, function.__closure__
    )
    twin.__kwdefaults__, twin.__module__, twin.__doc__ = function.__kwdefaults__, function.__module__, function.__doc__
    dual_inline(twin)
    return twin


def original(function: _Function) -> _Function:
    """What a function is without the plugins that are loaded later, to be called from its replacement.

    Raises HookError for what is no function of both engines.
    """
    return _twin(_hookable(function, function))


def _hookable(function: _Function, blamed: _Function) -> types.FunctionType:
    if not isinstance(function, types.FunctionType) or function not in MARKED:
        name = getattr(function, "__qualname__", repr(function))
        raise HookError(blamed, f"{name} cannot be replaced: only functions marked dual, dual_inline or dual_slow can")
    if function.__closure__:
        raise HookError(blamed, f"{function.__qualname__} cannot be replaced: it is a closure")
    return function


def replaces(function: _Function, switch: str | object) -> Callable[[_Function], _Function]:
    """Decorator: with this switch on, the decorated function is called in the place of `function`.

    switch: its name, or a `Switch`. The decorated function takes the same parameters and is for both engines without
    being marked so. It takes effect when the plugin has been loaded. Raises HookError.
    """
    name = str(getattr(switch, "name", switch))

    def mark(replacement: _Function) -> _Function:
        target = _hookable(function, replacement)
        if not NAME.fullmatch(name):
            raise HookError(replacement, f"{name!r} is no name of a switch: capitals first, such as MY_PATCH or P7v5")
        theirs, ours = inspect.signature(replacement), inspect.signature(target)
        if list(theirs.parameters) != list(ours.parameters):
            raise HookError(
                replacement,
                f"{replacement.__name__}({', '.join(theirs.parameters)}) cannot replace "
                f"{target.__name__}({', '.join(ours.parameters)}): the parameters must have the same names",
            )
        if any(hook.function is target and hook.switch == name for hook in (*_pending, *APPLIED)):
            raise HookError(replacement, f"{target.__name__} is already replaced under {name}")
        if replacement not in MARKED:
            dual_inline(replacement)
        _pending.append(Hook(target, name, replacement, next(_numbers)))
        return replacement

    return mark


def pending() -> list[Hook]:
    """The hooks that were asked for since the last `apply` or `forget`."""
    return list(_pending)


def forget() -> None:
    """Drop what is pending: the plugin could not be loaded."""
    _pending.clear()


def apply(sources: str) -> list[Hook]:
    """Let what is pending take effect. sources: digest of the plugin's sources. Returns the hooks."""
    done = list(_pending)
    _pending.clear()
    for hook in done:
        _choose(hook)
        code = hook.replacement.__code__
        STANDS_FOR[hook.replacement.__module__, code.co_name] = (hook.function.__module__, hook.function.__name__)
        FILES.add(code.co_filename)
        SOURCES[hook.switch] = sources
        APPLIED.append(hook)
    return done


def _choose(hook: Hook) -> None:
    """Replace the function's code by the choice; the module's text shows it."""
    function, number = hook.function, hook.number
    theirs, before = f"_hook_{number}_theirs", f"_hook_{number}_before"
    function.__globals__[theirs], function.__globals__[before] = hook.replacement, _twin(function)
    names = list(inspect.signature(function).parameters)
    call = f"({', '.join(names)})"
    text = (
        f"def {function.__name__}{call}:\n"
        f"    if {names[0]}.has({hook.switch!r}):\n"
        f"        return {theirs}{call}\n"
        f"    return {before}{call}\n"
    )
    made: dict[str, Any] = {}
    # Only names that Python gave to parameters and functions, and a switch that NAME lets through, are in the text.
    exec(compile(text, f"<hook of {function.__name__}>", "exec"), made)
    function.__code__ = made[function.__name__].__code__


def withdraw(hooks: Iterable[Hook]) -> None:
    """Undo hooks, the newest first: each function is again what it was. For tests of a plugin."""
    for hook in reversed(list(hooks)):
        hook.function.__code__ = hook.function.__globals__[f"_hook_{hook.number}_before"].__code__
        APPLIED.remove(hook)
        SOURCES.pop(hook.switch, None)


def digest(features: Iterable[str] | None = None) -> str:
    """A digest of the sources of the plugins whose switches are among the features (None: of all); "" for none."""
    found = sorted(switch for switch in SOURCES if features is None or switch in features)
    if not found:
        return ""
    return hashlib.sha256("\n".join(f"{switch} {SOURCES[switch]}" for switch in found).encode()).hexdigest()[:16]
