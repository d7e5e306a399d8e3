"""The engine's own loop with another allocator in place of SLUB: what its machinery costs, what malloc costs.

The same source is compiled again with `kmem_cache_alloc` and `kmem_cache_free` meaning something
else, so what differs between two programs is the allocator and nothing but the allocator. These run
natively only.
"""

from __future__ import annotations

from types import FunctionType

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from shm.compiler import Entry, dual_inline, entry
from stress.engine import cpu_main

MALLOC_BYTES = 64

_I64 = ir.IntType(64)
_POINTER = ir.IntType(8).as_pointer()


@intrinsic
def _libc_malloc(typing_context, size):
    def build(context, builder, signature, args):
        function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(_POINTER, [_I64]), "malloc")
        return builder.ptrtoint(builder.call(function, args), _I64)

    return types.int64(types.int64), build


@intrinsic
def _libc_free(typing_context, address):
    def build(context, builder, signature, args):
        function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(ir.VoidType(), [_POINTER]), "free")
        builder.call(function, [builder.inttoptr(args[0], _POINTER)])
        return context.get_dummy_value()

    return types.none(types.int64), build


@dual_inline
def _malloc_object(m, root: int, memcg: int) -> int:
    return _libc_malloc(MALLOC_BYTES)


@dual_inline
def _free_object(m, obj: int) -> None:
    _libc_free(obj)


@dual_inline
def _no_object(m, root: int, memcg: int) -> int:
    return root


@dual_inline
def _forget_object(m, obj: int) -> None:
    pass


def _engine_with(name: str, alloc, free) -> Entry:
    """`cpu_main` with another allocator: copies of it and of what calls the allocator, with other globals."""
    loop = cpu_main.function
    scope = {**loop.__globals__, "kmem_cache_alloc": alloc, "kmem_cache_free": free}
    execute = scope["execute"].__code__
    assert {"kmem_cache_alloc", "kmem_cache_free"} <= set(execute.co_names) and "execute" in loop.__code__.co_names
    scope["execute"] = dual_inline(FunctionType(execute, scope, "execute"))
    return entry(FunctionType(loop.__code__, scope, f"cpu_main_{name}"))


malloc_main = _engine_with("malloc", _malloc_object, _free_object)
idle_main = _engine_with("nothing", _no_object, _forget_object)
