"""Was this thread taken off its CPU since a moment ago? Without a system call, by the thread's restartable sequences.

rseq(2): a thread leaves a descriptor of a critical section in a word that it shares with the kernel. When the kernel
takes the CPU away from it, or gives it another one, and it is not inside that section, the word is set to 0. The
section described here is one that nobody is ever inside of. So to write the descriptor at a moment and to look later
whether it is still there says exactly whether a switch was between; reading the context-switch counters costs
hundreds of frees.

The C library has registered the word (glibc from 2.35 on). Where there is none, or it does not behave so, as under
emulations of Linux, nothing is watched. What a hypervisor takes away is not seen either way.
"""

from __future__ import annotations

import ctypes
import dataclasses
import functools
import os
import platform
import time

_SIGNATURES = {"x86_64": 0x53053053}  # RSEQ_SIG of the C library, by which the kernel knows its sections
_CS = 8  # offset of rseq_cs in struct rseq


@dataclasses.dataclass(frozen=True, slots=True)
class Watch:
    """word: the address of this thread's rseq_cs. descriptor: what to write there. memory: keeps the descriptor."""

    word: int
    descriptor: int
    memory: object


def watch() -> Watch | None:
    """The calling thread's; None where there is none."""
    signature = _SIGNATURES.get(platform.machine())
    libc = ctypes.CDLL(None)
    try:
        offset = ctypes.c_ssize_t.in_dll(libc, "__rseq_offset").value
        size = ctypes.c_uint.in_dll(libc, "__rseq_size").value
    except ValueError:
        return None
    if signature is None or not size:
        return None
    libc.pthread_self.restype = ctypes.c_void_p  # on x86-64 the thread pointer
    memory = ctypes.create_string_buffer(128)
    descriptor = (ctypes.addressof(memory) + 31) & ~31
    # struct rseq_cs: version and flags, start_ip, post_commit_offset, abort_ip, before which the signature must stand.
    ctypes.c_uint32.from_address(descriptor + 32).value = signature
    (ctypes.c_uint64 * 4).from_address(descriptor)[:] = [0, descriptor + 40, 1, descriptor + 36]
    return Watch(libc.pthread_self() + offset + _CS, descriptor, memory)


@functools.cache
def works() -> bool:
    """Does the kernel clear the word when a thread sleeps, and only then? Tried in a process of its own, which a kernel
    that dislikes the descriptor kills."""
    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if _tried() else 1)
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def _tried() -> bool:
    mine = watch()
    if mine is None:
        return False
    word = ctypes.c_uint64.from_address(mine.word)
    kept = 0
    for _ in range(20):
        word.value = mine.descriptor
        kept += word.value == mine.descriptor  # a switch may fall even here
    word.value = mine.descriptor
    time.sleep(0.001)
    return kept >= 10 and word.value == 0
