"""What a launch measured, turn by turn: made-up cycles, of which the truth is known."""

import dataclasses

import numpy as np
import pytest

from scenarios.tape import SECTION_ALLOC, SECTION_DEAD_FREE, SECTION_LIVE_FREE, SECTIONS
from shm.layout import view
from stress.engine import TURN
from stress.measure import turns as measure_turns
from stress.measure.turns import spread_within, sums, tabulate

CYCLES_PER_NS = 2.0
CPUS, DESIGNS, TURNS = 2, 2, 24
KINDS = np.tile([SECTION_ALLOC, SECTION_LIVE_FREE, SECTION_LIVE_FREE, SECTION_DEAD_FREE], 4 * TURNS)
SECTIONS_OF_TAPE = len(KINDS)
TURN_OF = np.repeat(np.arange(TURNS), SECTIONS_OF_TAPE // TURNS)
RATIO = 0.93  # speed of the second design's frees over the first one's


def tapes(rng):
    return [(KINDS, rng.integers(100, 700, SECTIONS_OF_TAPE), TURN_OF) for _ in range(CPUS)]


def cycles(of, storms, rng, noise=0.0, heavy=None):
    """[storm][design][cpu]: 20 ns a free, of design 1 by 1 / RATIO more; some sections five times as long."""
    made = []
    for _ in range(storms):
        storm = []
        for design in range(DESIGNS):
            cost = 40.0 / (RATIO if design else 1.0) * np.exp(noise * rng.standard_normal((CPUS, SECTIONS_OF_TAPE)))
            if heavy is not None:
                cost = np.where(heavy, 5 * cost, cost)
            storm.append([np.rint(1000 * ops * cost[cpu]) / 1000 for cpu, (_, ops, _) in enumerate(of)])
        made.append(storm)
    return made


def times(storms, designs=DESIGNS):
    made = []
    for s in range(storms):
        storm = []
        for d in range(designs):
            turns = view(np.zeros(CPUS * TURNS * TURN.SIZE, np.int64), TURN, 0, CPUS * TURNS).reshape(CPUS, TURNS)
            turns["began"] = 1_000_000 * s + 10_000 * np.arange(TURNS) + 1000 * d
            turns["ended"] = turns["began"] + 900
            storm.append(turns)
        made.append(storm)
    return made


def table(of, made):
    return tabulate(of, made, times(len(made), len(made[0])), CYCLES_PER_NS)


def measured(turns, kinds=("live", "dead")) -> float:
    """Speed of design 1 over that of design 0, frees of all CPUs together."""
    speeds = []
    for design in range(DESIGNS):
        by_kind = sums(turns, design)
        ops = [sum(by_kind[k][cpu].operations for k in kinds) for cpu in range(CPUS)]
        ns = [sum(by_kind[k][cpu].nanoseconds for k in kinds) for cpu in range(CPUS)]
        speeds.append(sum(o / n for o, n in zip(ops, ns, strict=True)))
    return speeds[1] / speeds[0]


def interrupt(made, rng, share, longer=lambda took: took):
    """Of each storm, design and CPU so many sections are marked as interrupted, and took this instead."""
    for storm in made:
        for design in storm:
            for cpu, took in enumerate(design):
                hit = rng.random(len(took)) < share
                design[cpu] = np.where(hit, -longer(took), took)


def test_what_nobody_interrupts_is_exact():
    rng = np.random.default_rng(1)
    of = tapes(rng)
    turns = table(of, cycles(of, 3, rng))
    assert measured(turns) == pytest.approx(RATIO, rel=1e-5)
    assert not turns.left_out.any() and not turns.disturbed.any()
    first = sums(turns, 0)
    for kind, name in enumerate(SECTIONS):
        for cpu, (kinds, ops, _) in enumerate(of):
            assert first[name][cpu].operations == 3 * ops[kinds == kind].sum()
            assert first[name][cpu].sections == 3 * np.count_nonzero(kinds == kind)
            assert first[name][cpu].nanoseconds == pytest.approx(20.0 * first[name][cpu].operations, rel=1e-5)
    assert np.allclose(turns.took, 450) and (turns.position == np.arange(2)[None, :, None]).all()


@pytest.mark.parametrize("heavy", [False, True], ids=["alike", "some heavy"])
def test_a_fifth_interrupted_moves_the_ratio_by_less_than_half_a_percent(heavy):
    """However long an interrupted section took. That heavy ones are left out of some storms does not bias."""
    rng = np.random.default_rng(2)
    of = tapes(rng)
    mask = rng.random((CPUS, SECTIONS_OF_TAPE)) < 0.1 if heavy else None
    made = cycles(of, 8, rng, noise=0.02, heavy=mask)
    truth = measured(table(of, made))
    assert truth == pytest.approx(RATIO, rel=5e-3)
    interrupt(made, rng, 0.2, lambda took: rng.integers(1, 10**9, len(took)))
    turns = table(of, made)
    assert measured(turns) == pytest.approx(truth, rel=5e-3)
    undisturbed = sums(table(of, cycles(of, 8, rng, heavy=mask)), 0)["dead"][1]
    assert sums(turns, 0)["dead"][1].operations == undisturbed.operations
    assert sums(turns, 0)["dead"][1].nanoseconds == pytest.approx(undisturbed.nanoseconds, rel=1e-2)
    assert turns.left_out.sum() / (8 * DESIGNS * CPUS * SECTIONS_OF_TAPE) == pytest.approx(0.2, rel=0.1)


def test_heavy_sections_that_one_design_was_interrupted_in_favour_nobody():
    """Half as fast under one design, and interrupted under it alone, all of them, in a storm that is slow besides.

    Were they left out, or were what the other design took in that storm kept, it would look faster than it is.
    """
    rng = np.random.default_rng(3)
    of = tapes(rng)
    heavy = rng.random((CPUS, SECTIONS_OF_TAPE)) < 0.2
    made = cycles(of, 4, rng, noise=0.01, heavy=heavy)
    for storm in made:
        storm[1] = [np.where(heavy[cpu], 2 * took, took) for cpu, took in enumerate(storm[1])]
    truth, total = measured(table(of, made)), sums(table(of, made), 0)["live"][0]
    made[2] = [[1.5 * took for took in design] for design in made[2]]
    for cpu in range(CPUS):
        made[2][1][cpu] = np.where(heavy[cpu], -1e7, made[2][1][cpu])
    turns = table(of, made)
    assert truth < 0.8 * RATIO and measured(turns) == pytest.approx(truth, rel=2e-2)
    assert total.nanoseconds < sums(turns, 0)["live"][0].nanoseconds < 1.125 * total.nanoseconds


def test_a_section_interrupted_in_every_storm_is_left_out_of_all_designs():
    rng = np.random.default_rng(4)
    of = tapes(rng)
    made = cycles(of, 3, rng)
    at = int(np.flatnonzero(KINDS == SECTION_DEAD_FREE)[5])
    for storm, design in enumerate((0, 1, 0)):
        made[storm][design][1][at] *= -1
    turns = table(of, made)
    kind, ops, turn = of[1]
    for design in range(DESIGNS):
        dead = sums(turns, design)["dead"]
        assert dead[1].operations == 3 * (ops[kind == SECTION_DEAD_FREE].sum() - ops[at])
        assert dead[0].operations == 3 * of[0][1][kind == SECTION_DEAD_FREE].sum()
    assert turns.left_out.sum() == 3 and turns.left_out[0, 0, 1, turn[at]] == 1
    assert measured(turns) == pytest.approx(RATIO, rel=1e-5)


@pytest.mark.parametrize("storms", [1, 4])
def test_a_gap_that_nobody_noticed_is_left_out(storms):
    """A hypervisor takes a millisecond and tells nobody."""
    rng = np.random.default_rng(5)
    of = tapes(rng)
    made = cycles(of, storms, rng)
    made[0][1][0][9] += 1e6 * CYCLES_PER_NS
    turns = table(of, made)
    assert turns.left_out.sum() == 1 and turns.disturbed.sum() == 1
    assert measured(turns) == pytest.approx(RATIO, rel=1e-5)


@pytest.mark.parametrize(("storms", "far"), [(1, True), (2, True), (3, False), (4, False)])
def test_four_times_the_usual_and_a_fifth_of_a_millisecond_are_a_gap(storms, far):
    """Usual for a section is what its kind takes, or itself in most of three storms or more."""
    of = tapes(np.random.default_rng(9))
    ns = 20.0 * of[0][1][9]
    for beyond, left_out in ((-0.5, 0), (0.5, 1)):
        made = [
            [storm[0], [took.copy() for took in storm[0]]] for storm in cycles(of, storms, np.random.default_rng(10))
        ]
        made[-1][0][0][9] = (4 * ns + 200_000 + beyond) * CYCLES_PER_NS
        assert table(of, made).left_out.sum() == left_out
    for storm in made:  # slow in every storm
        storm[0][0][9] = made[-1][0][0][9]
    assert table(of, made).left_out.any() == far


def test_turns_took_from_the_first_to_the_last_and_were_played_in_order():
    of = tapes(np.random.default_rng(11))
    when = times(2)
    for storm in when:
        storm[0]["began"][1] += 5000  # CPU 1 began the first design's turns after both had begun the second's
        storm[0]["ended"][1] += 7001
        storm[0]["began"][0] += 2000
    turns = tabulate(of, cycles(of, 2, np.random.default_rng(12)), when, CYCLES_PER_NS)
    assert np.allclose(turns.took[:, 0], (900 + 7001 - 2000) / CYCLES_PER_NS)
    assert np.allclose(turns.took[:, 1], 900 / CYCLES_PER_NS)
    assert (turns.position[:, 0] == 1).all() and (turns.position[:, 1] == 0).all()
    assert turns.position.shape == turns.took.shape


def test_what_is_usual_is_so_for_a_kind_of_section():
    """Of one storm, in which a section can only be compared with others."""
    costs = {SECTION_LIVE_FREE: 20.25, SECTION_DEAD_FREE: 60.25, SECTION_ALLOC: 180.25}
    ops = np.full(SECTIONS_OF_TAPE, 1000)
    for kind, cost in costs.items():
        at = int(np.flatnonzero(KINDS == kind)[7])
        for beyond, left_out in ((-0.5, 0), (0.5, 1)):
            took = [np.array([1000 * CYCLES_PER_NS * costs[k] for k in KINDS.tolist()]) for _ in range(CPUS)]
            took[0][at] = (4 * 1000 * cost + 200_000 + beyond) * CYCLES_PER_NS
            turns = table([(KINDS, ops, TURN_OF)] * CPUS, [[took, [one.copy() for one in took]]])
            assert turns.left_out.sum() == DESIGNS * left_out


def test_in_an_interrupted_section_s_place_stands_what_it_took_in_the_others():
    of = [(np.array([SECTION_LIVE_FREE]), np.array([1000]), np.array([3]))] * CPUS
    for others, mean in (([41.0], 20.5), ([41.0, 42.0], 20.75)):
        made = [[[np.array([took])] * CPUS] for took in (-1e7, *others)]
        turns = table(of, made)
        assert turns.nanoseconds[0, 0, :, 3, SECTIONS.index("live")].tolist() == [mean] * CPUS
        assert turns.left_out.shape == turns.switches.shape and turns.left_out.sum() == CPUS


def test_a_cpu_without_sections_adds_nothing():
    of = tapes(np.random.default_rng(13))
    none = np.zeros(0, np.int64)
    made = cycles(of, 2, np.random.default_rng(14))
    alone = measured(table(of, made))
    for cpu in range(CPUS):
        silent = [(none, none, none) if c == cpu else tape for c, tape in enumerate(of)]
        quiet = [[[none if c == cpu else took for c, took in enumerate(d)] for d in storm] for storm in made]
        turns = table(silent, quiet)
        assert not turns.nanoseconds[:, :, cpu].any() and not turns.sections[cpu].any()
        other = dataclasses.replace(
            turns, nanoseconds=turns.nanoseconds[:, :, [1 - cpu]], operations=turns.operations[[1 - cpu]]
        )
        assert spread_within(turns, 0, 1, ("live",), 1) == pytest.approx(spread_within(other, 0, 1, ("live",), 1))
        assert (turns.nanoseconds[:, :, 1 - cpu] == table(of, made).nanoseconds[:, :, 1 - cpu]).all()
    assert alone == pytest.approx(RATIO, rel=1e-5)


@pytest.mark.parametrize("kinds", [("live", "dead"), ("alloc",)])
def test_the_spread_is_a_bootstrap_of_blocks_of_turns(kinds):
    """Written out: 200 times each storm's every block of 8 turns is one of any storm, CPUs and kinds together."""
    of = tapes(np.random.default_rng(15))
    storms = 3
    turns = table(of, cycles(of, storms, np.random.default_rng(16), noise=0.2))
    at = [SECTIONS.index(kind) for kind in kinds]
    edges = range(0, TURNS, 8)
    drawn = np.random.default_rng(17).integers(storms, size=(200, storms, len(edges)))
    logs = []
    for draw in drawn:
        speeds = []
        for design in range(DESIGNS):
            speed = 0.0
            for cpu in range(CPUS):
                ns = sum(
                    turns.nanoseconds[draw[storm, block], design, cpu, first : first + 8, kind].sum()
                    for storm in range(storms)
                    for block, first in enumerate(edges)
                    for kind in at
                )
                speed += storms * turns.operations[cpu][:, at].sum() / ns
            speeds.append(speed)
        logs.append(np.log(speeds[1] / speeds[0]))
    want = np.std(logs, ddof=1) * np.sqrt(storms / (storms - 1))
    assert spread_within(turns, 0, 1, kinds, 17) == pytest.approx(want, rel=1e-9)


def test_an_allocator_s_own_slow_sections_stay():
    """In every storm a section takes long under one design: that is how it is, and no gap."""
    rng = np.random.default_rng(6)
    of = tapes(rng)
    made = cycles(of, 4, rng)
    for storm in made:
        storm[1][0][9] += 1e6 * CYCLES_PER_NS
    turns = table(of, made)
    assert not turns.left_out.any() and measured(turns) < 0.99 * RATIO


def test_the_spread_from_the_inside_is_that_between_launches():
    """Where launches differ by nothing but what happens from turn to turn."""
    rng = np.random.default_rng(7)
    of = tapes(rng)
    ratios, within = [], []
    for seed in range(40):
        turns = table(of, cycles(of, 6, rng, noise=0.3))
        ratios.append(np.log(measured(turns)))
        within.append(spread_within(turns, 0, 1, ("live", "dead"), seed))
    assert np.sqrt(np.mean(np.square(within))) == pytest.approx(np.std(ratios, ddof=1), rel=0.35)


def test_no_spread_is_told_of_what_was_played_once_or_not_at_all():
    rng = np.random.default_rng(8)
    of = tapes(rng)
    assert spread_within(table(of, cycles(of, 1, rng)), 0, 1, ("live",), 1) is None
    assert spread_within(table(of, cycles(of, 3, rng)), 0, 1, ("mixed",), 1) is None


def test_a_cpu_without_such_sections_adds_nothing_to_the_rate():
    assert measure_turns._rate(np.array([10.0, 4.0]), np.array([2.0, 0.0])) == 5.0
