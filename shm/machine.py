"""The machine: one Python object and one Numba type through which all code reaches memory.

A `Machine` is one CPU's (or one task's) view of the shared words. Every function of the floors
above takes it first: ``slab_free(m, s, obj)``. It carries

- the words (natively their address),
- the CPU it runs on and that CPU's per-CPU area,
- the *features*: a frozenset of names, which is part of the Numba type. ``m.has("P7")`` is a
  constant to the compiler, so a design pays nothing for the switches of another one,
- the *kernel*: the name of a vector table (interrupt, work and RCU callbacks, timers), part of the type too,
  because this floor must call code of the floors above without knowing it.

Word 0 up to MACHINE.SIZE is the header. Who may write what: `boot` fields before any CPU runs;
`gp_seq` by `synchronize_sched` (atomically); `stop` by the coordinator; `bug*` once, by whoever wins
the cmpxchg on `bug`.
"""

from __future__ import annotations

from collections.abc import Callable

from shm.layout import struct

MAGIC = 0x51AB_0001

MACHINE = struct(
    "MACHINE",
    "null",  # word 0 is the NULL pointer's target and is never touched
    "magic",
    "words",
    "nr_cpus",  # CPUs with an area: workers, then the kworker's
    "workers",  # CPUs that play tapes; what the kernel calls nr_cpu_ids
    "percpu_base",
    "percpu_stride",
    "serial",  # 1: one process steps all CPUs; calls to other CPUs run inline
    "stop",  # 1: every loop ends at its next turn
    "ticks",  # the interpreted engine's clock
    "vtime",  # VTIME: where its tables begin, from word 0 on; see `shm.virtual`
    ("pad1", 5),
    "gp_seq",  # number of the newest grace period asked for
    ("pad2", 7),
    "bug",  # code of the first failed assertion, 0 none
    "bug_value",
    "bug_cpu",
    ("pad3", 5),
    size=64,
)

# Per-CPU area: starts with this struct; the floors above append their own regions.
CPU = struct(
    "CPU",
    "irq",  # 1: interrupts off. Owner only.
    "preempt",  # preemption depth. Owner only.
    "online",  # 1 from boot until the CPU is taken away
    ("pad0", 5),
    "service",  # bits SERVICE_*: set by others, cleared by the owner, both atomically
    "qs_done",  # newest grace period this CPU has passed a quiescent state for. Owner writes.
    ("pad1", 6),
    "ipi_lock",  # held by the sender from the call until the owner has answered
    "ipi_func",
    "ipi_arg",
    "ipi_pending",  # 1 from the send until the handler has returned
    "asleep",  # 1: it sleeps until its `service` is not 0. Owner only.
    "ipi_waited",  # 1: the sender sleeps until the handler has returned. Sender only.
    ("pad2", 2),
)

_VECTORS: dict[str, dict[str, Callable]] = {}


def register_vectors(kernel: str, **vectors: Callable) -> None:
    """Name the callbacks of a kernel.

    ipi(m, func, arg), work(m, func, a, b), rcu(m, func, arg); what the clock lets happen, bound_work(m), timers(m),
    settling(m); and free_lock(m), the class of the lock that frees contend for.
    """
    _VECTORS.setdefault(kernel, {}).update(vectors)


def vector(kernel: str, name: str) -> Callable:
    """The callback `name` of `kernel`; KeyError when it was never registered."""
    return _VECTORS[kernel][name]


class Bug(AssertionError):
    """An assertion of allocator code failed on the interpreted engine."""


class Machine:
    """See the module's text. `mem` is any mutable sequence of int: a list, or a memoryview ('q')."""

    __slots__ = ("mem", "cpu", "pcpu", "features", "kernel", "address")

    def __init__(self, mem, cpu: int = 0, features=(), kernel: str = "", address: int = 0) -> None:
        self.mem = mem
        self.features = frozenset(features)
        self.kernel = kernel
        self.address = address
        self.move_to(cpu)

    def move_to(self, cpu: int) -> None:
        """Become CPU `cpu`. Valid once the header's per-CPU fields are written (before: area 0)."""
        self.cpu = cpu
        self.pcpu = self.mem[MACHINE.percpu_base] + cpu * self.mem[MACHINE.percpu_stride]

    def at(self, cpu: int) -> Machine:
        """The same machine seen from another CPU."""
        return type(self)(self.mem, cpu, self.features, self.kernel, self.address)

    def has(self, feature: str) -> bool:
        return feature in self.features

    # The interpreted meaning of the atomics; an explorer overrides these with scheduling points.

    def load(self, a: int) -> int:
        return self.mem[a]

    def store(self, a: int, v: int) -> None:
        self.mem[a] = v

    # Marked accesses, which may race. Here they are as the plain ones; an explorer tells them apart.

    def read_once(self, a: int) -> int:
        return self.load(a)

    def write_once(self, a: int, v: int) -> None:
        self.store(a, v)

    def load_acquire(self, a: int) -> int:
        return self.load(a)

    def store_release(self, a: int, v: int) -> None:
        self.store(a, v)

    # Words of the laboratory's own: as the others, but a machine with prices takes none for them.

    def read_book(self, a: int) -> int:
        return self.load(a)

    def write_book(self, a: int, v: int) -> None:
        self.store(a, v)

    def peek_book(self, a: int) -> int:
        return self.read_once(a)

    def add_book(self, a: int, delta: int) -> int:
        return self.fetch_add(a, delta)

    def cmpxchg(self, a: int, old: int, new: int) -> int:
        seen = self.mem[a]
        if seen == old:
            self.mem[a] = new
        return seen

    def this_cpu_cmpxchg(self, a: int, old: int, new: int) -> int:
        return self.cmpxchg(a, old, new)

    def xchg(self, a: int, new: int) -> int:
        seen = self.mem[a]
        self.mem[a] = new
        return seen

    def fetch_add(self, a: int, delta: int) -> int:
        seen = self.mem[a]
        self.mem[a] = seen + delta
        return seen

    def fetch_or(self, a: int, bits: int) -> int:
        seen = self.mem[a]
        self.mem[a] = seen | bits
        return seen

    def fetch_and(self, a: int, bits: int) -> int:
        seen = self.mem[a]
        self.mem[a] = seen & bits
        return seen

    def fence(self) -> None:
        pass

    def read_fence(self) -> None:
        pass

    def write_fence(self) -> None:
        pass

    def relax(self) -> None:
        pass

    def about_to_disable(self) -> None:
        pass

    def irqs_on_again(self) -> None:
        pass

    def sleep(self) -> None:
        pass

    def cycles(self) -> int:
        """The same clock for all CPUs: an interval between two of them is never negative."""
        self.mem[MACHINE.ticks] += 1
        return self.mem[MACHINE.ticks]
