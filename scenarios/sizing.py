"""How many objects SLUB of Linux 3.16 puts into a slab, in plain Python.

A scenario that fills whole slabs must know how many objects that takes. The allocator under test
has its own sizing; if it counts other CPUs than the workload's, slabs are merely not quite full.
"""

from __future__ import annotations

PAGE = 4096
MAX_ORDER = 3
WORD = 8


def stride(object_size: int, align: int = WORD, outside_pointer: bool = False) -> int:
    """Bytes from one object to the next; the free pointer lies outside objects with a constructor or freed by RCU."""
    bytes_ = -(-object_size // WORD) * WORD + (WORD if outside_pointer else 0)
    align = max(align, WORD)
    return -(-bytes_ // align) * align


def slab_order(size: int, cpus: int) -> int:
    """Order of a slab of objects `size` bytes apart: the smallest with enough objects and little waste.

    Raises ValueError when not even one object fits into the largest slab.
    """
    largest = PAGE << MAX_ORDER
    if not 0 < size <= largest:
        raise ValueError(f"an object of {size} bytes does not fit into a slab of {largest}")
    wanted = min(4 * (cpus.bit_length() + 1), largest // size)
    for objects in range(wanted, 1, -1):
        for fraction in (16, 8, 4):
            for order in range(MAX_ORDER + 1):
                slab = PAGE << order
                if objects * size <= slab and slab % size <= slab // fraction:
                    return order
    return next(order for order in range(MAX_ORDER + 1) if size <= PAGE << order)


def objects_per_slab(size: int, cpus: int) -> int:
    """Objects in a slab of the preferred order."""
    return (PAGE << slab_order(size, cpus)) // size


def cgroups_of_slabs(operations: int, slabs: int) -> int:
    """How many cgroups come to so many operations of a CPU, if it has so many slabs of each, of some 32 objects."""
    return min(32, max(2, operations // (2 * 32 * slabs)))
