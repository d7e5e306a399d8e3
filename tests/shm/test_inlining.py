"""How functions are put together: `dual_inline` disappears into its caller, `dual_slow` never does."""

import re

import numba

from shm.atomics import load, store
from shm.compiler import ENTRY_PIPELINE, dual, dual_inline, dual_slow
from shm.native import MachineType


@dual
def leaf(m, a: int) -> int:
    return load(m, a) + 1


@dual_slow
def rarely(m, a: int) -> int:
    return leaf(m, a) + leaf(m, a + 8)


@dual_inline
def always(m, a: int) -> int:
    return rarely(m, a) if load(m, a) == 0 else load(m, a)


@dual_slow
def never(m, a: int) -> int:
    return leaf(m, a)


def program(m, a):
    store(m, a + 1, always(m, a))
    if m.has("MORE"):
        store(m, a + 2, never(m, a))
    return 0


def test_only_the_slow_function_that_is_used_stays():
    dispatcher = numba.njit(program, nogil=True, error_model="numpy", pipeline_class=ENTRY_PIPELINE)
    dispatcher.compile((MachineType(frozenset(), ""), numba.int64))
    (asm,) = dispatcher.inspect_asm().values()
    functions = {
        name
        for name in ("leaf", "rarely", "always", "never")
        if re.search(rf"^\S*test_inlining\.\S*\b{name}\.\S*:$", asm, re.MULTILINE)
    }
    assert functions == {"rarely"}
