"""One source, two engines: how functions reach Numba.

`dual` marks a function that runs as plain Python when Python calls it and is compiled when compiled
code calls it, so both engines live in one process from one import.

**Compile time is a budget** (allocators x designs x statistics): Numba's stock pipeline optimises
each function once for itself and again inside every caller, and makes it callable from Python.
Functions marked `dual` are only ever called from compiled code, so they go through `shm.lean.Inner`:
the passes that our subset of Python needs, and no optimisation before the entry point, where LLVM
sees the whole program. Measured: two fifths of the compile time, same machine code.

Where this version of Numba lacks what that needs, or SLAB_STRESS_PLAIN_NUMBA=1 says so, functions go through Numba's
own pipeline (`shm.numba_internals.PLAIN`): slower to compile, same meaning.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numba.extending import overload

from shm import features_pass, numba_internals
from shm.sources import is_compiled_source

_Function = Callable[..., Any]  # what takes words takes arrays of words too, as plain Python
MARKED: set[_Function] = set()  # every function for both engines; `shm.hooks` replaces their code and no other
# What a function that plugins replace is in programs with these features.
CHOICES: dict[_Function, Callable[[frozenset[str]], _Function]] = {}

if numba_internals.PLAIN:
    ENTRY_PIPELINE: type[features_pass.Whole] = features_pass.Whole
    # While a program is compiled: what it has in common with others is shared through this folder.
    sharing: Callable[[Path], contextlib.AbstractContextManager[Any]] = contextlib.nullcontext

    def _options(*, inline: bool = False, out_of_line: bool = False) -> dict[str, Any]:
        return dict(pipeline_class=features_pass.Whole)

    def _overload(function: _Function, options: Any, meaning: _Function) -> None:
        overload(function, jit_options=options, strict=False)(meaning)

else:
    from shm import kept, lean, reuse

    ENTRY_PIPELINE = lean.Entry
    sharing = kept.sharing

    def _options(*, inline: bool = False, out_of_line: bool = False) -> dict[str, Any]:
        # Said explicitly, because a callee inherits forceinline from whichever caller is compiled first.
        return dict(pipeline_class=lean.Outer if out_of_line else lean.Inner, _nrt=False, forceinline=inline)

    def _overload(function: _Function, options: Any, meaning: _Function) -> None:
        ours = "<locals>" not in function.__qualname__ and all(
            is_compiled_source(f.__code__.co_filename) for f in (function, meaning)
        )
        reuse.overload_once(function, options, meaning, lambda: bool(CHOICES), kept.find if ours else None)


def _mark(function: _Function, options: dict[str, Any]) -> _Function:
    def meaning(*types: Any, **named: Any) -> _Function:
        choose = CHOICES.get(function)
        return function if choose is None else choose((*types, *named.values())[0].features)

    MARKED.add(function)
    _overload(function, dict(error_model="numpy", **options), meaning)
    return function


def dual(function: _Function) -> _Function:
    """Mark a function for both engines; returns it unchanged, callable as plain Python."""
    return _mark(function, _options())


def dual_inline(function: _Function) -> _Function:
    """As `dual`, for the few functions on every operation's path: always inlined into their caller."""
    return _mark(function, _options(inline=True))


def dual_slow(function: _Function) -> _Function:
    """As `dual`, for what a fast path calls rarely: never inlined, so it takes no registers from that path."""
    return _mark(function, _options(out_of_line=True))


def chosen_by_type(function: _Function, meaning_for: _Function) -> None:
    """Give an operation a meaning for some types: `meaning_for` gets the arguments' types and returns a function, which
    is inlined where the operation is called, or None."""
    _overload(function, dict(error_model="numpy", **_options(inline=True)), meaning_for)
