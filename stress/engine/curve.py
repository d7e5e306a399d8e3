"""Dead caches, the pages and the cgroups they pin, over kernel time: samples that the kworker takes in counted passes.

There is room for a fixed number of samples: when it is used up, every second one is dropped and the
distance of the following ones doubles. No lock is taken. The kworker alone creates and destroys caches
and cgroups, so it reads those numbers exactly; pages are charged and uncharged by every CPU meanwhile, so
their sum is off by at most what changed during the look, and exact when the world is at rest, as it is
at the last sample.
"""

from __future__ import annotations

from allocators.core.world import WORLD, WORLD_AT, kernel_ns, world
from allocators.memcg.memcontrol import MEMCG
from shm.atomics import load, read_once, store
from shm.compiler import dual
from shm.layout import struct
from shm.machine import Machine
from stress.engine.words import RUN

SAMPLE = struct("SAMPLE", "at", "dead", "pages", "cgroups")  # at: kernel time, ns
SAMPLES = 256
SAMPLE_EVERY = 100_000  # ns of kernel time at first
PER_CGROUP = 1_000  # and at least so many per cgroup, each of which is looked at


@dual
def sample_when_due(m: Machine, run: int) -> None:
    """Take a sample if it is time for one and this block wants any."""
    if load(m, run + RUN.samples):
        if kernel_ns(m) >= load(m, run + RUN.sample_due):
            take_sample(m, run)


@dual
def take_sample(m: Machine, run: int) -> None:
    """Take a sample now, if this block wants any."""
    base = load(m, run + RUN.samples)
    if base:
        if load(m, run + RUN.sampled) == SAMPLES:
            _drop_every_second(m, run, base)
        n = load(m, run + RUN.sampled)
        a = base + n * SAMPLE.SIZE
        now = kernel_ns(m)
        store(m, a + SAMPLE.at, now)
        store(m, a + SAMPLE.dead, read_once(m, WORLD_AT + WORLD.offlined) - read_once(m, WORLD_AT + WORLD.destroyed))
        store(m, a + SAMPLE.pages, _pinned_pages(m))
        store(m, a + SAMPLE.cgroups, read_once(m, WORLD_AT + WORLD.cgroups_offline))
        store(m, run + RUN.sampled, n + 1)
        store(m, run + RUN.sample_due, now + load(m, run + RUN.sample_every))


@dual
def _pinned_pages(m: Machine) -> int:
    pages = 0
    for i in range(world(m, WORLD.max_memcgs)):
        memcg = world(m, WORLD.memcgs) + i * MEMCG.SIZE
        if load(m, memcg + MEMCG.used) and read_once(m, memcg + MEMCG.online) == 0:
            pages += read_once(m, memcg + MEMCG.kmem)
    return pages


@dual
def _drop_every_second(m: Machine, run: int, base: int) -> None:
    for i in range(1, SAMPLES // 2):
        for word in range(SAMPLE.SIZE):
            store(m, base + i * SAMPLE.SIZE + word, load(m, base + 2 * i * SAMPLE.SIZE + word))
    store(m, run + RUN.sampled, SAMPLES // 2)
    store(m, run + RUN.sample_every, 2 * load(m, run + RUN.sample_every))
