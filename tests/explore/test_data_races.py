"""Vector clocks: what orders two accesses, and what does not; the allocators have no data race but those that are
known.
"""

from __future__ import annotations

import pytest

from shm.atomics import cmpxchg, cpu_relax, fetch_add, load, load_acquire, read_once, store, store_release, write_once
from shm.locks import spin_lock, spin_unlock
from shm.rcu import quiescent_point, synchronize_sched
from stress.explore.exploring import Request, build
from stress.explore.search.search import races
from stress.explore.world.bare import bare_space

ON, OFF = "ordered", "not ordered"


def write(m, b):
    store(m, b + 1, 7)


def passes(signal, wait):
    """A plain store, a signal; a wait for it, a plain load of the same word."""

    def sender(m, b):
        write(m, b)
        signal(m, b)

    def receiver(m, b):
        while not wait(m, b):
            cpu_relax(m)
        assert load(m, b + 1) == 7

    return [sender, receiver]


def locked(access):
    def run(m, b):
        spin_lock(m, b, 0)
        access(m, b)
        spin_unlock(m, b)

    return run


def add(m, b):
    store(m, b + 1, load(m, b + 1) + 1)


def after_grace_period(m, b):
    write_once(m, b, 1)
    synchronize_sched(m)
    write(m, b)


def reader(m, b):
    if read_once(m, b) == 0:
        load(m, b + 1)
    quiescent_point(m)


CASES = {
    "two plain stores": (OFF, [write, write]),
    "a plain load and a plain store": (OFF, [write, lambda m, b: load(m, b + 1)]),
    "a marked load and a plain store": (OFF, [write, lambda m, b: read_once(m, b + 1)]),
    "a plain load and an atomic": (OFF, [lambda m, b: fetch_add(m, b + 1, 1), lambda m, b: load(m, b + 1)]),
    "marked accesses": (ON, [lambda m, b: write_once(m, b + 1, 1), lambda m, b: read_once(m, b + 1)]),
    "two plain loads": (ON, [lambda m, b: load(m, b + 1)] * 2),
    "one lock": (ON, [locked(add), locked(add)]),
    "two locks": (OFF, [locked(add), lambda m, b: locked(lambda m, _: add(m, b))(m, b + 2)]),
    "release and acquire": (ON, passes(lambda m, b: store_release(m, b, 1), lambda m, b: load_acquire(m, b))),
    "atomics": (ON, passes(lambda m, b: fetch_add(m, b, 1), lambda m, b: cmpxchg(m, b, 1, 2))),
    "a signal in a plain word": (OFF, passes(lambda m, b: store(m, b, 1), lambda m, b: load(m, b))),
    "a grace period": (ON, [after_grace_period, reader]),
    "no grace period": (OFF, [lambda m, b: [write_once(m, b, 1), write(m, b)], reader]),
}


@pytest.mark.parametrize("name", CASES)
def test_what_orders(name):
    expected, programs = CASES[name]
    found = races(bare_space(programs, races=True)[0])
    assert (found.outcome is None) == (expected == ON), found
    if expected == ON:
        assert found.schedules == 100


def test_both_places_are_named():
    space, b = bare_space([write, lambda m, b: load(m, b + 1)], races=True)
    text = races(space).outcome.text
    assert "plain store" in text and "plain load" in text and f"word {b + 1}" in text and "in write:" in text


def race_of(model: str, design: str, allocator: str = "slub", cpus: int = 1):
    found = races(build(Request(model, allocator, design, "sc", cpus)).space(races=True))
    return found.outcome.text if found.outcome else ""


def test_the_race_of_the_review_is_a_data_race():
    """R1: the destroyer sums the statistics that a free is still counting up."""
    assert "_retire" in race_of("R1", "v1+F_ALLCPU") and "slab_free" in race_of("R1", "v1+F_ALLCPU")


@pytest.mark.parametrize("allocator", ["slub", "slab"])
@pytest.mark.parametrize("design", ["v3", "linux-4.0", "linux-5.3"])
@pytest.mark.parametrize("model", ["offline-vs-free", "create-vs-offline"])
def test_none_in_the_allocators(model, design, allocator):
    assert race_of(model, design, allocator) == ""
