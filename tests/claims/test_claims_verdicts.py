"""Each claim's verdict from chosen results: holds, does not hold, cannot tell."""

import pytest
from msgspec.structs import replace
from synthetic import StandIn, blocks, census, ratio, record

from stress.claims import dead_cost, fate, over_time, patches, pinning, reaper, recorded, speed, steps, storm
from stress.claims.claim import Finding, Verdict, summary
from stress.claims.lab import Lab
from stress.claims.recorded import Left
from stress.judge.ratio import Ratio
from stress.measure.evaluation import measure
from stress.play import coordinator
from stress.play.options import named
from stress.result.data import Design

HOLDS, FAILS, UNKNOWN = Verdict.HOLDS, Verdict.FAILS, Verdict.UNKNOWN


def result(*designs: str, **of_design):
    before, *after = designs
    return measure(record(named(before=before, after=after, serial=True), **of_design))


def design(**fields) -> Design:
    return result("linux-3.16", "v1", v1=fields).designs["v1"]


SECOND = 1_000_000_000
GONE, LEFT = design(), design(left=3, destroyed=13, slabs_left=12)
ALL_LEFT = design(left=16, destroyed=0, lifetimes_ns=[], slabs_left=60)
NOTHING = design(offlined=0, destroyed=0, lifetimes_ns=[])


@pytest.mark.parametrize(
    "theirs, missing, verdict", ((Left(1, 4), [], HOLDS), (Left(1, 5), [], FAILS), (Left(1, 4), ["linux-4.0"], UNKNOWN))
)
def test_0_numbers_agree_exactly(theirs, missing, verdict):
    finding = recorded.judge_exact({"v1": [("r010", theirs, Left(1, 4))]}, missing)
    assert finding.verdict is verdict
    assert ("kernel: 1/5" in finding.figures[0].text) == (verdict is FAILS)


@pytest.mark.parametrize(
    "theirs, ours, verdict",
    (
        ([Left(10, 106), Left(10, 109)], Left(10, 110), HOLDS),
        ([Left(10, 106)], Left(10, 127), FAILS),  # twice the tolerance
        ([Left(10, 106)], Left(10, 85), FAILS),
        ([Left(10, 106)], Left(9, 106), FAILS),
        ([Left(0, 0)], Left(0, 0), HOLDS),
        ([Left(0, 0)], None, UNKNOWN),
    ),
)
def test_0_files_agree_nearly(theirs, ours, verdict):
    rows = [("v1", "late", theirs, ours)]
    assert recorded.judge_files(rows, []).verdict is verdict
    if verdict is HOLDS:
        assert recorded.judge_files(rows, ["v9"]).verdict is UNKNOWN


def falling(scale=1.0, tilt=0.0):
    """Caches and slabs that fall to nothing in 10 s; tilt: higher at first and lower later, the area being the same."""
    return [(float(t), 2.0 * (10 - t), scale * (100 - 10 * t) + tilt * (50 - 10 * t)) for t in range(11)]


@pytest.mark.parametrize(
    "boots, model, verdict, says",
    (
        ([falling()], [falling(0.9), falling(1.2)], HOLDS, "5% off"),
        ([falling()], [falling(1.3)], FAILS, "+30% off"),  # twice the tolerance
        ([falling()], [falling(0.7)], FAILS, "-30% off"),
        ([falling()], [falling(tilt=0.4)], FAILS, "between the curves"),  # an area that is right by chance
        ([falling(0.9), falling(1.1)], [falling(1.3)], FAILS, "+30% off"),  # boots that differ excuse no area
        ([falling()], [[]], UNKNOWN, "nothing was counted"),
        ([falling()], [], UNKNOWN, "nothing was counted"),
        ([falling(0.0)], [falling()], UNKNOWN, "none was recorded"),
    ),
)
def test_0_curves_agree_nearly(boots, model, verdict, says):
    finding = over_time.judge_curves([over_time.Beside("v1", boots, model)])
    assert finding.verdict is verdict and says in finding.reason
    assert over_time.judge_curves([]).verdict is UNKNOWN


@pytest.mark.parametrize(
    "kept, total, verdict",
    (
        ([4], [4], HOLDS),
        ([4, 3], [4, 4], FAILS),
        ([0], [0], UNKNOWN),
        ([4, 0], [4, 0], UNKNOWN),
        ([None], [4], UNKNOWN),
    ),
)
def test_1_all_are_left(kept, total, verdict):
    assert fate.judge_all_left(kept, total, "so", []).verdict is verdict


UNCOUNTED = replace(GONE, dead_caches=replace(GONE.dead_caches, left=None))


@pytest.mark.parametrize(
    "judge",
    (
        lambda: recorded.judge_exact({}, []),
        lambda: recorded.judge_exact({"v1": [("r010", Left(0, 0), None)]}, []),
        lambda: recorded.judge_files([], []),
        lambda: fate.judge_half({}, "slub"),
        lambda: fate.judge_half({}, "slab"),
        lambda: fate.judge_half({64: UNCOUNTED}, "slab"),
        lambda: fate.judge_nothing_left({}, {}),
        lambda: fate.judge_nothing_left({"64 B": UNCOUNTED}, {}),
        lambda: fate.judge_nothing_left({"64 B": GONE, "256 B": NOTHING}, {}),
        lambda: speed.judge_equivalence([]),
        lambda: steps.judge_steps({}),
        lambda: dead_cost.judge_slub({}),
        lambda: dead_cost.judge_slub({(64, "random"): {"linux-3.16": GONE}}),
        lambda: dead_cost.judge_slab({}),
        lambda: storm.judge_dead_frees({}),
        lambda: patches.judge_shrink({}, {}),
        lambda: speed.no_time([], "", []),
        lambda: patches.judge_same({}),
        lambda: patches.judge_same({"storm": [GONE]}),
        lambda: reaper.judge_time({}),
        lambda: reaper.judge_time({"64 B": UNCOUNTED}),
        lambda: pinning.judge_pins({}, True),
        lambda: pinning.judge_pins({}, False),
        lambda: Finding(*summary([])),
    ),
)
def test_what_was_not_compared_does_not_hold(judge):
    assert judge().verdict is UNKNOWN


@pytest.mark.parametrize(
    "allocator, one, verdict",
    (
        ("slub", ALL_LEFT, HOLDS),
        ("slub", LEFT, FAILS),
        ("slub", NOTHING, UNKNOWN),
        ("slab", LEFT, HOLDS),
        ("slab", design(lifetimes_ns=[30 * SECOND] * 16), HOLDS),
        ("slab", design(lifetimes_ns=[2 * SECOND] * 16), FAILS),
        ("slab", NOTHING, UNKNOWN),
    ),
)
def test_2_half_of_the_series(allocator, one, verdict):
    assert fate.judge_half({64: one}, allocator).verdict is verdict


@pytest.mark.parametrize("one, verdict", ((GONE, HOLDS), (LEFT, FAILS), (NOTHING, UNKNOWN)))
def test_3_nothing_is_left(one, verdict):
    finding = fate.judge_nothing_left({"64 B": one}, {"64 B": GONE})
    assert finding.verdict is verdict
    assert "p50 1.0" in finding.figures[0].text or "p50 9" in finding.figures[0].text


@pytest.mark.parametrize(
    "ratios, verdict",
    (
        ([ratio(0.99, 1.01), ratio(1.03, 1.05)], HOLDS),
        ([ratio(0.99, 1.01), ratio(0.9, 0.97)], FAILS),
        ([ratio(0.97, 1.01)], UNKNOWN),
        ([Ratio(estimate=1.0, pairs=2)], UNKNOWN),
        ([], UNKNOWN),
    ),
)
def test_4_equivalence(ratios, verdict):
    assert speed.judge_equivalence([(f"size {i}", r) for i, r in enumerate(ratios)]).verdict is verdict


@pytest.mark.parametrize(
    "again, verdict", ((ratio(0.99, 1.01), HOLDS), (ratio(0.9, 0.95), FAILS), (ratio(0.9, 1.1), UNKNOWN))
)
def test_4_what_looked_slow_is_judged_by_the_second_measurement(again, verdict):
    ratios = [
        ("64 B pairs, v3", ratio(0.85, 0.95)),
        ("64 B pairs, v1", ratio(0.99, 1.01)),
        ("64 B pairs, v3, again", again),
    ]
    finding = speed.judge_equivalence(ratios)
    assert finding.verdict is verdict and [f.name for f in finding.figures] == [name for name, _ in ratios]


def test_4_measures_again_what_looks_slow(monkeypatch):
    slow = StandIn(lambda options: record(options, factors={"v3": 1.2}))
    monkeypatch.setattr(coordinator, "run", slow)
    finding = speed.no_impact(Lab(seconds=1.0, quick=True), "slub")
    assert finding.verdict is FAILS and "64 B pairs, v3" in finding.reason and "v1" not in finding.reason
    first, second = [options for options in slow.seen if options.scenario == "pairs"]
    assert (
        first.after == ("v1", "v3")
        and second.after == ("v3",)
        and second.measuring.seconds == 2 * first.measuring.seconds
    )


@pytest.mark.parametrize(
    "v1, v3, verdict",
    (
        (ratio(0.92, 0.96), ratio(0.9, 0.99), HOLDS),
        (ratio(0.92, 0.96), ratio(1.0, 1.05), FAILS),
        (ratio(0.92, 0.96), ratio(0.9, 1.01), UNKNOWN),
        (ratio(0.92, 0.96), Ratio(estimate=0.9, pairs=2), UNKNOWN),
    ),
)
def test_5_dead_frees_of_the_storm(v1, v3, verdict):
    assert storm.judge_dead_frees({"v1": v1, "v3": v3}).verdict is verdict


def test_the_storm_is_the_default_run_and_played_once(monkeypatch):
    played = StandIn(lambda options: record(options, factors={"full-tracking": 1.2}))
    monkeypatch.setattr(coordinator, "run", played)
    lab = Lab(seconds=1.0)
    assert storm.full_tracking(lab).verdict is HOLDS and storm.patch_6(lab).verdict is not FAILS
    assert storm.no_impact(lab, "slub").verdict is not FAILS and storm.dead_frees(lab).figures
    assert [options.after for options in played.seen] == [("full-tracking", "linux-3.16+P6"), ("v1", "v3")]
    assert {options.measuring.seconds for options in played.seen} == {15.0}


def dead_section(locks):
    return {
        "free_sections": {
            "dead": {
                "frees": 1600,
                "list_lock": locks,
                "list_lock_contended": 0,
                "page_cas": 1600,
                "page_cas_failed": 0,
            }
        }
    }


@pytest.mark.parametrize("locks, verdict", ((200, HOLDS), (400, FAILS), (0, FAILS)))
def test_5_slub_locks_per_slab(locks, verdict):
    """1,600 frees of 256 bytes are 100 slabs; 3.16 took no lock."""
    cells = {(256, "random"): result("linux-3.16", "v3", linux_3_16=dead_section(0), v3=dead_section(locks)).designs}
    assert dead_cost.judge_slub(cells).verdict is verdict


def test_5_slub_without_dead_frees():
    cells = {(256, "random"): result("linux-3.16", "v3", linux_3_16={"free_sections": {}}).designs}
    assert dead_cost.judge_slub(cells).verdict is UNKNOWN


def locking(locks):
    """SLAB's frees into dead caches: alive 1,600 of them took 30 locks, dead so many."""
    designs = result("linux-3.16", "v3", linux_3_16=dead_section(30), v3=dead_section(locks)).designs
    return designs["linux-3.16"], designs["v3"]


@pytest.mark.parametrize(
    "of_size, locks, verdict",
    (
        (ratio(0.3, 0.4), 1600, HOLDS),
        (ratio(0.3, 0.4), 1440, FAILS),  # twice the tolerance
        (ratio(0.3, 0.4), 1760, FAILS),
        (ratio(1.1, 1.2), 1600, FAILS),
        (ratio(0.9, 1.1), 1600, UNKNOWN),
        (Ratio(), 1600, UNKNOWN),
    ),
)
def test_5_slab_is_slower(of_size, locks, verdict):
    finding = dead_cost.judge_slab({64: (*locking(1600), ratio(0.3, 0.4)), 256: (*locking(locks), of_size)})
    assert finding.verdict is verdict and "published 2.91" in finding.figures[3].text


@pytest.mark.parametrize(
    "of, verdict", ((ratio(0.7, 0.8), HOLDS), (ratio(0.99, 1.0), FAILS), (ratio(0.9, 1.0), UNKNOWN), (Ratio(), UNKNOWN))
)
def test_6_full_tracking(of, verdict):
    assert speed.judge_slowdown(of, 0.01, 0.03).verdict is verdict


def counted(left):
    return {name: design(left=left.get(name, 2)) for name in ("linux-3.16", "v1-P4", "linux-3.16+P4", "v1")}


@pytest.mark.parametrize(
    "failing, verdict",
    (({"linux-3.16": 8, "v1-P4": 8}, HOLDS), ({"linux-3.16": 8, "v1": 3}, FAILS), ({}, FAILS), ({"v1": None}, UNKNOWN)),
)
def test_7_shrink(failing, verdict):
    sound = counted({})
    designs = counted({k: v for k, v in failing.items() if v is not None})
    if None in failing.values():
        designs["v1"] = measure(record(named(after=["v1"], serial=True), v1={})).designs["v1"]
        from msgspec.structs import replace

        designs["v1"] = replace(designs["v1"], dead_caches=replace(designs["v1"].dead_caches, left=None))
    assert patches.judge_shrink(sound, designs).verdict is verdict


@pytest.mark.parametrize(
    "cas, refills, of, verdict",
    (
        (60, 30, ratio(0.99, 1.01), HOLDS),
        (60, 30, ratio(1.05, 1.1), FAILS),
        (61, 30, ratio(0.99, 1.01), FAILS),
        (60, 30, ratio(0.9, 1.1), UNKNOWN),
        (60, 30, Ratio(), UNKNOWN),
        (60, 0, ratio(0.99, 1.01), UNKNOWN),
    ),
)
def test_8_patch_6(cas, refills, of, verdict):
    run = result(
        "linux-3.16", "linux-3.16+P6",
        linux_3_16={"stats": {"cpu_partial_node": refills}}, linux_3_16_P6={"operations": {"this_cpu_cas": cas}},
    )  # fmt: skip
    assert speed.judge_patch_6(run, {"allocations": of}).verdict is verdict


@pytest.mark.parametrize("fields, verdict", (({}, HOLDS), ({"frees": 999}, FAILS), ({"operations": {"ipi": 1}}, FAILS)))
def test_9_same_counts(fields, verdict):
    finding = patches.judge_same({"storm": [GONE, design(**fields)]})
    assert finding.verdict is verdict


@pytest.mark.parametrize(
    "one, verdict",
    (
        (design(lifetimes_ns=[4 * SECOND]), HOLDS),
        (design(lifetimes_ns=[12 * SECOND]), FAILS),
        (LEFT, FAILS),
        (NOTHING, UNKNOWN),
    ),
)
def test_10_time_to_destruction(one, verdict):
    assert reaper.judge_time({"64 B": one}).verdict is verdict


@pytest.mark.parametrize("total, verdict", ((500_000, HOLDS), (11_000, FAILS), (None, UNKNOWN)))
def test_10_length_of_a_pass(total, verdict):
    operations = {"reaper_passes": 10} | ({} if total is None else {"reaper_cycles": total})
    assert reaper.judge_passes([(1, design()), (1000, design(operations=operations))]).verdict is verdict


@pytest.mark.parametrize(
    "pinned, alive, verdict", ((5, True, HOLDS), (0, True, FAILS), (0, False, HOLDS), (5, False, FAILS))
)
def test_11_pinned_memcgs(pinned, alive, verdict):
    assert pinning.judge_pins({10: design(cgroups_pinned=pinned)}, alive).verdict is verdict


def test_11_without_a_count():
    from msgspec.structs import replace

    assert pinning.judge_pins({10: replace(GONE, cgroups_pinned=None)}, True).verdict is UNKNOWN


def test_blocks_and_censuses_are_what_runs_record():
    assert blocks("v1", 2)[1].pair == 1 and census("v1", left=2).left == 2
