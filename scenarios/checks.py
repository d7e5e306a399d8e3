"""Does a workload keep the promises the engine relies on? See `scenarios.tape` for the promises.

Everything is checked on whole arrays: a workload of millions of operations takes well under a second.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from scenarios import tape
from scenarios.tape import Workload

NEVER = np.iinfo(np.int32).max
NO_SECTION = -1
_CGROUP_EVENTS = (tape.EV_CREATE_CGROUP, tape.EV_OFFLINE_CGROUP)
_CACHE_EVENTS = (
    tape.EV_SHRINK_CACHE,
    tape.EV_CREATE_CACHE,
    tape.EV_DESTROY_CACHE,
    tape.EV_OFFLINE_CACHE,
    tape.EV_FLUSH_CACHE,
)
_FREES = (tape.OP_FREE, tape.OP_KFREE_RCU)
_HELD = {tape.SECTION_LIVE_FREE: _FREES, tape.SECTION_DEAD_FREE: _FREES, tape.SECTION_ALLOC: (tape.OP_ALLOC,)}


@dataclasses.dataclass(frozen=True, slots=True)
class _Schedule:
    """What the events say, as indices into the schedule (NEVER where there is none).

    rounds[e]: the round every CPU has reached when event e runs; never below that of an earlier event.
    """

    rounds: np.ndarray
    cgroup_created: np.ndarray
    cgroup_offline: np.ndarray
    cache_offline: np.ndarray
    cache_there: np.ndarray  # true of caches that exist from the start or are created


@dataclasses.dataclass(frozen=True, slots=True)
class _Touches:
    """All allocations and frees: one row each, the CPUs' tapes one after another.

    place: round, or place in the global order. wait: events that were waited for before.
    gone: of an allocation, the event that takes its cgroup or child cache offline (NEVER if none does).
    """

    slot: np.ndarray
    place: np.ndarray
    round: np.ndarray
    wait: np.ndarray
    cpu: np.ndarray
    free: np.ndarray
    gone: np.ndarray
    section: np.ndarray

    def __len__(self) -> int:
        return len(self.slot)


def validate(load: Workload) -> None:
    """Check the promises of `scenarios.tape`; ValueError names the first one broken.

    Each slot is allocated before it is freed, alternately; a remote free lies in a later round;
    caches, cgroups and events that are named exist; rounds never go back, and neither a WAIT nor an
    event is left without what it waits for; cgroups are used only between their creation and their
    offline. With an exact global `order` that order takes the place of the rounds in the rules about
    slots: waits then point to operations that come earlier in it, which leaves no cycle either.

    Timed sections begin and end in turn, count the allocations and frees inside and hold only what
    their kind says; no operation of theirs may have to wait for another CPU; a "dead" free is surely
    of an offline cgroup or child cache, a "live" one surely of an online one.
    """
    for cache in load.caches:
        if cache.parent >= len(load.caches):
            raise ValueError(f"cache {cache.name} is a child of cache {cache.parent}, there are {len(load.caches)}")
    schedule = _check_schedule(load)
    tapes = [_check_tape(load, cpu, schedule) for cpu in range(load.cpus)]
    columns = [field.name for field in dataclasses.fields(_Touches)]
    touches = _Touches(*(np.concatenate([getattr(t, name) for t in tapes]) for name in columns))
    if len(touches):
        _check_slots(load, touches, schedule)


def _check_schedule(load: Workload) -> _Schedule:
    created = np.full(load.cgroups + 1, NEVER)
    offline = np.full(load.cgroups + 1, NEVER)
    cache_offline = np.full(len(load.caches), NEVER)
    cache_there = np.array([cache.created for cache in load.caches], dtype=bool)
    for index, event in enumerate(load.events):
        if not 0 < event.kind < len(tape.EV_NAMES):
            raise ValueError(f"event {index} is of unknown kind {event.kind}")
        name = f"event {index}, {tape.EV_NAMES[event.kind]} {event.arg}"
        if event.round < 0:
            raise ValueError(f"{name}: round {event.round} is negative")
        if event.kind in _CGROUP_EVENTS and not 1 <= event.arg <= load.cgroups:
            raise ValueError(f"{name}: there are cgroups 1 to {load.cgroups}")
        if event.kind in _CACHE_EVENTS and not 0 <= event.arg < len(load.caches):
            raise ValueError(f"{name}: there are {len(load.caches)} caches")
        if event.kind == tape.EV_MARK and not 0 <= event.arg < len(load.marks):
            raise ValueError(f"{name}: there are {len(load.marks)} marks")
        if event.kind == tape.EV_CREATE_CGROUP:
            if created[event.arg] != NEVER:
                raise ValueError(f"{name}: the cgroup was created before")
            created[event.arg] = index
        elif event.kind == tape.EV_OFFLINE_CGROUP:
            if created[event.arg] == NEVER or offline[event.arg] != NEVER:
                raise ValueError(f"{name}: the cgroup is not online")
            offline[event.arg] = index
        elif event.kind == tape.EV_OFFLINE_CACHE:
            cache_offline[event.arg] = min(index, cache_offline[event.arg])
        elif event.kind == tape.EV_CREATE_CACHE:
            cache_there[event.arg] = True
    rounds = np.maximum.accumulate(np.array([event.round for event in load.events], dtype=np.int64))
    return _Schedule(rounds, created, offline, cache_offline, cache_there)


def _check_tape(load: Workload, cpu: int, schedule: _Schedule) -> _Touches:
    words = load.tapes[cpu]
    who = f"tape of cpu {cpu}"
    code, a, b, c = tape.decode(words)
    if not len(words) or code[-1] != tape.OP_END or np.any(code[:-1] == tape.OP_END):
        raise ValueError(f"{who} does not end in exactly one END")
    if code.max() >= len(tape.OP_NAMES):
        raise ValueError(f"{who}: unknown operation {code.max()}")
    is_round, is_wait = code == tape.OP_ROUND, code == tape.OP_WAIT
    if np.any(np.diff(c[is_round]) < 0):
        raise ValueError(f"{who}: rounds go back")
    rounds = _hold(is_round, c)
    waits = np.maximum.accumulate(_hold(is_wait, c))
    if waits[-1] > len(load.events):
        raise ValueError(f"{who} waits for event {waits[-1]}, the schedule has {len(load.events)}")
    waited = np.flatnonzero(is_wait & (c > 0))
    stuck = waited[schedule.rounds[c[waited] - 1] > rounds[waited]]
    if len(stuck):
        raise ValueError(f"{who} waits in round {rounds[stuck[0]]} for an event of a later round")
    if len(load.events) and schedule.rounds[-1] > rounds[-1]:
        raise ValueError(f"{who} ends in round {rounds[-1]}, events of round {schedule.rounds[-1]} would never run")
    _check_allocations(load, who, schedule, a, b, rounds, waits, code == tape.OP_ALLOC)

    touch = np.isin(code, tape.OPERATIONS)
    section = _check_sections(who, code, a, c, touch)
    place = rounds[:-1]
    if load.order is not None:
        place = np.flatnonzero(load.order == cpu)
        if len(place) != len(words) - 1:
            raise ValueError(f"order has {len(place)} operations of cpu {cpu}, its tape has {len(words) - 1}")
    at = np.flatnonzero(touch)
    free = code[at] != tape.OP_ALLOC
    gone = np.full(len(at), NEVER, dtype=np.int32)
    gone[~free] = np.minimum(schedule.cgroup_offline[b[at[~free]]], schedule.cache_offline[a[at[~free]]])
    return _Touches(
        slot=c[at],
        place=place[at],
        round=_small(rounds[at]),
        wait=_small(waits[at]),
        cpu=np.full(len(at), cpu, dtype=np.int32),
        free=free,
        gone=gone,
        section=section[at],
    )


def _small(values: np.ndarray) -> np.ndarray:
    """As int32, which is half the traffic in the random access that follows."""
    return values.astype(np.int32)


def _hold(is_set: np.ndarray, value: np.ndarray) -> np.ndarray:
    """At each operation the value last set, 0 before the first."""
    last = np.concatenate([[0], value[is_set]])
    return last[np.cumsum(is_set)]


def _check_allocations(
    load: Workload,
    who: str,
    schedule: _Schedule,
    cache: np.ndarray,
    cgroup: np.ndarray,
    rounds: np.ndarray,
    waits: np.ndarray,
    alloc: np.ndarray,
) -> None:
    """Allocations name caches there are and cgroups that are surely online."""
    if np.any(alloc & (cache >= len(load.caches))):
        raise ValueError(f"{who} names cache {cache[alloc].max()}, there are {len(load.caches)}")
    missing = ~schedule.cache_there[cache[alloc]]
    if np.any(missing):
        raise ValueError(f"{who} allocates from {load.caches[cache[alloc][missing][0]].name}, which is never created")
    charged = np.flatnonzero(alloc & (cgroup > 0))
    g = cgroup[charged]
    known = g <= load.cgroups
    known[known] = schedule.cgroup_created[g[known]] != NEVER
    if not np.all(known):
        raise ValueError(f"{who} allocates for cgroup {g[~known][0]}, which no event creates")
    early = waits[charged] <= schedule.cgroup_created[g]
    if np.any(early):
        raise ValueError(f"{who} allocates for cgroup {g[early][0]} without waiting for its creation")
    offline_round = np.append(schedule.rounds, NEVER)[np.minimum(schedule.cgroup_offline[g], len(load.events))]
    late = rounds[charged] >= offline_round
    if np.any(late):
        raise ValueError(f"{who} allocates for cgroup {g[late][0]} at or after its offline round")


def _check_sections(who: str, code: np.ndarray, kind: np.ndarray, c: np.ndarray, touch: np.ndarray) -> np.ndarray:
    """The kind of section each operation lies in; sections must pair, count and hold what they say."""
    begin, end = np.flatnonzero(code == tape.OP_SECTION_BEGIN), np.flatnonzero(code == tape.OP_SECTION_END)
    inside = np.full(len(code), NO_SECTION, dtype=np.int8)
    marks = np.sort(np.concatenate([begin, end]))
    if len(begin) != len(end) or np.any(marks[::2] != begin) or np.any(marks[1::2] != end):
        raise ValueError(f"{who}: sections do not begin and end in turn")
    if np.any(kind[begin] != kind[end]):
        raise ValueError(f"{who}: a section ends as another kind than it began")
    if np.any(kind[begin] >= len(tape.SECTIONS)):
        raise ValueError(f"{who}: unknown kind of section {kind[begin].max()}")
    done = np.cumsum(touch)
    wrong = done[end] - done[begin] != c[end]
    if np.any(wrong):
        says, holds = c[end][wrong][0], (done[end] - done[begin])[wrong][0]
        raise ValueError(f"{who}: a section says it holds {says} operations and holds {holds}")
    level = (np.cumsum(code == tape.OP_SECTION_BEGIN) - np.cumsum(code == tape.OP_SECTION_END)).astype(bool)
    inside[level] = np.repeat(kind[begin], end - begin)
    inside[begin] = NO_SECTION
    for section, held in _HELD.items():
        strange = (inside == section) & ~np.isin(code, held)
        if np.any(strange):
            other = tape.OP_NAMES[code[strange][0]]
            raise ValueError(f"{who}: a section of kind {tape.SECTIONS[section]} holds the operation {other}")
    return inside


def _check_slots(load: Workload, t: _Touches, schedule: _Schedule) -> None:
    """Each slot is allocated and freed in turn, across CPUs only between rounds, and sections are sure of theirs."""
    if t.slot.max() >= load.slots:
        raise ValueError(f"slot {t.slot.max()} is used, the workload has {load.slots}")
    order, slot, place = _by_slot_and_place(t)
    cpu, free = t.cpu[order], t.free[order]
    again = slot[1:] == slot[:-1]
    freed_first = free & np.concatenate([[True], ~again])
    if np.any(freed_first):
        raise ValueError(f"slot {slot[freed_first][0]} is freed before it is allocated")
    crosses = again & (cpu[1:] != cpu[:-1])
    together = crosses & (place[1:] == place[:-1])
    if np.any(together):
        raise ValueError(f"slot {slot[1:][together][0]}: crosses CPUs within one round")
    repeated = again & (free[1:] == free[:-1])
    if np.any(repeated):
        raise ValueError(f"slot {slot[1:][repeated][0]}: allocations and frees do not alternate")

    before, after = order[:-1][crosses], order[1:][crosses]
    reached = np.concatenate([[-1], schedule.rounds])[t.wait[after]]
    unsure = (t.section[after] != NO_SECTION) & (reached <= t.round[before])
    if np.any(unsure):
        raise ValueError(f"slot {t.slot[after][unsure][0]}: a timed section may have to wait for another CPU")

    freed = np.flatnonzero(free[1:])
    after, gone = order[1:][freed], t.gone[order[:-1][freed]]
    section = t.section[after]
    alive = (section == tape.SECTION_DEAD_FREE) & (gone >= t.wait[after])
    if np.any(alive):
        raise ValueError(f"slot {t.slot[after][alive][0]}: freed as dead, its cgroup may be online")
    gone_round = np.append(schedule.rounds, NEVER)[np.minimum(gone, len(schedule.rounds))]
    dead = (section == tape.SECTION_LIVE_FREE) & (gone_round <= t.round[after])
    if np.any(dead):
        raise ValueError(f"slot {t.slot[after][dead][0]}: freed as live, its cgroup may be offline")


def _by_slot_and_place(t: _Touches) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(rows, slots, places) sorted by slot, then place, then as they are; by one packed key where the bits allow."""
    index_bits, place_bits = len(t).bit_length(), int(t.place.max()).bit_length()
    if int(t.slot.max()).bit_length() + place_bits + index_bits > 63:
        order = np.lexsort((t.place, t.slot))
        return order, t.slot[order], t.place[order]
    key = (t.slot << place_bits | t.place) << index_bits | np.arange(len(t))
    key.sort()
    row = key & ((1 << index_bits) - 1)
    key >>= index_bits
    return row, key >> place_bits, key & ((1 << place_bits) - 1)
