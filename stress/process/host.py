"""The machine under the run: which CPUs may be used, what it is, and how much it disturbs.

Everything here asks the operating system through `os` and psutil; nothing here judges.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import importlib.metadata
import os
import platform
import sys
from collections.abc import Iterable, Sequence

PACKAGES = ("numba", "numpy")
STALL_NS = 1_000_000  # a wait for a CPU from which it is a long stall
_PR_SET_TIMERSLACK = 29


def available_cpus() -> list[int]:
    """CPUs this process may be pinned to, ascending; containers and cpusets shrink it."""
    return sorted(os.sched_getaffinity(0))


def placement(cpus: int, available: Sequence[int] | None = None) -> tuple[list[int], bool]:
    """The CPU to pin each of `cpus` workers to, in turn, and whether workers must share (oversubscribed)."""
    available = list(available) if available is not None else available_cpus()
    return [available[i % len(available)] for i in range(cpus)], cpus > len(available)


def pin(pid: int, cpu: int) -> None:
    """Bind a process to one CPU. Raises psutil.Error if it is gone or the CPU may not be used."""
    import psutil

    psutil.Process(pid).cpu_affinity([cpu])


def fine_timers() -> None:
    """Let this process's sleeps end when they should, not up to 50 µs later (PR_SET_TIMERSLACK of prctl(2))."""
    ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, 1)


@dataclasses.dataclass(frozen=True, slots=True)
class Counters:
    """Disturbances so far: of some processes involuntary context switches and the nanoseconds they could
    have run but had to wait for a CPU (None where the kernel does not tell); of some CPUs steal ticks.

    `shared_ns` is what a process of the model that has no CPU of its own ran: they may have waited for that.

    A tick is 1 / `os.sysconf("SC_CLK_TCK")` seconds, usually 10 ms.
    """

    involuntary_switches: int = 0
    steal_ticks: int = 0
    waited_ns: int | None = None
    shared_ns: int = 0

    def since(self, earlier: Counters) -> Counters:
        """What was added; never below 0, although a process that ended takes its count with it."""
        return Counters(
            max(0, self.involuntary_switches - earlier.involuntary_switches),
            max(0, self.steal_ticks - earlier.steal_ticks),
            None if self.waited_ns is None or earlier.waited_ns is None else max(0, self.waited_ns - earlier.waited_ns),
            max(0, self.shared_ns - earlier.shared_ns),
        )

    def kept_waiting(self) -> tuple[int | None, int | None]:
        """(Nanoseconds waited beyond what the model's own process ran, how many long stalls these were at most.)

        A stall is a switch away from a process that wanted to go on. The kernel tells how many there were and
        the sum of all waits, not each of them: no more than sum / `STALL_NS` can have lasted that long.
        (None, None) where it does not tell.
        """
        if self.waited_ns is None:
            return None, None
        waited = max(0, self.waited_ns - self.shared_ns)
        return waited, min(self.involuntary_switches, waited // STALL_NS)


def read_counters(pids: Iterable[int], cpus: Iterable[int], sharing: int | None = None) -> Counters:
    """Read the counters of worker processes and of the CPUs they are pinned to; processes that are gone count 0.

    sharing: the process of the model that runs on these CPUs too.
    """
    import psutil

    switches = 0
    waited: int | None = 0
    for pid in pids:
        try:
            switches += psutil.Process(pid).num_ctx_switches().involuntary
            if waited is not None:
                waited += _schedstat(pid)[1]
        except psutil.Error:
            pass
        except (OSError, ValueError):
            waited = None
    times = psutil.cpu_times(percpu=True)
    stolen = sum(getattr(times[cpu], "steal", 0.0) for cpu in set(cpus) if cpu < len(times))
    shared = 0
    if sharing is not None and waited is not None:
        with contextlib.suppress(OSError, ValueError):
            shared = _schedstat(sharing)[0]
    return Counters(switches, round(stolen * os.sysconf("SC_CLK_TCK")), waited, shared)


def _schedstat(pid: int) -> tuple[int, int]:
    """Nanoseconds the process's first thread ran, and waited on a run queue.

    Raises OSError or ValueError where the kernel does not tell (CONFIG_SCHED_INFO).
    """
    with open(f"/proc/{pid}/schedstat", encoding="ascii") as file:
        ran, waited, _ = map(int, file.read().split())
    return ran, waited


def describe_machine() -> dict[str, object]:
    """What a reader of a result needs to know of the machine; sizes in bytes."""
    import psutil

    return {
        "cpu": cpu_model(),
        "architecture": platform.machine(),
        "cpus": psutil.cpu_count() or 0,
        "cores": psutil.cpu_count(logical=False),
        "cpus_available": len(available_cpus()),
        "memory": psutil.virtual_memory().total,
        "load_average": round(os.getloadavg()[0], 2),
        "kernel": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        **{name: package_version(name) for name in PACKAGES},
    }


def cpu_model() -> str:
    """The processor's name as the kernel gives it, else its architecture."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as lines:
            for line in lines:
                if line.lower().startswith(("model name", "hardware", "cpu model")):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine() or sys.platform


def package_version(name: str) -> str | None:
    """Version of an installed package, without importing it; None if it is not installed."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
