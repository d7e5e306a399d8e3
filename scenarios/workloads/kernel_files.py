"""What a process in a cgroup leaves in the slab caches of Linux 3.16: files on tmpfs, pipes, sockets.

Per file a dentry and an inode that stay until the file is unlinked. What a process has open goes with it, before
its cgroup can: per pipe an inode, a dentry, two files and its buffers; per pair of sockets two of each.

The caches, their sizes and the objects per file are recorded; which of them a pipe takes is read from v3.16
fs/pipe.c and net/socket.c. Approximated: `OWN_DENTRIES`, names the process looked up for itself and that
go with it (recorded are one slab of dentries more than the files need), and the moment at which they come.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from scenarios import tape, writer

CACHES = (
    tape.CacheSpec("dentry", 192),
    tape.CacheSpec("shmem_inode_cache", 600, has_ctor=True),
    tape.CacheSpec("inode_cache", 528, has_ctor=True),
    tape.CacheSpec("filp", 248, align=64),
    tape.CacheSpec("kmalloc-192", 192),
    tape.CacheSpec("kmalloc-1024", 1024),
    tape.CacheSpec("sock_inode_cache", 576, align=64, has_ctor=True),
    tape.CacheSpec("UNIX", 768),
)
DENTRY, SHMEM_INODE, INODE, FILP, PIPE_INFO, PIPE_BUFFERS, SOCK_INODE, UNIX_SOCK = range(len(CACHES))
OF_A_FILE = (DENTRY, SHMEM_INODE)
OF_A_PIPE = (INODE, PIPE_INFO, PIPE_BUFFERS, DENTRY, FILP, FILP)
OF_A_SOCKET_PAIR = (SOCK_INODE, UNIX_SOCK, SOCK_INODE, UNIX_SOCK, DENTRY, FILP, DENTRY, FILP)
OWN_DENTRIES = 6


@dataclasses.dataclass(frozen=True, slots=True)
class Population:
    """What one cgroup allocates: its own names, a directory with files, then what is open for a while.

    Objects are numbered in the order of their allocation from `first` on, and so are their slots.
    """

    files: int
    pipes: int = 0
    socket_pairs: int = 0

    @property
    def kept(self) -> int:
        """Objects of the directory and its files."""
        return (self.files + 1) * len(OF_A_FILE)

    @property
    def size(self) -> int:
        return OWN_DENTRIES + self.kept + self.pipes * len(OF_A_PIPE) + self.socket_pairs * len(OF_A_SOCKET_PAIR)

    def allocations(self, cgroup: int, first: int) -> np.ndarray:
        """Tape operations that allocate everything."""
        caches = np.concatenate(
            [
                np.full(OWN_DENTRIES, DENTRY),
                np.tile(OF_A_FILE, self.files + 1),
                np.tile(OF_A_PIPE, self.pipes),
                np.tile(OF_A_SOCKET_PAIR, self.socket_pairs),
            ]
        )
        return tape.op(tape.OP_ALLOC, a=caches, b=cgroup, c=first + np.arange(self.size))

    def close(self, first: int) -> np.ndarray:
        """Frees of all that goes with the process."""
        slots = np.arange(self.size)
        return tape.op(tape.OP_FREE, c=first + np.delete(slots, slice(OWN_DENTRIES, OWN_DENTRIES + self.kept)))

    def unlink(self, first: int, files: slice = slice(None)) -> np.ndarray:
        """Frees of these files, in order."""
        at = first + OWN_DENTRIES + len(OF_A_FILE) * (1 + np.arange(self.files)[files])
        return tape.op(tape.OP_FREE, c=(at[:, None] + np.arange(len(OF_A_FILE))).reshape(-1))

    def rmdir(self, first: int) -> np.ndarray:
        """Frees of the directory."""
        return tape.op(tape.OP_FREE, c=first + OWN_DENTRIES + np.arange(len(OF_A_FILE)))


def first_use(cgroup: int, slot: int) -> np.ndarray:
    """Use every cache once, which has its child created."""
    pairs = [
        np.concatenate([tape.op(tape.OP_ALLOC, a=a, b=cgroup, c=slot), tape.op(tape.OP_FREE, c=slot)])
        for a in range(len(CACHES))
    ]
    return np.concatenate(pairs)


def home(cgroup: int, cpus: int) -> int:
    """The CPU a cgroup works on: the first two take turns."""
    return (cgroup - 1) % min(2, cpus)


def settle_in(
    out: writer.Tape, schedule: writer.Schedule, population: Population, cgroup: int, slot: int, cpu: int, cpus: int
) -> bool:
    """Two rounds of a CPU's tape, where cgroups come `writer.one_after_another`: in the first a cgroup uses every cache
    once, in the second it allocates its population from `slot` on. True where it is this CPU that it works on.
    """
    first = writer.first_round(cgroup)
    mine = home(cgroup, cpus) == cpu
    out.round(first, schedule.done_by(first))
    if mine:
        out.plain(first_use(cgroup, slot))
    out.round(first + 1, schedule.done_by(first + 1))
    if mine:
        out.section(tape.SECTION_ALLOC, population.allocations(cgroup, slot))
    return mine
