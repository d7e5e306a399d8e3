"""From made-up records to the figures of a result."""

import json

import pytest
from stress_records import MS, TRACE, block, census, leak, record

from allocators.catalogue import SLUB
from stress.measure.evaluation import measure
from stress.measure.records import SectionSum
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


def test_a_replay_is_carried_along():
    assert measure(record(trace=TRACE)).trace == TRACE
