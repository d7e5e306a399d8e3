"""The engine's own loop with another allocator in place of ours: what its machinery costs, what malloc costs.

The same source is compiled again with `kmem_cache_alloc` and `kmem_cache_free` meaning something
else, so what differs between two programs is the allocator and nothing but the allocator. These run
natively only.

Which library's malloc it is a process decides by `bind_malloc` before it loads the program: compiled code
knows the two functions by name only, as a C program does.
"""

from __future__ import annotations

import ctypes
from types import FunctionType

from numba.extending import intrinsic

from allocators.core.kmem_cache import CACHE
from shm.atomics import load
from shm.compiler import dual_inline
from shm.entry import Entry, entry
from shm.machine import Machine
from shm.numba_internals import binding, cgutils, types
from shm.numba_internals import llvm as ir
from stress.engine import cpu_main

_MALLOC, _FREE = "slab_stress_malloc", "slab_stress_free"

_I64 = ir.IntType(64)
_I8 = ir.IntType(8)
_POINTER = _I8.as_pointer()


def bind_malloc(library: ctypes.CDLL, malloc: str = "malloc", free: str = "free") -> None:
    """From now on programs that this process loads call these functions of the library.

    AttributeError if it lacks them.
    """
    for symbol, name in ((_MALLOC, malloc), (_FREE, free)):
        binding.add_symbol(symbol, ctypes.cast(getattr(library, name), ctypes.c_void_p).value)


bind_malloc(ctypes.CDLL(None))  # the C library's, unless something else is said


@intrinsic
def _malloc(typing_context, size):
    def build(context, builder, signature, args):
        function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(_POINTER, [_I64]), _MALLOC)
        return builder.ptrtoint(builder.call(function, args), _I64)

    return types.int64(types.int64), build


@intrinsic
def _free(typing_context, address):
    def build(context, builder, signature, args):
        function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(ir.VoidType(), [_POINTER]), _FREE)
        builder.call(function, [builder.inttoptr(args[0], _POINTER)])
        return context.get_dummy_value()

    return types.none(types.int64), build


@intrinsic
def _write_byte(typing_context, address):
    def build(context, builder, signature, args):
        builder.store(ir.Constant(_I8, 1), builder.inttoptr(args[0], _POINTER))
        return context.get_dummy_value()

    return types.none(types.int64), build


@dual_inline
def _malloc_object(m: Machine, root: int, memcg: int) -> int:
    return _malloc(load(m, root + CACHE.object_size))  # type: ignore[call-arg]  # the first one is Numba's


@dual_inline
def _written_object(m: Machine, root: int, memcg: int) -> int:
    """As _malloc_object, and every 4 KiB of the object and its end are written: then it takes memory, as one in use
    does.
    """
    size = load(m, root + CACHE.object_size)
    obj: int = _malloc(size)  # type: ignore[call-arg]
    if obj:
        for at in range(0, size, 4096):
            _write_byte(obj + at)
        _write_byte(obj + size - 1)
    return obj


@dual_inline
def _free_object(m: Machine, obj: int) -> None:
    _free(obj)  # type: ignore[call-arg]


@dual_inline
def _no_object(m: Machine, root: int, memcg: int) -> int:
    return root


@dual_inline
def _forget_object(m: Machine, obj: int) -> None:
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
written_main = _engine_with("written", _written_object, _free_object)
idle_main = _engine_with("nothing", _no_object, _forget_object)
