"""What machines answer alike is compiled once in a process, and nothing else is taken for another's code."""

from __future__ import annotations

from collections.abc import Callable

import numba
from bare_machine import BareMachine

from shm import reuse
from shm.atomics import load, on_cpu, smp_mb, store, this_cpu
from shm.compiler import CHOICES, ENTRY_PIPELINE, dual, dual_slow
from shm.machine import Machine
from shm.native import MachineType

WORDS = 8
MACHINES = [frozenset({"STATS", *names}) for names in ("", "A", "B", "AB", "X")]
Program = Callable[[Machine, int], int]


def functions() -> tuple[Program, Callable[..., int]]:
    """A program as no process has had it, and the deepest of its functions."""

    @dual
    def deep(m: Machine, a: int) -> int:
        return load(m, a) * (7 if m.has("A") else 5)

    @dual_slow
    def middle(m: Machine, a: int) -> int:
        smp_mb(m)
        return deep(m, a) + 1

    @dual
    def same(m: Machine, a: int) -> int:
        return load(m, a) + 1000

    @dual
    def other(m: Machine, cpu: int) -> Machine:
        return on_cpu(m, cpu)

    @dual
    def choice(m: Machine, a: int) -> int:
        if m.has("B"):
            return middle(m, a)
        return same(m, a)

    @dual
    def whole(m: Machine, a: int) -> int:
        store(m, a, same(m, a=a) + choice(a=a, m=m))
        there = other(m, 1)
        store(m, a + 1, this_cpu(there) + middle(there, a))
        return 0

    return lambda m, a: whole(m, a), deep


def compile_for(program: Program, features: frozenset[str]) -> tuple[Program, list[str]]:
    """The program for a machine, and which of its functions were compiled for it."""
    del reuse.compiled[:]
    dispatcher = numba.njit(program, nogil=True, error_model="numpy", pipeline_class=ENTRY_PIPELINE)
    dispatcher.compile((MachineType(features, "bare"), numba.int64))
    return dispatcher, sorted(reuse.compiled)


def leaves(program: Program, features: frozenset[str]) -> list[int]:
    """The words that it leaves behind."""
    bare = BareMachine(serial=True, features=features, words=WORDS)
    at = bare.at["words"]
    bare.mem[at] = 3
    program(bare.cpu(0), at)
    return bare.mem[at : at + WORDS].tolist()


def test_what_is_answered_alike_is_compiled_once():
    program, _ = functions()
    compiled = []
    for features in MACHINES:
        native, names = compile_for(program, features)
        assert leaves(native, features) == leaves(program, features)
        compiled.append(names)
    first, a, b, both, x = compiled
    assert first == ["choice", "deep", "middle", "other", "same", "whole"]
    # Who calls what differs does not: it names it by a symbol. What gives back a machine is for one type.
    assert a == ["deep", "other"] and b == ["choice", "other"]
    assert both == x == ["other"]


def test_a_machine_taken_for_another_is_seen(monkeypatch):
    program, _ = functions()
    without, with_a = MACHINES[:2]
    compile_for(program, without)
    monkeypatch.setattr(MachineType, "answers", lambda self, asked: True)
    native, _ = compile_for(program, with_a)
    assert leaves(native, with_a) == leaves(program, without) != leaves(program, with_a)


def test_what_is_called_may_have_another_type():
    """Who calls it is compiled anew then, though it asked the machine nothing."""

    @dual
    def number(m: Machine, a: int) -> int | None:
        if m.has("A"):
            store(m, a, 7)
        else:
            return load(m, a) + 1

    @dual
    def caller(m: Machine, a: int) -> int:
        if number(m, a) is None:
            return 1
        return 2

    def program(m: Machine, a: int) -> int:
        store(m, a + 1, caller(m, a))
        return 0

    for features in MACHINES[:2]:
        native, names = compile_for(program, features)
        assert leaves(native, features) == leaves(program, features) and names == ["caller", "number"]


def test_programs_of_plugins_share_nothing(monkeypatch):
    program, deep = functions()
    compile_for(program, MACHINES[0])
    with monkeypatch.context() as patch:
        patch.setitem(CHOICES, deep, lambda features: lambda m, a: 11)
        native, _ = compile_for(program, MACHINES[1])
        assert leaves(native, MACHINES[1])[1] == 13
    # Nor do others share what was compiled then.
    native, names = compile_for(program, MACHINES[3])
    assert "deep" in names and leaves(native, MACHINES[3]) == leaves(program, MACHINES[3])
