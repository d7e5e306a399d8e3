"""From made-up records to the figures of a result."""

import dataclasses
import json
import math
import statistics

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stress_records import MS, TRACE, block, census, launch, leak, record

from allocators.catalogue import SLUB
from stress.judge.ratio import Ratio
from stress.measure import launches, turns
from stress.measure.evaluation import headline, measure, rate, sample
from stress.measure.latency import summarise
from stress.measure.records import Block, Census, Latencies, RunRecord, SectionSum
from stress.result.data import TAIL_STEPS
from stress.result.files import encode


def test_rates_are_sums_over_cpus_and_medians_over_blocks():
    blocks = [block("linux-3.16", pair, live_ns=ns) for pair, ns in enumerate((10.0, 20.0, 40.0))]
    design = measure(record(blocks=blocks)).designs["linux-3.16"]
    assert design.frees_per_second.live == pytest.approx(2 * 1e9 / 20)
    assert design.frees_per_second.dead == pytest.approx(2 * 1e9 / 20)
    assert design.measured_blocks == 3


def test_all_frees_join_live_and_dead_time_per_cpu():
    design = measure(record(blocks=[block("linux-3.16", 0, live_ns=10, dead_ns=100)])).designs["linux-3.16"]
    assert design.frees_per_second.all == pytest.approx(2 * 1100 / (1000 * 10 + 100 * 100) * 1e9)


def test_warmups_are_listed_and_not_used():
    blocks = [block("linux-3.16", -1, live_ns=1000, warmup=True), block("linux-3.16", 0, live_ns=10)]
    result = measure(record(blocks=blocks))
    assert result.designs["linux-3.16"].frees_per_second.live == pytest.approx(2e8)
    assert [b.warmup for b in result.blocks] == [True, False]


def test_ratios_are_after_over_before_in_the_same_pair():
    result = measure(record(live_ns={"v1": 10.0, "v3": 12.5}))
    assert set(result.ratios) == {"v1", "v3"}
    assert result.ratios["v1"].live.estimate == pytest.approx(1.0)
    assert result.ratios["v3"].live.estimate == pytest.approx(0.8)
    assert result.ratios["v3"].dead.estimate == pytest.approx(1.0)
    assert 0.8 < result.ratios["v3"].free_throughput.estimate < 1.0


def test_each_design_s_figures_are_its_own():
    """Whatever designs are called, and whichever of them is the baseline."""
    result = measure(record(baseline="v1", live_ns={"linux-3.16": 8.0, "v1": 10.0, "v3": 12.5}, noise=(1.0,)))
    assert {name: ratios.live.estimate for name, ratios in result.ratios.items()} == {
        "linux-3.16": pytest.approx(1.25),
        "v3": pytest.approx(0.8),
    }
    for name, ns in {"linux-3.16": 8.0, "v1": 10.0, "v3": 12.5}.items():
        design = result.designs[name]
        assert (design.measured_blocks, design.counted_passes) == (8, 1)
        assert design.frees_per_second.live == pytest.approx(2e9 / ns)


def test_times_are_rounded_to_what_they_are_known_to():
    result = measure(record(seconds=21.5678, censuses=[census("v3", clock_ns=None), census("v3", clock_ns=9.2567)]))
    assert (result.seconds, result.designs["v3"].clock_ns) == (21.568, 9.26)


def test_blocks_of_one_pair_are_joined():
    blocks = [block("linux-3.16", 0, live_ns=10), block("v1", 0, live_ns=5), block("v1", 0, live_ns=20)]
    assert measure(record(blocks=blocks)).ratios["v1"].live.estimate == pytest.approx(1.0)


def test_mixed_sections_have_their_own_rate_and_are_no_frees():
    mixed = {"live": [], "dead": [], "alloc": [], "mixed": [SectionSum(500, 5000.0, 1)] * 2}
    for kind in ("live", "dead", "alloc"):
        mixed[kind] = [SectionSum(), SectionSum()]
    blocks = [block(name, 0, sections=mixed) for name in ("linux-3.16", "v1")]
    result = measure(record(blocks=blocks))
    assert result.designs["v1"].frees_per_second.all is None
    assert result.designs["v1"].operations_per_second.mixed == pytest.approx(2e8)
    assert result.ratios["v1"].mixed.estimate == pytest.approx(1.0)
    assert result.ratios["v1"].free_throughput.estimate is None


def test_counts_come_from_the_counted_pass():
    design = measure(record()).designs["linux-3.16"]
    assert (design.dead_caches.offlined, design.dead_caches.destroyed, design.dead_caches.left) == (41, 0, 41)
    assert design.empty_slabs == {"cpu_slab": 0, "cpu_partial": 100, "node_partial": 18}
    assert (design.slabs_left, design.pages_left, design.cgroups_pinned) == (118, 236, 9)
    assert design.stats["free_frozen"] == 12_345 and list(design.stats) == list(SLUB.statistics)
    assert design.per_free.list_lock == pytest.approx(0.02)
    assert design.per_free.page_cas_failed == pytest.approx(7e-6)


def test_several_counted_passes_add_up():
    design = measure(record(censuses=[census("v3"), census("v3", destroyed=40, left=1)])).designs["v3"]
    assert (design.dead_caches.offlined, design.dead_caches.destroyed, design.dead_caches.left) == (82, 81, 1)
    assert design.per_free.list_lock == pytest.approx(0.02)
    assert design.counted_passes == 2


def test_lifetimes_are_in_seconds():
    lifetime = (
        measure(record(censuses=[census("v3", lifetimes_ns=[MS, 2 * MS, 4000 * MS])])).designs["v3"].lifetime_seconds
    )
    assert (lifetime.p50, lifetime.p99, lifetime.max) == (0.002, 4.0, 4.0)


def test_what_was_not_measured_is_null_and_never_nan():
    result = measure(record(blocks=[], censuses=[leak(frees=0)], serial=True))
    v3 = result.designs["v3"]
    assert v3.dead_caches.left is None and v3.frees_per_second.all is None and v3.stats["alloc_slab"] is None
    assert result.designs["linux-3.16"].per_free.list_lock is None
    assert result.designs["linux-3.16"].lifetime_seconds.p50 is None
    text = encode(result).decode()
    assert "NaN" not in text and "Infinity" not in text
    assert json.loads(text)["ratios"]["v1"]["free_throughput"] == {
        "estimate": None,
        "low": None,
        "high": None,
        "pairs": 0,
        "verdict": None,
        "within": None,
        "between": None,
    }


def test_an_operation_that_was_not_counted_is_null():
    assert measure(record(censuses=[census("v3", operations={})])).designs["v3"].per_free.page_cas is None


def test_violations_carry_their_design():
    result = measure(
        record(censuses=[census("v1", violated=[("I2", "R is 3, L is 2")]), census("v3", checked=["I2", "I4"])])
    )
    assert result.invariants.checked == ["I1", "I2", "pages", "I4"]
    assert [(v.invariant, v.design, v.description) for v in result.invariants.violated] == [
        ("I2", "v1", "R is 3, L is 2")
    ]


@pytest.mark.parametrize(
    ("fields", "partial", "reason"),
    [
        ({}, False, None),
        ({"interrupted": True}, True, "interrupted"),
        ({"damage": "worker 1 was killed"}, True, "worker 1 was killed"),
    ],
)
def test_partial(fields, partial, reason):
    result = measure(record(**fields))
    assert (result.partial, result.partial_reason) == (partial, reason)


@given(
    st.lists(st.dictionaries(st.floats(1, 1e6), st.sampled_from([1, 2, 50, 1000]), min_size=1), min_size=1, max_size=3),
    st.floats(1, 2e6),
)
@settings(max_examples=40)
def test_latencies_are_exceeded_by_no_more_than_said(buckets, longest):
    """Of all passes together; a bucket above the longest operation is no longer than that."""
    found = summarise([Latencies(one, longest / (1 + i)) for i, one in enumerate(buckets)])
    took = sorted(ns for one in buckets for ns, count in one.items() for _ in range(count))
    steps = [10 ** (-step / TAIL_STEPS) for step in range(len(found.tail))]
    assert (found.operations, found.max) == (len(took), round(longest, 2))
    for share, value in [
        (0.5, found.p50),
        (0.1, found.p90),
        (0.01, found.p99),
        (0.001, found.p999),
        *zip(steps, found.tail),
    ]:
        rank = max(0, math.ceil(len(took) * (1 - share)) - 1)
        assert value == round(min(longest, took[rank]), 2)
    assert steps[-1] * len(took) >= 1 - 1e-9 > steps[-1] * 10 ** (-1 / TAIL_STEPS) * len(took) - 1e-9


def test_a_block_says_what_was_measured_in_the_units_of_the_result():
    one = block("v1", 3, live_ns=5.0, wall_ns=1_500_000_000, waited_ns=250_000_000, storms=4, turns=7, disturbed=2)
    one.sections["alloc"] = [SectionSum(300, 1500.0, 3), SectionSum(100, 1000.0, 1)]
    found = sample(one, 2)
    assert (found.wall_seconds, found.waited_seconds) == (1.5, 0.25)
    assert (found.storms, found.turns, found.disturbed_turns, found.pair) == (4, 7, 2, 3)
    assert found.operations_per_second.alloc == pytest.approx(0.2e9 + 0.1e9)
    assert found.operations_per_second.mixed is None
    assert (found.frees_per_second.live, found.frees_per_second.dead) == (pytest.approx(4e8), pytest.approx(1e8))
    assert sample(block("v1", 0), 2).waited_seconds is None and rate(one, ["no such kind"]) is None


def test_the_run_is_about_its_frees_or_else_its_mixed_operations():
    mixed = dict.fromkeys(("live", "dead", "alloc"), [SectionSum()] * 2)
    frees = [sample(block(d, p, ns, ns), 2) for d, ns in (("a", 10.0), ("b", 5.0)) for p in range(6)]
    others = [
        sample(block(d, p, sections={**mixed, "mixed": [SectionSum(100, ns, 1)] * 2}), 2)
        for d, ns in (("a", 10.0), ("b", 40.0))
        for p in range(6)
    ]
    args = dict(seed=1, confidence=0.95)
    assert headline(frees + others, "a", "b", **args).estimate == pytest.approx(2.0)
    assert headline(others, "a", "b", **args).estimate == pytest.approx(0.25)
    assert headline([], "a", "b", **args).pairs == 0


def test_a_pair_s_seconds_are_the_run_s_over_its_launches():
    factors = (0.7, 1.0, 1.4, 0.8, 1.2, 1.1, 0.9, 1.3)
    blocks = [block("linux-3.16", pair) for pair in range(8)]
    blocks += [block("v1", pair, 10 * f, 20 * f) for pair, f in enumerate(factors)]
    verdict = measure(record(blocks=blocks, timed_seconds=25.0)).ratios["v1"].live.verdict
    assert verdict.more_seconds == pytest.approx(25 / 8 * verdict.more_pairs)
    assert measure(record(blocks=blocks)).ratios["v1"].live.verdict.more_seconds is None


def test_what_is_pinned_over_time_is_in_seconds():
    found = measure(record()).designs["linux-3.16"].over_time
    assert (found.seconds[1], found.seconds[-1]) == (0.01, 0.2)
    assert (found.dead_caches[-1], found.pages_pinned[-1], found.cgroups_pinned[-1]) == (41, 236, 9)
    assert (found.dead_caches[1], found.pages_pinned[1], found.cgroups_pinned[1]) == (2, 9, 1)
    passes = [leak(), census("linux-3.16")]
    assert measure(record(censuses=passes)).designs["linux-3.16"].over_time == found
    for others in ([], [census("v3")]):  # the curve is the first pass's
        assert measure(record(censuses=[census("v3", pinned=[]), *others])).designs["v3"].over_time is None


def test_frees_of_no_section_are_counted_by_the_allocator_s_own_lock():
    """Sections of nothing but frees where there are any, dead and live ones apart; else all operations by all frees."""
    kinds = {
        "live": {"frees": 100, "list_lock": 10, "page_cas": 50},
        "dead": {"frees": 50, "list_lock": 20, "page_cas": 50},
    }
    v3 = measure(record(censuses=[census("v3", free_sections=kinds)] * 2)).designs["v3"]
    assert (v3.per_free.list_lock, v3.per_live_free.list_lock, v3.per_dead_free.list_lock) == (0.2, 0.1, 0.4)
    assert v3.per_free.page_cas == pytest.approx(100 / 150) and v3.per_live_free.page_cas_failed is None
    plain = measure(record(censuses=[census("v3")])).designs["v3"]
    assert plain.per_live_free is None is plain.per_dead_free and plain.per_free.list_lock_contended == pytest.approx(
        1e-5
    )


@given(st.lists(st.floats(0.5, 2.0), min_size=0, max_size=9), st.one_of(st.none(), st.floats(0.0, 1.0)))
def test_a_spread_is_luck_and_noise(ratios, within):
    """Variances add: what is seen between launches is what they differ by and what each has in itself."""
    found = launches.parted(Ratio(pairs=len(ratios)), ratios, within)
    if within is None or len(ratios) < 2:
        assert found == Ratio(pairs=len(ratios))
    else:
        seen = statistics.stdev([math.log(one) for one in ratios])
        assert found.within == within
        assert found.between == pytest.approx(math.sqrt(max(seen**2 - within**2, 0.0)), abs=1e-7)


def test_launches_are_summed_up():
    made = [launch(storms=2, turns=3, seed=1), launch(storms=2, turns=3, seed=2, interrupted=5)]
    made[1].took[...] *= 3
    made[0].nanoseconds[1, 1, ..., 0] *= 1.1  # one kind of section only
    rec = record(launches=made)
    found = launches.summary(rec)
    assert (found.launches, found.turns, found.sections_left_out) == (2, 2 * 2 * 3 * 3, 5)
    assert found.median_seconds == pytest.approx(2e-3) and found.disturbed == pytest.approx(1 / 36)
    assert found.sections == sum(one.sections.sum() * 2 * 3 for one in made)
    own = [turns.spread_within(one, 0, 1, ("live", "dead"), rec.seed + i) for i, one in enumerate(made)]
    assert launches.spread_within(rec, "v1", "all") == pytest.approx(math.sqrt((own[0] ** 2 + own[1] ** 2) / 2))
    live = [turns.spread_within(one, 0, 1, ("live",), rec.seed + i) for i, one in enumerate(made)]
    assert live[0] != own[0]
    assert launches.spread_within(rec, "v1", "live") == pytest.approx(math.sqrt((live[0] ** 2 + live[1] ** 2) / 2))
    assert launches.spread_within(record(launches=[]), "v1", "all") is None
    assert launches.summary(record(launches=[])) is None


@pytest.mark.parametrize(
    ("interrupted", "storms", "pair", "share"),
    [
        (0, 3, 0, 0.0),
        (6, 3, 0, 6 / 96),
        (500, 3, 0, 1.0),
        (8, 1, 0, 8 / 40),
        (6, 3, 1, 0.0),
        (6, 3, 2, None),
        (6, 3, 3, None),
        (6, 3, -1, None),
    ],
)
def test_the_share_that_is_left_out_is_of_the_block_s_own_launch(interrupted, storms, pair, share):
    made = [launch(interrupted=interrupted, storms=storms), launch(storms=storms)]
    rec = record(launches=made)
    assert launches.share_left_out(rec, block("v1", pair)) == (share if share is None else pytest.approx(share))
    assert launches.share_left_out(rec, block("v1", 0, warmup=True)) is None
    rec.watched = False
    assert launches.share_left_out(rec, block("v1", 0)) is None


def test_a_launch_of_nothing_but_interrupted_sections_is_left_out_whole():
    none = launch(storms=3, interrupted=1)
    none.sections[...] = 0
    assert launches.share_left_out(record(launches=[none]), block("v1", 0)) == 1.0
    none.left_out[...] = 0
    assert launches.share_left_out(record(launches=[none]), block("v1", 0)) == 0.0


def test_what_a_record_does_not_say_is_nothing():
    """One storm of one turn, undisturbed; no time, no operations; whole, and watched."""
    assert SectionSum() == SectionSum(operations=0, nanoseconds=0.0, sections=0)
    one = sample(Block("v1", 0, warmup=False, wall_ns=1, sections={}), 1)
    assert (one.storms, one.turns, one.disturbed_turns, one.involuntary_switches, one.steal_ticks) == (1, 1, 0, 0, 0)
    assert (one.failed_allocations, one.waited_seconds, one.long_stalls) == (0, None, None)
    fields = {f.name: f for f in dataclasses.fields(RunRecord)}
    given = {name: "" for name, f in fields.items() if f.default is f.default_factory is dataclasses.MISSING}
    bare = RunRecord(**given)
    assert (bare.interrupted, bare.oversubscribed, bare.watched, bare.looks, bare.trace) == (
        False,
        False,
        True,
        None,
        None,
    )
    assert (bare.seconds, bare.timed_seconds, bare.margin, bare.launches, bare.violated) == (0.0, 0.0, 0.02, [], [])
    given = {f.name: 0 for f in dataclasses.fields(Census) if f.default is f.default_factory is dataclasses.MISSING}
    assert (Census(**given).cgroups_pinned, Census(**given).clock_ns, Census(**given).free_sections) == (0, None, {})


def test_a_replay_is_carried_along():
    assert measure(record(trace=TRACE)).trace == TRACE
