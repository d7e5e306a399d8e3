"""The tape format, and each way to break its promises."""

import dataclasses

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from scenarios import tape
from scenarios.checks import validate
from scenarios.tape import CacheSpec, Event, Workload, op

CREATE, OFFLINE, MARK = tape.EV_CREATE_CGROUP, tape.EV_OFFLINE_CGROUP, tape.EV_MARK
EVENTS = (Event(CREATE, 1, 0), Event(CREATE, 2, 1), Event(MARK, 0, 2), Event(OFFLINE, 1, 3))


def alloc(slot, cgroup=0, cache=0):
    return op(tape.OP_ALLOC, a=cache, b=cgroup, c=slot)


def free(*slots):
    return op(tape.OP_FREE, c=list(slots))


def begin(kind):
    return op(tape.OP_SECTION_BEGIN, a=kind)


def end(kind, n):
    return op(tape.OP_SECTION_END, a=kind, c=n)


def round_(r):
    return op(tape.OP_ROUND, c=r)


def wait(n):
    return op(tape.OP_WAIT, c=n)


def section(kind, *parts):
    return [begin(kind), *parts, end(kind, sum(map(len, parts)))]


# CPU 0 fills slots 0 to 3 and keeps two to itself; CPU 1 frees slot 2 live and slot 3 dead.
FIRST = {
    0: [round_(1), wait(1), *section(tape.SECTION_ALLOC, alloc(0), alloc(1, 1), alloc(2, 2), alloc(3, 1))],
    2: [round_(2), wait(2), *section(tape.SECTION_LIVE_FREE, free(0, 1))],
    3: [round_(3), wait(3)],
    4: [round_(4), wait(4), alloc(0), free(0)],
}
SECOND = {
    0: [round_(1)],
    2: [round_(2)],
    3: [round_(3), wait(3), *section(tape.SECTION_LIVE_FREE, free(2))],
    4: [round_(4), wait(4), *section(tape.SECTION_DEAD_FREE, free(3))],
}


def workload(first=None, second=None, events=EVENTS, **fields):
    """The sound workload with some of its stages replaced."""
    tapes = []
    for stages, changed in ((FIRST, first), (SECOND, second)):
        stages = stages | (changed or {})
        tapes.append(tape.concatenate([part for stage in sorted(stages) for part in stages[stage]]))
    given_ = dict(
        name="test",
        caches=(CacheSpec("a", 64), CacheSpec("b", 64, created=False)),
        tapes=tuple(tapes),
        events=tuple(events),
        slots=4,
        cgroups=2,
        marks=("one",),
    )
    return Workload(**(given_ | fields))


# Cgroup 2 must be waited for, so the sound workload allocates for it only after WAIT 2.
FIRST[0] = [round_(1), wait(2), *section(tape.SECTION_ALLOC, alloc(0), alloc(1, 1), alloc(2, 2), alloc(3, 1))]


def test_the_sound_workload():
    load = workload()
    validate(load)
    assert load.cpus == 2 and load.operations() == 10


FAULTS = {
    "no END": (dict(tapes=(np.array([tape.OP_ROUND]), op(tape.OP_END))), "does not end in exactly one END"),
    "empty tape": (dict(tapes=(np.array([], dtype=np.int64), op(tape.OP_END))), "does not end in exactly one END"),
    "END inside": (dict(first={2: [op(tape.OP_END)]}), "does not end in exactly one END"),
    "opcode": (dict(first={5: [np.array([10])]}), "unknown operation 10"),
    "rounds back": (dict(second={5: [round_(2)]}), "tape of cpu 1: rounds go back"),
    "wait too far": (dict(first={5: [wait(5)]}), "waits for event 5, the schedule has 4"),
    "wait for later": (dict(first={0: [round_(1), wait(3)]}), "waits in round 1 for an event of a later round"),
    "stops early": (dict(second={3: [], 4: []}), "tape of cpu 1 ends in round 2, events of round 3 would never run"),
    "no such cache": (dict(first={5: [alloc(0, 0, 2), free(0)]}), "names cache 2, there are 2"),
    "cache never created": (dict(first={5: [alloc(0, 0, 1), free(0)]}), "allocates from b, which is never created"),
    "cgroup too large": (dict(first={5: [alloc(0, 3), free(0)]}), "cgroup 3, which no event creates"),
    "cgroup not created": (
        dict(events=(EVENTS[0], Event(MARK, 0, 1), *EVENTS[2:])),
        "cgroup 2, which no event creates",
    ),
    "creation not waited": (
        dict(first={0: [round_(1), wait(1), alloc(0), alloc(1, 1), alloc(2, 2), alloc(3, 1)]}),
        "cgroup 2 without waiting for its creation",
    ),
    "used after offline": (dict(first={5: [alloc(0, 1), free(0)]}), "cgroup 1 at or after its offline round"),
    "slot beyond": (dict(first={5: [alloc(4), free(4)]}), "slot 4 is used, the workload has 4"),
    "freed first": (
        dict(first={0: [round_(1), wait(2), alloc(1, 1), alloc(2, 2), alloc(3, 1)]}),
        "slot 0 is freed before",
    ),
    "freed twice": (dict(first={5: [free(0)]}), "slot 0: allocations and frees do not alternate"),
    "allocated twice": (dict(first={5: [alloc(0), alloc(0)]}), "slot 0: allocations and frees do not alternate"),
    "same round": (dict(second={0: [round_(1), free(2)], 3: [round_(3)]}), "slot 2: crosses CPUs within one round"),
    "timed wait": (
        dict(second={2: [round_(2), *section(tape.SECTION_LIVE_FREE, free(2))], 3: [round_(3)]}),
        "slot 2: a timed section may have to wait for another CPU",
    ),
    "dead too early": (
        dict(second={4: [round_(4), wait(3), *section(tape.SECTION_DEAD_FREE, free(3))]}),
        "slot 3: freed as dead, its cgroup may be online",
    ),
    "dead but live": (
        dict(second={3: [round_(3), wait(3)], 4: [round_(4), wait(4), *section(tape.SECTION_DEAD_FREE, free(2, 3))]}),
        "slot 2: freed as dead, its cgroup may be online",
    ),
    "live too late": (
        dict(second={4: [round_(4), wait(4), *section(tape.SECTION_LIVE_FREE, free(3))]}),
        "slot 3: freed as live, its cgroup may be offline",
    ),
    "section open": (dict(first={5: [begin(tape.SECTION_MIXED)]}), "sections do not begin and end in turn"),
    "section nested": (
        dict(first={5: [begin(3), *section(3, alloc(0), free(0)), end(3, 2)]}),
        "sections do not begin and end in turn",
    ),
    "section ends first": (dict(first={5: [end(3, 0), begin(3)]}), "sections do not begin and end in turn"),
    "section changes": (dict(first={5: [begin(3), end(2, 0)]}), "ends as another kind than it began"),
    "section unknown": (dict(first={5: section(7)}), "unknown kind of section 7"),
    "section count": (
        dict(first={5: [begin(3), alloc(0), free(0), end(3, 3)]}),
        "says it holds 3 operations and holds 2",
    ),
    "section of frees": (
        dict(first={5: section(tape.SECTION_LIVE_FREE, alloc(0), free(0))}),
        "kind live holds the operation alloc",
    ),
    "section of allocs": (
        dict(first={5: section(tape.SECTION_ALLOC, alloc(0), free(0))}),
        "kind alloc holds the operation free",
    ),
    "section with round": (
        dict(first={5: [begin(tape.SECTION_ALLOC), round_(5), end(tape.SECTION_ALLOC, 0)]}),
        "kind alloc holds the operation round",
    ),
    "event kind": (dict(events=[*EVENTS, Event(9, 0, 3)]), "event 4 is of unknown kind 9"),
    "event round": (dict(events=[Event(MARK, 0, -1), *EVENTS]), "round -1 is negative"),
    "event cgroup": (dict(events=[*EVENTS, Event(CREATE, 3, 3)]), "event 4, create_cgroup 3: there are cgroups 1 to 2"),
    "event root": (dict(events=[*EVENTS, Event(OFFLINE, 0, 3)]), "event 4, offline_cgroup 0: there are cgroups 1 to 2"),
    "event cache": (dict(events=[*EVENTS, Event(tape.EV_SHRINK_CACHE, 2, 3)]), "shrink_cache 2: there are 2 caches"),
    "event mark": (dict(events=[*EVENTS, Event(MARK, 1, 3)]), "mark 1: there are 1 marks"),
    "created twice": (dict(events=[*EVENTS, Event(CREATE, 2, 3)]), "create_cgroup 2: the cgroup was created before"),
    "offline twice": (dict(events=[*EVENTS, Event(OFFLINE, 1, 3)]), "offline_cgroup 1: the cgroup is not online"),
    "offline unborn": (dict(events=[Event(OFFLINE, 2, 0), *EVENTS]), "offline_cgroup 2: the cgroup is not online"),
    "parent": (
        dict(caches=(CacheSpec("a", 64, parent=5), CacheSpec("b", 64))),
        "cache a is a child of cache 5, there are 2",
    ),
    "order too short": (dict(order=np.zeros(7, dtype=np.uint8)), "order has 7 operations of cpu 0"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_planted_faults_are_named(name):
    changes, message = FAULTS[name]
    with pytest.raises(ValueError, match=message):
        validate(workload(**changes))


def test_an_exact_order_takes_the_place_of_rounds():
    tapes = (tape.concatenate([alloc(0)]), tape.concatenate([free(0)]))
    load = Workload("t", (CacheSpec("a", 64),), tapes, (), 1, 0)
    with pytest.raises(ValueError, match="crosses CPUs within one round"):
        validate(load)
    validate(dataclasses.replace(load, order=np.array([0, 1], dtype=np.uint8)))
    with pytest.raises(ValueError, match="freed before it is allocated"):
        validate(dataclasses.replace(load, order=np.array([1, 0], dtype=np.uint8)))


def test_a_dead_free_may_follow_the_offline_of_a_child_cache():
    caches = (CacheSpec("a", 64), CacheSpec("child", 64, parent=0, cgroup=1))
    events = (Event(CREATE, 1, 0), Event(tape.EV_OFFLINE_CACHE, 1, 1))
    parts = [wait(1), alloc(0, cache=1), round_(1), wait(2), *section(tape.SECTION_DEAD_FREE, free(0))]
    validate(Workload("t", caches, (tape.concatenate(parts),), events, 1, 1))
    parts[1] = alloc(0, cache=0)
    with pytest.raises(ValueError, match="freed as dead"):
        validate(Workload("t", caches, (tape.concatenate(parts),), events, 1, 1))


def test_wide_fields_do_not_fit_one_sort_key_and_are_checked_all_the_same():
    far = (1 << 27) - 1
    parts = [[round_(1), alloc(far - 1)], [round_(far), free(far - 1)]]
    load = Workload("t", (CacheSpec("a", 64),), tuple(map(tape.concatenate, parts)), (), far, 0)
    load = dataclasses.replace(
        load, tapes=(tape.concatenate(parts[0] + [round_(2)] + [alloc(0), free(0)] * 600), load.tapes[1])
    )
    validate(load)


def test_the_empty_workload():
    validate(Workload("t", (), (tape.concatenate([]),), (), 0, 0))


fields = st.tuples(st.integers(0, 4095), st.integers(0, (1 << 19) - 1), st.integers(0, (1 << 27) - 1))


@given(st.lists(fields, min_size=1, max_size=20))
def test_encoding_is_reversible(rows):
    a, b, c = map(np.array, zip(*rows))
    words = op(tape.OP_ALLOC, a, b, c)
    assert words.dtype == np.int64 and words.min() >= 0
    code, *decoded = tape.decode(words)
    assert set(code) == {tape.OP_ALLOC}
    assert all(np.array_equal(x, y) for x, y in zip((a, b, c), decoded, strict=True))
    assert [tape.word(tape.OP_ALLOC, *row) for row in rows] == words.tolist()
    flagged = op(tape.OP_ALLOC, a, b, c, flag=c % 2 == 0)
    assert ((flagged & tape.FLAG != 0) == (c % 2 == 0)).all()
    assert (flagged & ~tape.FLAG).tolist() == words.tolist()


@pytest.mark.parametrize("field", [dict(a=4096), dict(b=1 << 19), dict(c=1 << 27), dict(c=-1)])
def test_fields_that_do_not_fit(field):
    with pytest.raises(ValueError, match=f"operation alloc: field {next(iter(field))} does not fit"):
        op(tape.OP_ALLOC, **field)
    with pytest.raises(ValueError, match=f"operation alloc: field {next(iter(field))} does not fit"):
        tape.word(tape.OP_ALLOC, **field)
