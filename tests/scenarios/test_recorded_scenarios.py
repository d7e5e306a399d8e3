"""The scenarios that repeat recorded programs: what they allocate, where, and in which order it goes."""

import numpy as np
import pytest

from scenarios import tape
from scenarios.registry import build
from scenarios.sizing import objects_per_slab, stride
from scenarios.traces.steps import PERMUTED, free_order
from scenarios.workloads.kernel_files import CACHES, DENTRY, OWN_DENTRIES, SHMEM_INODE


def operations(load, cpu, code):
    """(caches, cgroups, slots) of one CPU's operations of a kind, in order."""
    codes, a, b, c = tape.decode(load.tapes[cpu])
    return tuple(column[codes == code] for column in (a, b, c))


@pytest.mark.parametrize(
    "name, freed", (("fifo", [0, 1, 2, 3]), ("lifo", [3, 2, 1, 0]), ("permuted", free_order(PERMUTED, 4).tolist()))
)
def test_remote_dead_frees_in_a_recorded_order(name, freed):
    load, _ = build("remote-dead", ["objects=4", f"free_order={name}"])
    assert operations(load, 1, tape.OP_FREE)[2].tolist() == freed


@pytest.mark.parametrize("free_cpu", (0, 1))
@pytest.mark.parametrize("marked", ("false", "true"))
def test_remote_dead_allocates_on_cpu_0_and_frees_on_one(free_cpu, marked):
    load, _ = build("remote-dead", [f"free_cpu={free_cpu}", f"marked={marked}"])
    own = 3 if marked == "true" else 0
    assert [len(operations(load, cpu, tape.OP_ALLOC)[2]) for cpu in (0, 1)] == [4096 + own + 1, own]
    freed = [len(operations(load, cpu, tape.OP_FREE)[2]) - own for cpu in (0, 1)]
    assert freed == ([4096 + 1, 0] if free_cpu == 0 else [1, 4096])


def test_a_cgroup_of_leak_has_the_recorded_objects():
    load, _ = build("leak", ["cgroups=1"])
    cache, cgroup, _ = operations(load, 0, tape.OP_ALLOC)
    counts = np.bincount(cache, minlength=len(CACHES)) - 1  # without the first use
    assert counts[SHMEM_INODE] == 301 and counts[DENTRY] == 301 + OWN_DENTRIES + 20 + 40
    assert set(cgroup) == {1}
    assert len(operations(load, 1, tape.OP_FREE)[2]) == 2 * 301


def test_leak_unlinks_every_second_file_first():
    load, _ = build("leak", ["cgroups=1", "files=4", "pipes=0", "socket_pairs=0"])
    first_file = OWN_DENTRIES + 2
    files = operations(load, 1, tape.OP_FREE)[2][:8:2] - first_file
    assert files.tolist() == [0, 4, 2, 6]


def test_churn_frees_where_it_allocated_but_for_the_last():
    load, _ = build("churn", ["cgroups=7", "files=3", "delay=5"])
    homes = {slot: cpu for cpu in (0, 1) for slot in operations(load, cpu, tape.OP_ALLOC)[2].tolist()}
    away = {slot for slot in operations(load, 0, tape.OP_FREE)[2].tolist() if homes[slot] == 1}
    assert len(away) == 2 * 2 * 4, "cgroups 4 and 6 worked on CPU 1 and were unlinked on CPU 0"


def test_caches_are_as_recorded():
    """Strides and objects per slab in the metadata of the recorded kernels, two CPUs."""
    recorded = {
        "dentry": (192, 21), "shmem_inode_cache": (608, 13), "inode_cache": (536, 15), "filp": (256, 16),
        "kmalloc-192": (192, 21), "kmalloc-1024": (1024, 16), "sock_inode_cache": (640, 12), "UNIX": (768, 21),
    }  # fmt: skip
    for spec in CACHES:
        size = stride(spec.object_size, spec.align, spec.has_ctor)
        assert (size, objects_per_slab(size, 2)) == recorded[spec.name]
