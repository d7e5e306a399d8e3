"""Tapes cut into turns: nothing is lost, every CPU can play each turn without what a later one brings."""

import dataclasses

import hypothesis.strategies as st
import numpy as np
import pytest
from any_workload import cases
from hypothesis import given, settings

from scenarios import tape
from scenarios.checks import validate
from scenarios.registry import SCENARIOS
from scenarios.tape import OP_CUT, OP_END, OP_MASK, OP_SECTION_BEGIN, OP_SECTION_END, Workload
from stress.play.turns import LONG, PART, in_turns, sections_of, turns_of


class Stage:
    """CPUs and events that go on wherever they can."""

    def __init__(self, load: Workload) -> None:
        self.load = load
        self.words = [list(zip(*(field.tolist() for field in tape.decode(words)))) for words in load.tapes]
        self.at, self.rounds = [0] * load.cpus, [0] * load.cpus
        self.full: set[int] = set()
        self.events_done = 0
        self._events()

    def step(self, cpu: int) -> bool:
        """One operation; False where the CPU must wait, or stands at the tape's end."""
        code, _, _, c = self.words[cpu][self.at[cpu]]
        if code == OP_END or code == tape.OP_WAIT and self.events_done < c:
            return False
        if code in tape.OPERATIONS:
            if (c in self.full) == (code == tape.OP_ALLOC):
                return False
            self.full ^= {c}
        elif code == tape.OP_ROUND:
            self.rounds[cpu] = c
            self._events()
        self.at[cpu] += 1
        return True

    def _events(self) -> None:
        events = self.load.events
        while self.events_done < len(events) and events[self.events_done].round <= min(self.rounds):
            self.events_done += 1

    def turn(self) -> None:
        """Every CPU to its next cut or its end; AssertionError where one of them cannot get there."""
        waiting = set(range(self.load.cpus))
        moved = True
        while moved:
            moved = False
            for cpu in sorted(waiting):
                while self.words[cpu][self.at[cpu]][0] not in (OP_CUT, OP_END) and self.step(cpu):
                    moved = True
            waiting = {cpu for cpu in waiting if self.words[cpu][self.at[cpu]][0] not in (OP_CUT, OP_END)}
        assert not waiting, f"CPUs {waiting} wait for a later turn, at {self.at}"
        for cpu in range(self.load.cpus):
            self.at[cpu] += self.words[cpu][self.at[cpu]][0] == OP_CUT


def play(load: Workload) -> None:
    """All turns to the end; AssertionError where a turn needs a later one."""
    stage = Stage(load)
    for _ in range(turns_of(load)):
        stage.turn()
    assert [words[at][0] for words, at in zip(stage.words, stage.at)] == [OP_END] * load.cpus
    assert not stage.full and stage.events_done == len(load.events)


def recorded(load: Workload, seed: int) -> Workload:
    """As if a kernel had been recorded: no sections, and the exact order of some interleaving of the tapes."""
    load = dataclasses.replace(load, tapes=tuple(without(words, MARKS) for words in load.tapes))
    rng, stage = np.random.default_rng(seed), Stage(load)
    order: list[int] = []
    while len(order) < sum(len(words) - 1 for words in load.tapes):
        cpu = int(rng.integers(load.cpus))
        for _ in range(int(rng.integers(1, 40))):
            if not stage.step(cpu):
                break
            order.append(cpu)
    return dataclasses.replace(load, order=np.array(order, np.uint8))


MARKS = (OP_CUT, OP_SECTION_BEGIN, OP_SECTION_END)


def without(words: np.ndarray, codes: tuple[int, ...]) -> np.ndarray:
    return words[~np.isin(words & OP_MASK, codes)]


def held(words: np.ndarray) -> dict[int, int]:
    """Operations in sections of each kind."""
    _, kind, _, operations = tape.decode(words[words & OP_MASK == OP_SECTION_END])
    return {k: int(operations[kind == k].sum()) for k in np.unique(kind).tolist()}


@settings(max_examples=200)
@given(cases(), st.sampled_from([1, 7, 60, 400, 3000]), st.booleans(), st.integers(0, 1000))
def test_any_workload_is_played_by_turns(case, size, ordered, order):
    scenario, params, cpus, seed = case
    load = scenario.build(params, cpus, seed)
    if ordered:
        load = recorded(load, order)
        validate(load)
    cut = in_turns(load, size)
    assert cut.order is None
    assert {int(np.count_nonzero(words & OP_MASK == OP_CUT)) + 1 for words in cut.tapes} == {turns_of(cut)}
    for before, after in zip(load.tapes, cut.tapes, strict=True):
        assert np.array_equal(without(before, MARKS), without(after, MARKS)), "in the old order"
        assert ordered or held(before) == held(after)
        check_sections(after)
        found = sections_of(after)
        ends = np.flatnonzero(after & OP_MASK == OP_SECTION_END)
        assert found.turn.tolist() == [int(np.count_nonzero(after[:end] & OP_MASK == OP_CUT)) for end in ends]
        assert not len(found.operations) or found.operations.max() <= LONG
        if ordered:
            assert sum(held(after).values()) == np.count_nonzero(np.isin(after & OP_MASK, tape.OPERATIONS)), (
                "all is timed"
            )
    play(cut)


@pytest.mark.parametrize("ordered", [False, True])
def test_long_sections_are_parted(ordered):
    scenario = SCENARIOS["free-burst"]
    load = scenario.build(scenario.parameters(objects=3000, bursts=2), 2, 1)
    before = max(int(sections_of(words).operations.max()) for words in load.tapes)
    cut = in_turns(recorded(load, 1) if ordered else load, 2000)
    assert before > LONG
    for old, words in zip(load.tapes, cut.tapes, strict=True):
        check_sections(words)
        sizes = sections_of(words).operations
        assert sizes.max() <= LONG and np.median(sizes) > PART / 2
        assert ordered or held(old) == held(words)
    play(cut)


def check_sections(words: np.ndarray) -> None:
    """Begun and ended in turn, of one kind, holding what they say, and no cut inside."""
    kind, operations = None, 0
    for code, a, _, c in zip(*tape.decode(words)):
        if code == OP_SECTION_BEGIN:
            assert kind is None
            kind, operations = a, 0
        elif code == OP_SECTION_END:
            assert kind == a and operations == c > 0
            kind = None
        elif code in (OP_CUT, OP_END):
            assert kind is None
        else:
            operations += code in tape.OPERATIONS


@pytest.mark.parametrize("size", [300, 1000, 4000])
def test_turns_of_a_storm_are_about_as_long_as_asked_for(size):
    scenario = SCENARIOS["offline-storm"]
    cut = in_turns(scenario.build(scenario.parameters(operations=60_000), 2, 1), size)
    for words in cut.tapes:
        code = words & OP_MASK
        done = np.cumsum(np.isin(code, (tape.OP_ALLOC, tape.OP_FREE)))[(code == OP_CUT) | (code == OP_END)]
        per_turn = np.diff(done, prepend=0)
        assert size / 2 < np.median(per_turn) < 2 * size and per_turn.max() < 4 * size


def moved(words: np.ndarray, which: int) -> np.ndarray:
    """The tape with one of its cuts a section later."""
    at = int(np.flatnonzero(words & OP_MASK == OP_CUT)[which])
    ends = np.flatnonzero(words & OP_MASK == OP_SECTION_END)
    later = int(ends[ends > at][0])
    return np.concatenate([words[:at], words[at + 1 : later + 1], words[at : at + 1], words[later + 1 :]])


def test_a_cut_that_one_cpu_has_elsewhere_is_seen():
    scenario = SCENARIOS["churn"]
    cut = in_turns(scenario.build(scenario.parameters(cgroups=3, files=5, delay=2), 2, 1), 8)
    play(cut)
    first, second = cut.tapes
    with pytest.raises(AssertionError, match="wait for a later turn"):
        play(dataclasses.replace(cut, tapes=(first, moved(second, 2))))
    with pytest.raises(AssertionError, match="wait for a later turn"):
        play(dataclasses.replace(cut, tapes=(moved(first, 2), second)))
    with pytest.raises(AssertionError):
        play(dataclasses.replace(cut, tapes=(np.delete(first, np.flatnonzero(first & OP_MASK == OP_CUT)[0]), second)))


@st.composite
def loose(draw):
    """All that the rules of `scenarios.tape` allow: work before the first round, rounds that a CPU does not have."""
    cpus, rounds = draw(st.integers(2, 3)), draw(st.integers(1, 4))
    has = [[*draw(st.lists(st.booleans(), min_size=rounds - 1, max_size=rounds - 1)), True] for _ in range(cpus)]
    has = [[True, *of] for of in has]  # round 0, without a mark
    events = tuple(tape.Event(tape.EV_SHRINK_CACHE, 0, r) for r in range(rounds + 1) if draw(st.booleans()))
    work = [[[] for _ in range(rounds + 1)] for _ in range(cpus)]
    slots = 0
    for cpu in range(cpus):
        for r in np.flatnonzero(has[cpu]).tolist():
            for _ in range(draw(st.integers(0, 12))):
                work[cpu][r].append(tape.word(tape.OP_ALLOC, c=slots))
                other = draw(st.integers(0, cpus - 1))
                later = np.flatnonzero(has[other][r + 1 :])
                if other == cpu or not len(later):
                    work[cpu][r].append(tape.word(tape.OP_FREE, c=slots))
                else:
                    work[other][r + 1 + int(later[0])].append(tape.word(tape.OP_FREE, c=slots))
                slots += 1
    tapes = []
    for cpu in range(cpus):
        words = []
        for r in np.flatnonzero(has[cpu]).tolist():
            words += [tape.word(tape.OP_ROUND, c=r)] if r else []
            words.append(tape.word(tape.OP_WAIT, c=sum(e.round <= r for e in events)))
            frees = [w for w in work[cpu][r] if w & OP_MASK == tape.OP_FREE]
            words += work[cpu][r] if draw(st.booleans()) else [w for w in work[cpu][r] if w not in frees] + frees
        tapes.append(np.array([*words, OP_END], np.int64))
    return Workload("loose", (tape.CacheSpec("c", 64),), tuple(tapes), events, slots, 0)


@settings(max_examples=200)
@given(loose(), st.sampled_from([1, 3, 10]))
def test_whatever_the_rules_of_tapes_allow_is_played_by_turns(load, size):
    validate(load)
    cut = in_turns(load, size)
    for before, after in zip(load.tapes, cut.tapes, strict=True):
        assert np.array_equal(before, without(after, (OP_CUT,)))
    play(cut)
