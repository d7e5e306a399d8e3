"""An allocator is one object in two halves, and nobody asks its name instead."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from allocators import catalogue
from allocators.caches.kinds import KINDS
from allocators.catalogue import ALLOCATORS, facts
from allocators.core.world import STAT_WORDS
from allocators.slab.state import SLAB_STAT
from allocators.slob.state import SLOB_STAT
from allocators.slub.state import STAT
from shm.locks import LOCK_CLASSES
from shm.machine import vector

ROOT = Path(__file__).resolve().parents[2]
# Who speaks of one allocator by its name, and may: what a claim or a race says of it, and a format of recordings.
SPEAK_OF_ONE = {
    "stress/claims/fate.py": {"judge_half", "nothing_left"},
    "stress/claims/recorded.py": {"remote"},
    "stress/explore/races/hiding.py": {"free_and_offline"},
    "stress/inspect/report.py": {"_file", "_command", "_sentences"},  # what SLUB's sizing rules say of a file
    "stress/simulate/native.py": {""},  # the designs that each is compared by
    "scenarios/traces/steps.py": {"read_steps"},
}


def test_both_halves_have_the_same_names():
    assert list(ALLOCATORS) == list(KINDS) == ["slub", "slab", "slob"]
    assert [a.name for a in ALLOCATORS.values()] == list(ALLOCATORS)
    assert catalogue.DEFAULT in ALLOCATORS


@pytest.mark.parametrize("name", ALLOCATORS)
def test_what_the_halves_say_fits_together(name):
    about, deeds = ALLOCATORS[name], KINDS[name]
    assert len(set(about.statistics)) == len(about.statistics) <= STAT_WORDS
    assert {deeds.created, *deeds.maxima} <= set(about.statistics)
    assert about.lock in LOCK_CLASSES and LOCK_CLASSES[deeds.vectors["free_lock"](None)] == about.lock
    for what in ("ipi", "work", "rcu", "bound_work", "timers", "settling", "free_lock"):
        assert vector(name, what) is deeds.vectors[what]


def test_the_counters_of_compiled_code_are_those_of_the_catalogue():
    slub = (*catalogue.SLUB.statistics, *catalogue.SHEAF_STATISTICS)  # no design has all of them
    for struct, names in ((STAT, slub), (SLAB_STAT, catalogue.SLAB.statistics), (SLOB_STAT, catalogue.SLOB.statistics)):
        assert struct._fields[:-1] == names and struct[:-1] == tuple(range(len(names)))


def test_the_catalogue_imports_nothing_heavy():
    code = "import sys, allocators.catalogue, allocators.designs; print(*sorted(m.split('.')[0] for m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not {"numpy", "numba", "msgspec", "shm", "stress", "scenarios"} & set(done.stdout.split())


def test_of_an_unknown_allocator_the_usual_is_assumed():
    one = facts("slqb")
    assert (one.name, one.has_children, one.settles, one.lock, one.statistics) == ("slqb", True, False, "list_lock", ())
    assert "slqb" not in ALLOCATORS


def test_a_name_is_taken_once():
    with pytest.raises(ValueError, match="'slub' already"):
        catalogue.register(catalogue.SLUB)


def asked_by_name(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """(top function or class, line) where a name of an allocator is compared, looked up in a table, or asked as a
    feature."""
    names, features = set(ALLOCATORS), set().union(*(a.feature for a in ALLOCATORS.values()))

    def texts(*nodes: ast.AST) -> set[object]:
        return {c.value for node in nodes for c in ast.walk(node) if isinstance(c, ast.Constant)}

    for top in tree.body:
        for node in ast.walk(top):
            match node:
                case ast.Compare(left=left, comparators=others) if texts(left, *others) & names:
                    pass
                case ast.Dict(keys=keys) if {k.value for k in keys if isinstance(k, ast.Constant)} & names:
                    pass
                case ast.MatchValue(value=value) if texts(value) & names:
                    pass
                case ast.Call(func=ast.Attribute(attr="has"), args=[ast.Constant(value=asked)]) if asked in features:
                    pass
                case _:
                    continue
            yield getattr(top, "name", ""), node.lineno


def test_outside_its_folder_nobody_asks_an_allocators_name():
    found: dict[str, set[str]] = {}
    for folder in ("stress", "scenarios", "shm"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            for function, _ in asked_by_name(ast.parse(path.read_text())):
                found.setdefault(str(path.relative_to(ROOT)), set()).add(function)
    assert found == SPEAK_OF_ONE


@pytest.mark.parametrize(
    "text",
    [
        "x = allocator == 'slab'",
        "x = allocator in ('slab', 'slob')",
        "x = {'slub': 1}[allocator]",
        "m.has('SLAB')",
        "match a:\n    case 'slob': pass",
    ],
)
def test_asking_by_name_is_seen(text):
    assert list(asked_by_name(ast.parse(text)))
