"""Sleep sets leave no final state out, at any bound: random small programs, with and without them."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st

from shm.atomics import cmpxchg, cpu_relax, fetch_add, read_once, smp_mb, this_cpu_cmpxchg, write_once
from shm.locks import spin_lock, spin_unlock
from stress.explore.search.depth_first import DepthFirst
from stress.explore.search.search import Budget, learn
from stress.explore.search.search import _Meter as Meter
from stress.explore.space.footprint import Footprint
from stress.explore.world.bare import bare_space

WORDS = 3
LOCK = 5


def _wait(m, a):
    while read_once(m, a) == 0:
        cpu_relax(m)


def _locked(m, b, a):
    spin_lock(m, b + LOCK, 0)
    write_once(m, a, read_once(m, a) + 1)
    spin_unlock(m, b + LOCK)


OPERATIONS = {
    "load": lambda m, b, a: read_once(m, a),
    "store": lambda m, b, a: write_once(m, a, 3),
    "add": lambda m, b, a: fetch_add(m, a, 1),
    "cas": lambda m, b, a: cmpxchg(m, a, 0, 5),
    "this_cpu_cas": lambda m, b, a: this_cpu_cmpxchg(m, a, 0, 6),
    "mb": lambda m, b, a: smp_mb(m),
    "wait": lambda m, b, a: _wait(m, a),
    "locked": _locked,
}
PROGRAM = st.lists(st.tuples(st.sampled_from(sorted(OPERATIONS)), st.integers(0, WORDS - 1)), min_size=1, max_size=4)


class Plain(DepthFirst):
    """Without sleep sets."""

    def _come_from(self, node):
        return super()._come_from(node)[0], {}


def ends(programs, strategy_of, bound: int, tso: bool) -> tuple[set, int]:
    """Every way an execution ends, and how many executions it took."""

    def runner(program):
        def run(m, b):
            for name, word in program:
                OPERATIONS[name](m, b, b + word)

        return run

    space, base = bare_space([runner(p) for p in programs], tso=tso)
    space.locks = frozenset({base + LOCK})
    meter = Meter(Budget(0, 20_000))
    learn(space, meter, 1)
    while True:
        strategy, found, runs = strategy_of(space, bound), set(), 0
        while True:
            strategy.begin()
            outcome = space.execute(strategy.pick)
            runs += 1
            if outcome.learned:
                break
            if outcome.kind != "pruned":
                found.add((outcome.kind, outcome.end))
            if not strategy.advance():
                return found, runs


@settings(max_examples=60)
@given(st.lists(PROGRAM, min_size=2, max_size=3), st.integers(0, 3), st.booleans())
@example(
    [[("locked", 0), ("locked", 0), ("store", 0)], [("add", 1), ("locked", 0)], [("store", 0), ("store", 0)]], 3, True
)  # a wake-up is a step
def test_no_final_state_is_left_out(programs, bound, tso):
    assert ends(programs, DepthFirst, bound, tso)[0] == ends(programs, Plain, bound, tso)[0]


def test_a_conflict_that_is_overlooked_shows(monkeypatch):
    monkeypatch.setattr(Footprint, "spares", lambda self, flow, other: flow not in self.flows)
    programs = [[("add", 1), ("load", 0)], [("load", 1), ("store", 0), ("add", 0)]]
    assert ends(programs, DepthFirst, 3, False)[0] < ends(programs, Plain, 3, False)[0]


def test_schedules_are_left_out():
    programs = [[("add", 0), ("add", 1), ("add", 2)], [("add", 2), ("add", 1), ("add", 0)]]
    plain, many = ends(programs, Plain, 3, False)
    reduced, few = ends(programs, DepthFirst, 3, False)
    assert reduced == plain and few < 0.8 * many
