"""Reads tables of deterministic steps (linux-3.16-slub-steps.csv, linux-3.16-slab-steps.csv).

Each row is one step on one private cache and what the kernel's counters read after it. The column
``do`` tells the step::

    initial              nothing, only look
    cpuK c H I N         on CPU K allocate N objects of cache I into handle H
    cpuK f H O           on CPU K free handle H in order O, see `free_order`
    cpuK q I N           on CPU K N pairs of an allocation and its free
    shrink               kmem_cache_shrink

A handle holds its objects in the order of their allocation. Steps of a cache follow one another on
the same cache, so its counters go on.
"""

from __future__ import annotations

import csv
import dataclasses
import functools
import io
import os
import re

import numpy as np

from scenarios.traces.errors import TraceError
from scenarios.traces.recording import counter_columns

ORDERS = ("first in first out", "last in first out", "permuted", "even-numbered only", "odd-numbered only")
FIFO, LIFO, PERMUTED, EVEN, ODD = range(len(ORDERS))

_LIMIT = 64 << 20  # bytes; the real tables have 80 kB
_STEP = re.compile(r"cpu(\d{1,2}) (?:(c) (\d{1,4}) (\d{1,4}) (\d{1,8})|(f) (\d{1,4}) (\d)|(q) (\d{1,4}) (\d{1,8}))")
_PER_CPU = re.compile(r"_C\d+$")
_NOT_COUNTED = ("kernel", "t", "cache", "step", "do")


@dataclasses.dataclass(frozen=True, slots=True)
class Initial:
    """Only look: a new cache, or (later) the one that the steps before left."""


@dataclasses.dataclass(frozen=True, slots=True)
class Alloc:
    """Allocate `count` objects of the cache into `handle` on `cpu`; `cache` is the recorder's own index."""

    cpu: int
    handle: int
    cache: int
    count: int


@dataclasses.dataclass(frozen=True, slots=True)
class Free:
    """Free objects of `handle` on `cpu`: those, and in the order, that `free_order(order, n)` names."""

    cpu: int
    handle: int
    order: int


@dataclasses.dataclass(frozen=True, slots=True)
class Pairs:
    """`count` times: allocate an object on `cpu` and free it at once."""

    cpu: int
    cache: int
    count: int


@dataclasses.dataclass(frozen=True, slots=True)
class Shrink:
    """kmem_cache_shrink."""


Action = Initial | Alloc | Free | Pairs | Shrink


@dataclasses.dataclass(frozen=True, slots=True)
class Step:
    """One row: what was done and what the kernel's counters read then.

    expected: every counter by the name of its column, per CPU as NAME_C0, NAME_C1; a per-CPU counter
    that the kernel left out is 0. slabs_cpu_partial becomes slabs_cpu_partial_objects and
    slabs_cpu_partial_slabs, both also per CPU.
    """

    line: int
    cache: str
    object_size: int
    number: int
    text: str
    action: Action
    expected: dict[str, int]


@dataclasses.dataclass(frozen=True, slots=True)
class StepTable:
    """A whole file. allocator: "slub" or "slab"; steps: per cache, in their order; cpus: 0 … cpus-1 act."""

    path: str
    kernel: str
    allocator: str
    cpus: int
    steps: dict[str, tuple[Step, ...]]

    def __len__(self) -> int:
        return sum(map(len, self.steps.values()))


def free_order(kind: int, n: int) -> np.ndarray:
    """Indices of the objects to free, in order, of a handle that holds `n`.

    Raises ValueError for a kind that is none of `ORDERS`.
    """
    if kind == FIFO:
        return np.arange(n)
    if kind == LIFO:
        return np.arange(n)[::-1].copy()
    if kind == PERMUTED:
        return np.array(_permutation(n), dtype=np.int64)
    if kind == EVEN:
        return np.arange(0, n, 2)
    if kind == ODD:
        return np.arange(1, n, 2)
    raise ValueError(f"order {kind} is none of 0 to {len(ORDERS) - 1}")


@functools.lru_cache(maxsize=16)
def _permutation(n: int) -> tuple[int, ...]:
    """The recorder's shuffle, with its linear congruential generator."""
    perm, x = list(range(n)), 12345
    for k in range(n - 1, 0, -1):
        x = (x * 1664525 + 1013904223) & 0xFFFFFFFF
        j = (x >> 8) % (k + 1)
        perm[k], perm[j] = perm[j], perm[k]
    return tuple(perm)


def read_steps(path: str | os.PathLike[str]) -> StepTable:
    """Read a table of steps. Raises TraceError, with the line, for anything wrong with it."""
    try:
        with open(path, "rb") as file:
            content = file.read(_LIMIT + 1)
    except OSError as error:
        raise TraceError(path, 0, f"cannot be read: {error.strerror or error}", "check the path") from None
    if len(content) > _LIMIT:
        raise TraceError(path, 0, f"larger than {_LIMIT} bytes", "is this a table of steps?")
    if not content.endswith(b"\n"):
        raise TraceError(path, content.count(b"\n") + 1, "truncated: the last line does not end in a newline")
    try:
        rows = list(csv.reader(io.StringIO(content.decode()), strict=True))
    except (csv.Error, UnicodeDecodeError):
        raise TraceError(path, 0, "no table of comma-separated values", "is this a table of steps?") from None
    header = rows[0]
    allocator = "slub" if "alloc_fastpath" in header else "slab"
    size_column = "object_size" if allocator == "slub" else "objsize"
    missing = {"kernel", "cache", "step", "do", size_column} - set(header)
    if missing:
        raise TraceError(path, 1, f"no column {', '.join(sorted(missing))}", "is this a table of steps?")
    reader = _Rows(path, header, size_column)
    for line, row in enumerate(rows[1:], start=2):
        reader.add(line, row)
    if not reader.steps:
        raise TraceError(path, len(rows), "truncated: no step follows the header")
    steps = {cache: tuple(found) for cache, found in reader.steps.items()}
    return StepTable(str(path), rows[1][header.index("kernel")], allocator, reader.cpus, steps)


class _Rows:
    """Steps so far, per cache, with the checks that need the rows before."""

    def __init__(self, path: str | os.PathLike[str], header: list[str], size_column: str) -> None:
        self.path = path
        self.header = header
        self.size_column = size_column
        self.steps: dict[str, list[Step]] = {}
        self.cpus = 1
        self.handles: dict[str, set[int]] = {}  # per cache: handles that hold objects
        parts = sorted({match[0] for name in header if (match := _PER_CPU.search(name))})
        self.partial_names = [f"slabs_cpu_partial_{what}{part}" for what in ("objects", "slabs") for part in parts]

    def add(self, line: int, row: list[str]) -> None:
        if len(row) != len(self.header):
            raise TraceError(self.path, line, f"{len(row)} columns instead of {len(self.header)}")
        fields = dict(zip(self.header, row))
        cache, text = fields["cache"], fields["do"]
        earlier = self.steps.setdefault(cache, [])
        action = self._action(line, text, self.handles.setdefault(cache, set()))
        if not earlier and not isinstance(action, Initial):
            raise TraceError(self.path, line, f"steps of {cache} do not begin with 'initial'")
        try:
            number = int(fields["step"])
            expected = self._expected(fields)
            step = Step(line, cache, expected[self.size_column], number, text, action, expected)
        except ValueError as error:
            raise TraceError(self.path, line, f"malformed: {error}") from None
        if earlier and number <= earlier[-1].number:
            raise TraceError(self.path, line, f"step {number} of {cache} follows step {earlier[-1].number}")
        earlier.append(step)

    def _action(self, line: int, text: str, filled: set[int]) -> Action:
        if text == "initial":
            return Initial()
        if text == "shrink":
            return Shrink()
        match = _STEP.fullmatch(text)
        if match is None:
            raise TraceError(self.path, line, f"unknown step {text!r}")
        first, *fields = match.groups()
        op, *rest = [field for field in fields if field is not None]
        cpu, numbers = int(first), [int(number) for number in rest]
        self.cpus = max(self.cpus, cpu + 1)
        if op == "c":
            filled.add(numbers[0])
            return Alloc(cpu, *numbers)
        if op == "q":
            return Pairs(cpu, *numbers)
        handle, order = numbers
        if handle not in filled:
            raise TraceError(self.path, line, f"handle {handle} is freed before anything is allocated into it")
        if order >= len(ORDERS):
            raise TraceError(self.path, line, f"order {order} is none of 0 to {len(ORDERS) - 1}")
        return Free(cpu, handle, order)

    def _expected(self, fields: dict[str, str]) -> dict[str, int]:
        expected: dict[str, int] = {}
        for name, text in fields.items():
            if name in _NOT_COUNTED:
                continue
            if name == "slabs_cpu_partial":
                expected |= dict.fromkeys(self.partial_names, 0) | counter_columns(name, text)
            elif text == "" and _PER_CPU.search(name):
                expected[name] = 0
            else:
                expected |= counter_columns(name, text)
        return expected
