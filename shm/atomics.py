"""Operations on shared words, under the names of the Linux memory model.

The order is in the name, never an argument. Each is a plain Python function (the interpreted
meaning) and has a native lowering in `shm.native`; code written with them runs on both engines.

| operation | order | remark |
|---|---|---|
| load, store | none (plain) | only for words that one CPU owns at that moment |
| read_once, write_once | relaxed, single copy | racy by intent; say why it is harmless |
| load_acquire, store_release | as named | |
| cmpxchg, xchg, fetch_add, fetch_or, fetch_and | full barrier | return the old value |
| this_cpu_cmpxchg | **no barrier**, atomic only against the own CPU | unlocked instruction on x86-64 |
| smp_mb, smp_rmb, smp_wmb | as named | |
"""

from __future__ import annotations

from shm.compiler import dual
from shm.machine import CPU, MACHINE, Bug, Machine, vector


def load(m: Machine, a: int) -> int:
    """Plain load of word `a`, which nobody else writes at the moment."""
    return m.load(a)


def store(m: Machine, a: int, v: int) -> None:
    """Plain store to word `a`, which nobody else touches at the moment."""
    m.store(a, v)


def read_once(m: Machine, a: int) -> int:
    return m.read_once(a)


def write_once(m: Machine, a: int, v: int) -> None:
    m.write_once(a, v)


def load_acquire(m: Machine, a: int) -> int:
    return m.load_acquire(a)


def store_release(m: Machine, a: int, v: int) -> None:
    m.store_release(a, v)


def cmpxchg(m: Machine, a: int, old: int, new: int) -> int:
    """Store `new` if word `a` holds `old`; returns what it held. A full barrier."""
    return m.cmpxchg(a, old, new)


def this_cpu_cmpxchg(m: Machine, a: int, old: int, new: int) -> int:
    """As cmpxchg, but atomic against the own CPU only (interrupts, preemption); no barrier."""
    return m.this_cpu_cmpxchg(a, old, new)


def xchg(m: Machine, a: int, new: int) -> int:
    return m.xchg(a, new)


def fetch_add(m: Machine, a: int, delta: int) -> int:
    return m.fetch_add(a, delta)


def fetch_or(m: Machine, a: int, bits: int) -> int:
    return m.fetch_or(a, bits)


def fetch_and(m: Machine, a: int, bits: int) -> int:
    return m.fetch_and(a, bits)


def read_book(m: Machine, a: int) -> int:
    """Plain load of a word that the laboratory keeps and a kernel has not: it costs nothing in virtual time."""
    return m.read_book(a)


def write_book(m: Machine, a: int, v: int) -> None:
    """Plain store to such a word, which nobody else touches at the moment."""
    m.write_book(a, v)


def prefetch_book(m: Machine, a: int) -> None:
    """Such a word will be wanted soon: nothing but time."""


def peek_book(m: Machine, a: int) -> int:
    """As read_once, of such a word."""
    return m.peek_book(a)


def add_book(m: Machine, a: int, delta: int) -> int:
    """As fetch_add, to such a word that all CPUs write."""
    return m.add_book(a, delta)


def smp_mb(m: Machine) -> None:
    m.fence()


def smp_rmb(m: Machine) -> None:
    m.read_fence()


def smp_wmb(m: Machine) -> None:
    m.write_fence()


def cpu_relax(m: Machine) -> None:
    """One turn of a spin loop: the pause instruction."""
    m.relax()


def os_sleep(m: Machine, microseconds: int) -> None:
    """Give the real CPU away for at least so long (interpreted: one turn of a wait)."""
    m.sleep()


def os_wait(m: Machine, flag: int, a: int, seen: int, microseconds: int) -> None:
    """Give the real CPU away until somebody calls `os_wake` with these words, for so long at most; not at all when the
    lower half of word `a` is no longer that of `seen` (interpreted: one turn of a wait).

    The word `flag` says meanwhile that somebody waits.
    """
    m.sleep()


def os_wake(m: Machine, flag: int, a: int) -> None:
    """Word `a` was written: wake who waits for that, if there is one (interpreted: nobody waits).

    Both have a full barrier between word and flag: who waits sees the new word, or is seen waiting.
    """


def thread_store(m: Machine, address: int, value: int) -> None:
    """Write a word of this thread's own memory, by its address in the process (interpreted: nothing)."""


def thread_load(m: Machine, address: int) -> int:
    """Read such a word (interpreted: 1)."""
    return 1


def cycles(m: Machine) -> int:
    """A monotonic cycle counter (the TSC; interpreted: a count of calls)."""
    return m.cycles()


def fls(x: int) -> int:
    """Position of the highest set bit, 1-based; 0 for 0. x must not be negative."""
    return x.bit_length()


def this_cpu(m: Machine) -> int:
    """The CPU this code runs on; stable only while preemption or interrupts are off."""
    return m.cpu


def cpu_area(m: Machine) -> int:
    """Base of the per-CPU area of `this_cpu`."""
    return m.pcpu


def on_cpu(m: Machine, cpu: int):
    """The machine as CPU `cpu` sees it."""
    return m.at(cpu)


def call_ipi(m: Machine, func: int, arg: int) -> None:
    """Run an interrupt's function from the kernel's vector table."""
    vector(m.kernel, "ipi")(m, func, arg)


def call_work(m: Machine, func: int, a: int, b: int) -> None:
    """Run a work item through the kernel's vector table."""
    vector(m.kernel, "work")(m, func, a, b)


def call_rcu(m: Machine, func: int, arg: int) -> None:
    """Run an RCU callback through the kernel's vector table."""
    vector(m.kernel, "rcu")(m, func, arg)


def call_bound_work(m: Machine) -> None:
    """Between two operations: the periodic work of this CPU, if it is due."""
    vector(m.kernel, "bound_work")(m)


def call_timers(m: Machine) -> None:
    """A look at the clock: let what is due be done, in serial play at once."""
    vector(m.kernel, "timers")(m)


def call_settling(m: Machine) -> int:
    """Kernel time at which timers may next find something to do after the last operation; 0 when they cannot."""
    return vector(m.kernel, "settling")(m)


def call_free_lock(m: Machine) -> int:
    """The class of the lock that frees contend for."""
    return vector(m.kernel, "free_lock")(m)


def _about_to_disable(m: Machine) -> None:
    """Interrupts or preemption are about to go off: the last moment for what they would let in. Natively nothing."""
    m.about_to_disable()


def _irqs_on_again(m: Machine) -> None:
    """Interrupts were off: what turning them off and on again costs a kernel, in virtual time."""
    m.irqs_on_again()


def _raise_bug(m: Machine, code: int, value: int) -> None:
    raise Bug(f"assertion {code} failed on cpu {m.cpu}, value {value}")


@dual
def area_of(m: Machine, cpu: int) -> int:
    """Base of the per-CPU area of any CPU."""
    return load(m, MACHINE.percpu_base) + cpu * load(m, MACHINE.percpu_stride)


@dual
def bug(m: Machine, code: int, value: int) -> None:
    """An assertion failed. Natively the first one is kept in the header; interpreted, raises Bug."""
    if cmpxchg(m, MACHINE.bug, 0, code) == 0:
        write_once(m, MACHINE.bug_value, value)
        write_once(m, MACHINE.bug_cpu, this_cpu(m))
    _raise_bug(m, code, value)


@dual
def book(m: Machine, a: int, delta: int) -> None:
    """Add to a word of the laboratory's books that only this CPU writes."""
    write_book(m, a, read_book(m, a) + delta)


@dual
def local_irq_save(m: Machine) -> int:
    """Interrupts off on this CPU; returns the old state for local_irq_restore."""
    _about_to_disable(m)
    flags = load(m, cpu_area(m) + CPU.irq)
    store(m, cpu_area(m) + CPU.irq, 1)
    return flags


@dual
def local_irq_restore(m: Machine, flags: int) -> None:
    store(m, cpu_area(m) + CPU.irq, flags)
    _irqs_on_again(m)


@dual
def preempt_disable(m: Machine) -> None:
    _about_to_disable(m)
    a = cpu_area(m) + CPU.preempt
    store(m, a, load(m, a) + 1)


@dual
def preempt_enable(m: Machine) -> None:
    a = cpu_area(m) + CPU.preempt
    store(m, a, load(m, a) - 1)
