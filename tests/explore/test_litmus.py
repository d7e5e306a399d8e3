"""Litmus tests pin both memory models: which results of a few loads and stores are possible.

Sequential consistency and x86-TSO (Owens, Sarkar, Sewell, "A Better x86 Memory Model: x86-TSO", 2009).
Every interleaving is explored, so what is missing is forbidden.
"""

from __future__ import annotations

import pytest

from shm.atomics import cmpxchg, read_once, smp_mb, smp_rmb, smp_wmb, this_cpu_cmpxchg, write_once
from stress.explore.search.search import search
from stress.explore.world.bare import bare_space

X, Y = 0, 1


def results(programs, tso: bool) -> set[tuple]:
    """What the programs return, or the final (x, y) of programs that return nothing, in all interleavings."""
    got: dict[int, object] = {}
    seen: set[tuple] = set()

    def wrap(i, program):
        def run(m, base):
            got[i] = program(m, base)

        return run

    space, base = bare_space(
        [wrap(i, p) for i, p in enumerate(programs)],
        tso=tso,
        end=lambda s: seen.add(tuple(got[i] for i in range(len(programs))) + (s.mem[base + X], s.mem[base + Y])),
    )
    found = search(space, bound=40)
    assert found.exhaustive and found.complete and found.outcome is None
    return seen


def registers(programs, tso: bool) -> set[tuple]:
    return {r[: len(programs)] for r in results(programs, tso)}


def _sb(store, fence=lambda m: None):
    def one(m, b):
        store(m, b + X)
        fence(m)
        return read_once(m, b + Y)

    def two(m, b):
        store(m, b + Y)
        fence(m)
        return read_once(m, b + X)

    return [one, two]


def _write(m, a):
    write_once(m, a, 1)


ALL = {(0, 0), (0, 1), (1, 0), (1, 1)}


@pytest.mark.parametrize(
    "store, fence, tso, weak",
    [
        (_write, lambda m: None, False, False),
        (_write, lambda m: None, True, True),
        (_write, smp_mb, True, False),
        (_write, smp_wmb, True, True),
        (_write, smp_rmb, True, True),
        (lambda m, a: this_cpu_cmpxchg(m, a, 0, 1), lambda m: None, False, False),
        (lambda m, a: this_cpu_cmpxchg(m, a, 0, 1), lambda m: None, True, True),
        (lambda m, a: cmpxchg(m, a, 0, 1), lambda m: None, True, False),
    ],
    ids=["SB sc", "SB tso", "SB mb", "SB wmb", "SB rmb", "SB percpu sc", "SB percpu tso", "SB locked"],
)
def test_store_buffering(store, fence, tso, weak):
    assert registers(_sb(store, fence), tso) == (ALL if weak else ALL - {(0, 0)})


@pytest.mark.parametrize("tso", [False, True])
def test_message_passing(tso):
    def writer(m, b):
        write_once(m, b + X, 1)
        write_once(m, b + Y, 1)

    def reader(m, b):
        flag = read_once(m, b + Y)
        return flag, read_once(m, b + X)

    assert {r[1] for r in registers([writer, reader], tso)} == {(0, 0), (0, 1), (1, 1)}


@pytest.mark.parametrize("tso", [False, True])
def test_load_buffering(tso):
    def one(m, b):
        seen = read_once(m, b + X)
        write_once(m, b + Y, 1)
        return seen

    def two(m, b):
        seen = read_once(m, b + Y)
        write_once(m, b + X, 1)
        return seen

    assert registers([one, two], tso) == ALL - {(1, 1)}


@pytest.mark.parametrize("tso", [False, True])
def test_independent_reads_of_independent_writes(tso):
    def reader(first, second):
        return lambda m, b: (read_once(m, b + first), read_once(m, b + second))

    writers = [lambda m, b: write_once(m, b + X, 1), lambda m, b: write_once(m, b + Y, 1)]
    seen = {(r[2], r[3]) for r in registers([*writers, reader(X, Y), reader(Y, X)], tso)}
    assert ((1, 0), (1, 0)) not in seen
    assert len(seen) == 15


@pytest.mark.parametrize("tso", [False, True])
def test_two_writers_of_two_words(tso):
    def writer(first, second):
        def run(m, b):
            write_once(m, b + first, 1)
            write_once(m, b + second, 2)

        return run

    ends = {r[2:] for r in results([writer(X, Y), writer(Y, X)], tso)}
    assert ends == {(2, 1), (1, 2), (2, 2)}


def test_a_cpu_reads_its_own_store_early():
    def one(m, b):
        write_once(m, b + X, 1)
        return read_once(m, b + X), read_once(m, b + Y)

    def two(m, b):
        write_once(m, b + Y, 1)
        return read_once(m, b + Y), read_once(m, b + X)

    assert ((1, 0), (1, 0)) in registers([one, two], True)
    assert ((1, 0), (1, 0)) not in registers([one, two], False)
