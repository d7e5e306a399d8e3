"""Stacks of their own for virtual CPUs, so that compiled code can be left in its middle and gone on with later.

Compiled code is plain code on the stack of whoever called it. `switch_stack` keeps what a called function must keep,
goes over to another stack and returns there, where that one was left: a few instructions, no system call. It is
assembled by LLVM, apart from all programs, and called by its address, which lies in a word of the tables: to a compiler
it is a function that it does not know, and to a program from the cache a word as any other.

What may not cross a switch does not: compiled code here raises nothing, has no Python objects and no memory of a
thread; the GIL is given back before and taken afterwards, by the thread whose stack Python's is. A stack that nobody
goes back to is given up with all that is on it.
"""

from __future__ import annotations

import ctypes
import functools
import mmap
import platform
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from shm.machine import Machine

STACK = 64 << 10  # bytes; what the deepest calls need is a small part (`Stacks.used`)


def switch_stack(m: Machine, code: int, save: int, to: int) -> None:
    """Keep this stack's pointer in word `save` and go on where the stack was left whose pointer is `to`.

    code: `Assembled.switch`. Compiled code only.
    """
    raise NotImplementedError("interpreted code is not left in its middle")


def entry_here(m: Machine) -> int:
    """The address of a function with one argument, an address: it calls the compiled function that this stands in,
    whose arguments are the words there. A machine is three of them: base, CPU, per-CPU area. Compiled code only."""
    raise NotImplementedError("interpreted code has no address")


class _Processor(NamedTuple):
    """switch, start: assembly. frame: words that `switch` keeps; function, argument, back: which of them are what
    `start` calls, its argument, and where `switch` returns to."""

    switch: str
    start: str
    frame: int
    function: int
    argument: int
    back: int


_X86 = _Processor(
    switch="""
        pushq %rbp
        pushq %rbx
        pushq %r12
        pushq %r13
        pushq %r14
        pushq %r15
        movq %rsp, (%rdi)
        movq %rsi, %rsp
        popq %r15
        popq %r14
        popq %r13
        popq %r12
        popq %rbx
        popq %rbp
        popq %rcx
        jmpq *%rcx
    """,  # not ret: what is returned to is always the same place, and no processor's stack of calls knows it
    start="""
        movq %rbx, %rdi
        callq *%r12
        ud2
    """,
    frame=7,
    function=3,
    argument=4,
    back=6,
)
_ARM = _Processor(
    switch="""
        sub sp, sp, #160
        stp x19, x20, [sp]
        stp x21, x22, [sp, #16]
        stp x23, x24, [sp, #32]
        stp x25, x26, [sp, #48]
        stp x27, x28, [sp, #64]
        stp x29, x30, [sp, #80]
        stp d8, d9, [sp, #96]
        stp d10, d11, [sp, #112]
        stp d12, d13, [sp, #128]
        stp d14, d15, [sp, #144]
        mov x9, sp
        str x9, [x0]
        mov sp, x1
        ldp x19, x20, [sp]
        ldp x21, x22, [sp, #16]
        ldp x23, x24, [sp, #32]
        ldp x25, x26, [sp, #48]
        ldp x27, x28, [sp, #64]
        ldp x29, x30, [sp, #80]
        ldp d8, d9, [sp, #96]
        ldp d10, d11, [sp, #112]
        ldp d12, d13, [sp, #128]
        ldp d14, d15, [sp, #144]
        add sp, sp, #160
        br x30
    """,
    start="""
        mov x0, x19
        blr x20
        brk #1
    """,
    frame=20,
    function=1,
    argument=0,
    back=11,
)
_PROCESSORS = {"x86_64": _X86, "AMD64": _X86, "aarch64": _ARM, "arm64": _ARM}
PROCESSOR = _PROCESSORS.get(platform.machine())  # None: compiled code cannot be left in its middle here


def source(processor: _Processor) -> str:
    """A module of LLVM's with both functions."""

    def function(name: str, arguments: str, assembly: str) -> str:
        lines = "\\0A".join(line.strip() for line in assembly.strip().splitlines())
        return (
            f"define void @{name}({arguments}) naked noinline nounwind {{\n"
            f'  call void asm sideeffect "{lines}", ""()\n  unreachable\n}}\n'
        )

    return function("slab_stress_switch", "i64 %save, i64 %to", processor.switch) + function(
        "slab_stress_start", "", processor.start
    )


class Assembled:
    """Addresses of the two functions. Raises RuntimeError on a processor that there is no assembly for."""

    def __init__(self) -> None:
        from shm.numba_internals import binding

        if PROCESSOR is None:
            raise RuntimeError(f"there is no switch of stacks for {platform.machine()}")
        binding.initialize_native_target()
        binding.initialize_native_asmprinter()
        module = binding.parse_assembly(source(PROCESSOR))
        module.verify()
        machine = binding.Target.from_default_triple().create_target_machine()
        self._engine = binding.create_mcjit_compiler(module, machine)
        self._engine.finalize_object()
        self.switch = self._engine.get_function_address("slab_stress_switch")
        self.start = self._engine.get_function_address("slab_stress_start")


@functools.cache
def assembled() -> Assembled:
    """They are assembled once in a process."""
    return Assembled()


class Stacks:
    """`count` stacks, each with a page below it that nobody may touch: too deep is SIGSEGV, not other data.

    Raises MemoryError when they cannot be had.
    """

    def __init__(self, count: int, size: int = STACK) -> None:
        self.size, self._each = size, size + mmap.PAGESIZE
        try:
            self._mmap = mmap.mmap(-1, count * self._each, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        except OSError as error:
            raise MemoryError(f"{count} stacks of {size >> 10} KiB: {error.strerror}") from None
        self._bytes = np.frombuffer(self._mmap, np.uint8).reshape(count, self._each)
        self._address = self._bytes.ctypes.data
        protect = ctypes.CDLL(None, use_errno=True).mprotect
        for number in range(count):
            if protect(ctypes.c_void_p(self._address + number * self._each), ctypes.c_size_t(mmap.PAGESIZE), 0):
                raise MemoryError(f"a page below a stack cannot be protected: errno {ctypes.get_errno()}")

    def prepare(self, number: int, entry: int, words: Sequence[int]) -> int:
        """The pointer of a stack on which, when it is switched to, the function of an `entry_here` begins, with these
        arguments. It must not return."""
        assert PROCESSOR is not None
        own = self._bytes[number, mmap.PAGESIZE :].view(np.int64)
        top = len(own)
        given = top - -(-len(words) // 2) * 2
        own[given : given + len(words)] = words
        frame = given - PROCESSOR.frame  # `switch` takes it away: `start` begins at a multiple of 16 bytes
        base = self._address + number * self._each + mmap.PAGESIZE
        own[frame + PROCESSOR.function] = entry
        own[frame + PROCESSOR.argument] = base + 8 * given
        own[frame + PROCESSOR.back] = assembled().start
        return base + 8 * frame

    def used(self) -> int:
        """Bytes of the deepest one that were ever written."""
        own = self._bytes[:, mmap.PAGESIZE :]
        return max(int(self.size - row.argmax()) if row.any() else 0 for row in (one != 0 for one in own))

    def close(self) -> None:
        """Unmap; nobody may be on one."""
        del self._bytes
        self._mmap.close()
