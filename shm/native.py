"""Native meaning of the machine: Numba type, unboxing, and the LLVM instruction of each atomic.

`MachineType` carries the features and the kernel's name; its value is three registers: base address,
CPU, per-CPU area. Operations are lowered in place (typing and IR builder registered for the plain
Python function), so they cost no call, no extra compilation and no reference counts.
"""

from __future__ import annotations

import inspect
import platform
from collections.abc import Callable
from typing import Any

from numba.extending import (
    NativeValue,
    lower_builtin,
    lower_cast,
    models,
    overload,
    register_model,
    type_callable,
    typeof_impl,
    unbox,
)

from shm import atomics, stacks
from shm.compiler import chosen_by_type
from shm.machine import MACHINE, Machine, vector
from shm.machine_type import THIS_MACHINE, MachineType
from shm.numba_internals import AttributeTemplate, binding, bound_function, cgutils, infer_getattr, signature, types
from shm.numba_internals import llvm as ir

binding.initialize_native_asmparser()  # for inline assembly

X86 = platform.machine() in ("x86_64", "AMD64")
I64 = ir.IntType(64)
I32 = ir.IntType(32)
VOID = ir.VoidType()


@typeof_impl.register(Machine)
def _typeof(value, context):
    return MachineType(value.features, value.kernel)


@register_model(MachineType)
class _Model(models.StructModel):
    def __init__(self, manager, fe_type):
        super().__init__(manager, fe_type, [("base", types.int64), ("cpu", types.int64), ("pcpu", types.int64)])


@unbox(MachineType)
def _unbox(typ, obj, c):
    value = cgutils.create_struct_proxy(typ)(c.context, c.builder)
    for field, attribute in (("base", "address"), ("cpu", "cpu"), ("pcpu", "pcpu")):
        number = c.pyapi.object_getattr_string(obj, attribute)
        setattr(value, field, c.pyapi.long_as_longlong(number))
        c.pyapi.decref(number)
    return NativeValue(value._getvalue(), is_error=cgutils.is_not_null(c.builder, c.pyapi.err_occurred()))


@lower_cast(MachineType, MachineType)
def _same_machine(context, builder, fromty, toty, value):
    """Code that was compiled for a machine that answers alike takes this one: the same registers."""
    return value


@infer_getattr
class _Attributes(AttributeTemplate):
    key = MachineType

    @bound_function("machine.has")
    def resolve_has(self, machine, args, kws):
        if len(args) == 1 and isinstance(args[0], types.StringLiteral) and not kws:
            return signature(types.boolean, args[0])
        return None


@lower_builtin("machine.has", MachineType, types.StringLiteral)
def _has(context, builder, sig, args):
    machine, feature = sig.args
    return context.get_constant(types.boolean, machine.has(feature.literal_value))


def _lower(function, words: int, returns, machine: bool = True, priced: bool = False):
    """Decorator: the IR of `function(m, word, ...)` with `words` integer arguments.

    priced: on machines with VTIME it has another meaning, see `shm.virtual.native`.
    """

    def wrap(build):
        def typer(*args):
            if len(args) != words + machine or (machine and not isinstance(args[0], MachineType)):
                return None
            if priced and args[0].has("VTIME"):
                return None
            return returns

        # Numba binds the call to the typer's signature, which may have no *args.
        setattr(typer, "__signature__", inspect.signature(function))  # noqa: B010  no attribute that types know
        type_callable(function)(lambda context: typer)

        @lower_builtin(function, *([MachineType] if machine else []), *([types.Integer] * words))
        def lowering(context, builder, sig, args):
            ints = [context.cast(builder, v, t, types.int64) for v, t in zip(args[machine:], sig.args[machine:])]
            if not machine:
                return build(builder, *ints)
            state = cgutils.create_struct_proxy(sig.args[0])(context, builder, args[0])
            result = build(builder, state, *ints)
            return context.get_dummy_value() if result is None else result

        return build

    return wrap


def _at(builder, m, index):
    return builder.gep(builder.inttoptr(m.base, I64.as_pointer()), [index])


def _asm(builder, code: str, constraints: str, args=(), returns=VOID):
    function_type = ir.FunctionType(returns, [a.type for a in args])
    return builder.asm(function_type, code, constraints, list(args), side_effect=True)


@_lower(atomics.load, 1, types.int64, priced=True)
def _load(builder, m, a):
    return builder.load(_at(builder, m, a))


@_lower(atomics.store, 2, types.none, priced=True)
def _store(builder, m, a, v):
    builder.store(v, _at(builder, m, a))


@_lower(atomics.read_book, 1, types.int64)
def _read_book(builder, m, a):
    return builder.load(_at(builder, m, a))


@_lower(atomics.prefetch_book, 1, types.none)
def _prefetch_book(builder, m, a):
    _asm(builder, "prefetcht0 ($0)" if X86 else "prfm pldl1keep, [$0]", "r", (_at(builder, m, a),))


@_lower(atomics.peek_book, 1, types.int64)
def _peek_book(builder, m, a):
    return builder.load_atomic(_at(builder, m, a), "monotonic", 8)


@_lower(atomics.write_book, 2, types.none)
def _write_book(builder, m, a, v):
    builder.store(v, _at(builder, m, a))


@_lower(atomics.read_once, 1, types.int64, priced=True)
def _read_once(builder, m, a):
    return builder.load_atomic(_at(builder, m, a), "monotonic", 8)


@_lower(atomics.write_once, 2, types.none, priced=True)
def _write_once(builder, m, a, v):
    builder.store_atomic(v, _at(builder, m, a), "monotonic", 8)


@_lower(atomics.load_acquire, 1, types.int64, priced=True)
def _load_acquire(builder, m, a):
    return builder.load_atomic(_at(builder, m, a), "acquire", 8)


@_lower(atomics.store_release, 2, types.none, priced=True)
def _store_release(builder, m, a, v):
    builder.store_atomic(v, _at(builder, m, a), "release", 8)


@_lower(atomics.cmpxchg, 3, types.int64, priced=True)
def _cmpxchg(builder, m, a, old, new):
    return builder.extract_value(builder.cmpxchg(_at(builder, m, a), old, new, "seq_cst"), 0)


@_lower(atomics.this_cpu_cmpxchg, 3, types.int64, priced=True)
def _this_cpu_cmpxchg(builder, m, a, old, new):
    where = _at(builder, m, a)
    if X86:
        return _asm(
            builder,
            "cmpxchgq $2, ($1)",
            "={ax},r,r,{ax},~{memory},~{dirflag},~{fpsr},~{flags}",
            (where, new, old),
            I64,
        )
    seen = builder.load_atomic(where, "monotonic", 8)
    with builder.if_then(builder.icmp_signed("==", seen, old)):
        builder.store_atomic(new, where, "monotonic", 8)
    return seen


def _rmw(function, operation: str) -> None:
    @_lower(function, 2, types.int64, priced=True)
    def _build(builder, m, a, v):
        return builder.atomic_rmw(operation, _at(builder, m, a), v, "seq_cst")


@_lower(atomics.add_book, 2, types.int64)
def _add_book(builder, m, a, v):
    return builder.atomic_rmw("add", _at(builder, m, a), v, "seq_cst")


_rmw(atomics.xchg, "xchg")
_rmw(atomics.fetch_add, "add")
_rmw(atomics.fetch_or, "or")
_rmw(atomics.fetch_and, "and")


def _fence(function, order: str) -> None:
    @_lower(function, 0, types.none, priced=order == "seq_cst")
    def _build(builder, m):
        builder.fence(order)


_fence(atomics.smp_mb, "seq_cst")
_fence(atomics.smp_rmb, "acquire")
_fence(atomics.smp_wmb, "release")


@_lower(atomics.cpu_relax, 0, types.none)
def _cpu_relax(builder, m):
    _asm(builder, "pause" if X86 else "yield", "~{memory}")


def _libc(builder, name: str, args, arg_types):
    function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(I32, arg_types), name)
    builder.call(function, args)


@_lower(atomics.os_sleep, 1, types.none)
def _os_sleep(builder, m, microseconds):
    _libc(builder, "usleep", [builder.trunc(microseconds, I32)], [I32])


_FUTEX_WAIT, _FUTEX_WAKE = 0, 1  # <linux/futex.h>; not private: other processes map the segment too


def _futex(builder, m, a, operation: int, value, timeout) -> None:
    """futex(2) on the lower half of a word, which processes share."""
    number = ir.Constant(I64, 202 if X86 else 98)
    zero = ir.Constant(I64, 0)
    where = builder.ptrtoint(_at(builder, m, a), I64)
    _libc(builder, "syscall", [number, where, ir.Constant(I64, operation), value, timeout, zero, zero], [I64] * 7)


@_lower(atomics.os_wait, 4, types.none)
def _os_wait(builder, m, flag, a, seen, microseconds):
    zero, one = ir.Constant(I64, 0), ir.Constant(I64, 1)
    timeout = cgutils.alloca_once(builder, I64, size=2)  # struct timespec
    million = ir.Constant(I64, 1_000_000)
    builder.store(builder.sdiv(microseconds, million), timeout)
    nanoseconds = builder.mul(builder.srem(microseconds, million), ir.Constant(I64, 1000))
    builder.store(nanoseconds, builder.gep(timeout, [one]))
    builder.atomic_rmw("xchg", _at(builder, m, flag), one, "seq_cst")
    _futex(builder, m, a, _FUTEX_WAIT, seen, builder.ptrtoint(timeout, I64))
    builder.store_atomic(zero, _at(builder, m, flag), "monotonic", 8)


@_lower(atomics.os_wake, 2, types.none)
def _os_wake(builder, m, flag, a):
    zero, one = ir.Constant(I64, 0), ir.Constant(I64, 1)
    builder.fence("seq_cst")
    waits = builder.load_atomic(_at(builder, m, flag), "monotonic", 8)
    with builder.if_then(builder.icmp_signed("!=", waits, zero), likely=False):
        _futex(builder, m, a, _FUTEX_WAKE, one, zero)


@_lower(atomics.thread_store, 2, types.none)
def _thread_store(builder, m, address, value):
    builder.store_atomic(value, builder.inttoptr(address, I64.as_pointer()), "monotonic", 8)


@_lower(atomics.thread_load, 1, types.int64)
def _thread_load(builder, m, address):
    return builder.load_atomic(builder.inttoptr(address, I64.as_pointer()), "monotonic", 8)


@_lower(atomics.cycles, 0, types.int64, priced=True)
def _cycles(builder, m):
    if not X86:
        return _asm(builder, "mrs $0, cntvct_el0", "=r,~{memory}", (), I64)
    counter = builder.module.declare_intrinsic("llvm.readcyclecounter", fnty=ir.FunctionType(I64, []))
    return builder.call(counter, [])


@_lower(atomics.fls, 1, types.int64, machine=False)
def _fls(builder, x):
    leading = builder.ctlz(x, ir.Constant(ir.IntType(1), 0))
    return builder.sub(ir.Constant(I64, 64), leading)


@_lower(atomics.this_cpu, 0, types.int64)
def _this_cpu(builder, m):
    return m.cpu


@_lower(atomics.cpu_area, 0, types.int64)
def _cpu_area(builder, m):
    return m.pcpu


@_lower(stacks.switch_stack, 3, types.none)
def _switch_stack(builder, m, code, save, to):
    function = ir.FunctionType(VOID, [I64, I64])
    where = builder.ptrtoint(_at(builder, m, save), I64)
    builder.call(builder.inttoptr(code, function.as_pointer()), [where, to])


@_lower(stacks.entry_here, 0, types.int64)
def _entry_here(builder, m):
    inner = builder.function
    entry = ir.Function(builder.module, ir.FunctionType(VOID, [I64]), f"{inner.name}.entry")
    entry.linkage = "internal"
    body = ir.IRBuilder(entry.append_basic_block())
    words = body.inttoptr(entry.args[0], I64.as_pointer())
    # Numba's convention: where the result goes, where an exception would, then the arguments, here all integers.
    result, exception, *arguments = inner.function_type.args
    given = [body.alloca(result.pointee), body.alloca(exception.pointee)]
    given += [body.load(body.gep(words, [ir.Constant(I64, i)])) for i in range(len(arguments))]
    body.call(inner, given)
    body.ret_void()
    return builder.ptrtoint(entry, I64)


@_lower(atomics._about_to_disable, 0, types.none)
def _about_to_disable(builder, m):
    return None


@_lower(atomics._irqs_on_again, 0, types.none, priced=True)
def _irqs_on_again(builder, m):
    return None


@_lower(atomics._raise_bug, 2, types.none)
def _raise_bug(builder, m, code, value):
    return None  # the header keeps it; the run ends with it


@type_callable(atomics.on_cpu)
def _type_on_cpu(context):
    return lambda m, cpu: m if isinstance(m, MachineType) and isinstance(cpu, types.Integer) else None


@lower_builtin(atomics.on_cpu, MachineType, types.Integer)
def _on_cpu(context, builder, sig, args):
    m = cgutils.create_struct_proxy(sig.args[0])(context, builder, args[0])
    cpu = context.cast(builder, args[1], sig.args[1], types.int64)
    header = [builder.load(_at(builder, m, ir.Constant(I64, w))) for w in (MACHINE.percpu_base, MACHINE.percpu_stride)]
    m.cpu = cpu
    m.pcpu = builder.add(header[0], builder.mul(cpu, header[1]))
    return m._getvalue()


# Calls through the kernel's vector table become direct calls: the table is known by type.


def _by_vector(function: Callable[..., Any], name: str, meaning: Callable[[Any], Callable[..., Any]]) -> None:
    """Give an operation its meaning. `meaning` makes of the table's function what Numba needs: a function with the
    names of the operation's arguments.

    Programs that count take it as they take other functions. In timed ones it is compiled by Numba's own pipeline: were
    it not, LLVM would inline what it leaves out of line now, and designs that are timed against others would change.
    There it is code for one machine, and so is who calls it; that is asked where it is remembered (`shm.reuse`).
    """

    def counted(m: Any, *words: Any) -> Callable[..., Any] | None:
        if not isinstance(m, MachineType):
            return None
        if not m.has("STATS"):
            m.ask_all()
            return None
        return meaning(vector(m.kernel, name))

    def timed(m: Any, *words: Any) -> Callable[..., Any] | None:
        if not isinstance(m, MachineType) or m.has("STATS"):
            return None
        chosen = meaning(vector(m.kernel, name))
        chosen.__qualname__ = THIS_MACHINE
        return chosen

    chosen_by_type(function, counted)
    overload(function, strict=False)(timed)


_by_vector(atomics.call_ipi, "ipi", lambda target: lambda m, func, arg: target(m, func, arg))
_by_vector(atomics.call_rcu, "rcu", lambda target: lambda m, func, arg: target(m, func, arg))
_by_vector(atomics.call_work, "work", lambda target: lambda m, func, a, b: target(m, func, a, b))
_by_vector(atomics.call_bound_work, "bound_work", lambda target: lambda m: target(m))
_by_vector(atomics.call_timers, "timers", lambda target: lambda m: target(m))
_by_vector(atomics.call_settling, "settling", lambda target: lambda m: target(m))
_by_vector(atomics.call_free_lock, "free_lock", lambda target: lambda m: target(m))
