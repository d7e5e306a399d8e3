"""Count the instructions of a call: this thread is stepped through it, instruction by instruction.

Virtual machines seldom have hardware counters. The processor's trap flag tells the same, exactly: one SIGTRAP for each
instruction, some 30,000 a second on a virtual machine. Only instructions of code that is in no file are counted, which
is the code that was compiled in this process. The handler is machine code too, and clears the flag when it is told to
stop.
"""

from __future__ import annotations

import ctypes
import platform
import signal
import threading
from collections.abc import Callable
from typing import Any

SA_SIGINFO, SA_NODEFER = 4, 0x40000000
TRAP_FLAG = 0x100
# Words of ucontext_t on x86-64: five of flags, link and stack, then REG_RIP and REG_EFL of the general registers.
PROGRAM_COUNTER, FLAGS = 5 + 16, 5 + 17
ACTIVE, COUNTED = 0, 1  # words that the handler reads and writes


class NoStepping(Exception):
    """Instructions cannot be stepped here; the text says why."""


class _Sigaction(ctypes.Structure):
    _fields_ = (
        ("handler", ctypes.c_void_p),
        ("mask", ctypes.c_uint64 * 16),
        ("flags", ctypes.c_int),
        ("restorer", ctypes.c_void_p),
    )


def count_instructions(call: Callable[[], object]) -> int:
    """Instructions of compiled code that `call` takes on this thread, which must be the main one.

    Raises NoStepping on other processors than x86-64, and outside the main thread.
    """
    if platform.machine() != "x86_64":
        raise NoStepping(f"{platform.machine()} has no trap flag")
    if threading.current_thread() is not threading.main_thread():
        raise NoStepping("signals are handled by the main thread")
    words = (ctypes.c_int64 * 2)(1, 0)
    engine, address = _handler(ctypes.addressof(words), _code_in_no_file())
    libc = ctypes.CDLL(None, use_errno=True)
    ours, before = _Sigaction(handler=address, flags=SA_SIGINFO | SA_NODEFER), _Sigaction()
    if libc.sigaction(signal.SIGTRAP, ctypes.byref(ours), ctypes.byref(before)):
        raise NoStepping("SIGTRAP cannot be handled")
    try:
        signal.raise_signal(signal.SIGTRAP)
        try:
            call()
        finally:
            words[ACTIVE] = 0
            # The next instruction's trap ends the stepping, while the handler is there.
            signal.raise_signal(signal.SIGTRAP)
    finally:
        libc.sigaction(signal.SIGTRAP, ctypes.byref(before), None)
        del engine
    return words[COUNTED]


def _handler(words: int, ranges: list[tuple[int, int]]) -> tuple[Any, int]:
    """(what keeps it alive, address) of a handler that counts traps in `ranges` and keeps the trap flag as told."""
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    lines = [
        'define void @on_trap(i32 %signal, i8* %info, i64* %context) "no-stack-protector" {',
        f"  %pc_at = getelementptr i64, i64* %context, i64 {PROGRAM_COUNTER}",
        f"  %flags_at = getelementptr i64, i64* %context, i64 {FLAGS}",
        "  %pc = load i64, i64* %pc_at",
        "  %flags = load i64, i64* %flags_at",
        f"  %active = load volatile i64, i64* inttoptr (i64 {words + 8 * ACTIVE} to i64*)",
        f"  %before = load i64, i64* inttoptr (i64 {words + 8 * COUNTED} to i64*)",
        "  %sum0 = add i64 %before, 0",
    ]
    for i, (first, last) in enumerate(ranges):
        lines += [
            f"  %off{i} = sub i64 %pc, {first}",
            f"  %in{i} = icmp ult i64 %off{i}, {last - first}",
            f"  %one{i} = zext i1 %in{i} to i64",
            f"  %sum{i + 1} = add i64 %sum{i}, %one{i}",
        ]
    lines += [
        f"  store i64 %sum{len(ranges)}, i64* inttoptr (i64 {words + 8 * COUNTED} to i64*)",
        f"  %kept = and i64 %flags, {~TRAP_FLAG}",
        f"  %bit = mul i64 %active, {TRAP_FLAG}",
        "  %next = or i64 %kept, %bit",
        "  store i64 %next, i64* %flags_at",
        "  ret void",
        "}",
    ]
    module = llvm.parse_assembly("\n".join(lines))
    module.verify()
    engine = llvm.create_mcjit_compiler(module, llvm.Target.from_default_triple().create_target_machine())
    engine.finalize_object()
    return engine, engine.get_function_address("on_trap")


def _code_in_no_file() -> list[tuple[int, int]]:
    """Address ranges of this process that may be executed and belong to no file: what was compiled at run time."""
    ranges = []
    with open("/proc/self/maps", encoding="ascii", errors="replace") as maps:
        for line in maps:
            fields = line.split()
            if "x" in fields[1] and len(fields) == 5:
                first, last = fields[0].split("-")
                ranges.append((int(first, 16), int(last, 16)))
    return ranges
