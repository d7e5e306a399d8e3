"""What the report says in words, situation by situation."""

import pytest
from stress_records import SWITCHES, block, census, leak, record

from stress.judge.ratio import Ratio
from stress.measure.evaluation import measure
from stress.report.sentences import sentences, speed


def said(of: str, /, **fields) -> str:
    """All sentences about one design."""
    return "\n".join(s for s in sentences(measure(record(**fields))) if s.startswith(of + ":"))


def test_the_leak_is_said_with_its_numbers_and_places():
    text = said("linux-3.16")
    assert "41 of 41 caches of removed cgroups are still there after the last free" in text
    assert "118 slabs of theirs are empty, hidden in: 100 in cpu partial, 18 in node partial" in text
    assert "they pin 236 pages and 9 cgroups" in text
    assert "without P2" in text


def test_v1_leaves_some_because_of_the_sentinel():
    text = said("v1")
    assert "3 of 41 caches" in text and "R12" in text
    assert "the other 38 were destroyed 19.0 ms after the last free (median; longest 38.0 ms)" in text


def test_v3_leaves_none():
    assert "all 41 caches of removed cgroups were destroyed, 21.0 ms after the last free" in said("v3")


def test_a_re_parented_cache_does_not_wait_for_its_last_free():
    switches = {**SWITCHES, "v3": ["F_REPARENT_SLABS", "F_FULL", "F_FREEREF"]}
    assert "were destroyed, 21.0 ms after their cgroups went offline (median" in said("v3", switches=switches)


def test_a_single_cache():
    assert "the only cache of removed cgroups was destroyed" in said(
        "v3", censuses=[census("v3", offlined=1, destroyed=1)]
    )
    assert "1 of 1 cache of removed cgroups is still there" in said(
        "v3", censuses=[leak("v3", 1, offlined=1, destroyed=0)]
    )


@pytest.mark.parametrize(
    ("switches", "places", "why"),
    [
        (["F_OBO"], {"node_partial": 1}, "without P2"),
        (["F_OBO", "P2", "P3"], {"node_partial": 1}, "without P7"),
        (["F_OBO", "P2", "P7"], {"cpu_partial": 1}, "R12"),
        (["F_ALLCPU", "F_OBO", "P2", "P7"], {"cpu_partial": 1}, "do not explain"),
        (["F_WORK"], {"node_partial": 1}, "shrinks a cache once"),
        (["F_REPARENT_SLABS"], {"node_partial": 1}, "do not explain"),
        (["P2", "P7v3"], {"node_partial": 1}, "R7"),
        (["F_OBO", "P2", "P7v3"], {"cpu_slab": 1}, "do not explain"),
    ],
)
def test_the_cause_follows_from_the_switches(switches, places, why):
    text = said("v3", switches={**SWITCHES, "v3": switches}, censuses=[leak("v3", 2, empty_slabs=places, slabs_left=1)])
    assert why in text
    assert (
        sum(w in text for w in ("without P2", "without P7", "R12", "R7:", "do not explain", "shrinks a cache once"))
        == 1
    )


def test_caches_with_live_objects_are_not_called_leaked():
    text = said("v3", censuses=[leak("v3", 4, slabs_left=120, empty_slabs={"cpu_partial": 20})])
    assert "still there at the end; 20 of their 120 slabs are empty" in text
    assert "100 slabs still hold live objects" in text
    assert "explain" not in text and "Expected" not in text


def test_an_interrupted_run_does_not_speak_of_the_last_free():
    text = said("linux-3.16", interrupted=True)
    assert "still there when the run stopped" in text
    assert "This result is partial: interrupted." in sentences(measure(record(interrupted=True)))


def test_nothing_offlined_and_nothing_counted():
    assert "says nothing about dead caches" in said("v3", censuses=[census("v3", offlined=0, destroyed=0)])
    assert "is not known" in said("v3", censuses=[])


def test_violations_come_first_and_are_loud():
    first = sentences(measure(record(censuses=[census("v1", violated=[("I2", "R is 3, live slabs 2")])])))[0]
    assert first == "INVARIANT VIOLATED under v1: I2: R is 3, live slabs 2."
    assert sentences(measure(record()))[0] == "All 3 invariants that were checked hold."


@pytest.mark.parametrize(
    ("ratio", "says", "not_says"),
    [
        (
            Ratio(estimate=0.996, low=0.989, high=1.003, pairs=9),
            "equivalent (within ±2 %): 0.4 % slower than before [−1.1 %, +0.3 %]",
            "tell",
        ),
        (Ratio(estimate=0.9, low=0.85, high=0.95, pairs=9), "10.0 % slower than before [−15.0 %, −5.0 %]", "tell"),
        (Ratio(estimate=1.1, low=1.05, high=1.15, pairs=9), "10.0 % faster than before", "tell"),
        (
            Ratio(estimate=0.985, low=0.98, high=0.99, pairs=9),
            "equivalent (within ±2 %, a difference smaller than the margin): 1.5 % slower than before [−2.0 %",
            "tell",
        ),
        (Ratio(estimate=0.985, low=0.96, high=0.99, pairs=9), "1.5 % slower than before", "equivalent"),
        (
            Ratio(estimate=0.99, low=0.9, high=1.1, pairs=9),
            "and that includes no change; longer measurement is needed (--seconds)",
            "equivalent",
        ),
        (Ratio(estimate=0.5, low=0.49, high=0.51, pairs=9), "2.00 times slower than before", "tell"),
        (Ratio(estimate=0.9, pairs=3), "cannot tell: only 3 launches, 5 are needed", "equivalent"),
        (Ratio(estimate=1.0, low=1.0, high=1.0, pairs=9), "as fast as before", "than"),
    ],
)
def test_speed_claims_no_more_than_the_interval_carries(ratio, says, not_says):
    text = speed(ratio, "before", f"{ratio.pairs} launches")
    assert says in text and not_says not in text


def test_speed_of_live_and_dead_caches_is_said_apart():
    text = said("v3", live_ns={"v3": 12.5})
    assert "v3: frees into live caches: 20.0 % slower than linux-3.16" in text
    assert "v3: frees into dead caches: equivalent" in text


def test_without_timed_blocks_nothing_is_said_about_speed():
    assert "no launch in common with linux-3.16" in said("v3", blocks=[block("v3", 0)])
    serial = sentences(measure(record(serial=True, blocks=[])))
    assert "Speed was not measured: the CPUs were stepped by one process." in serial
    assert not any("faster" in s or "slower" in s for s in serial)


def test_results_of_old_rest_on_pairs_of_blocks():
    assert "only 3 launches, 5 are needed" in said("v3", pairs=3)
    assert "only 3 pairs of blocks, 5 are needed" in said("v3", pairs=3, launches=[])


def test_locks_per_free_are_compared():
    operations = {"list_lock": 60_000, "list_lock_contended": 0, "page_cas": 110_000, "page_cas_failed": 0}
    text = said("v3", censuses=[census("linux-3.16"), census("v3", operations=operations)])
    assert "v3: 0.06 list_lock acquisitions (×3.00) and 0.11 page CAS (×1.00) per free" in text
    assert "list_lock" not in said("v3", censuses=[census("v3", operations=operations)])


def test_slob_has_nothing_dead_and_says_what_its_pages_were_used_for():
    pages = {
        "peak_pages": 100,
        "free_bytes_at_peak": 40_960,
        "pages_small": 3,
        "pages_full": 1,
        "slob_lock": 990_000,
        "slob_lock_contended": 10,
    }
    nothing = {"offlined": 0, "destroyed": 0, "lifetimes_ns": [], "empty_slabs": {}, "operations": pages}
    slob = record(
        allocator="slob",
        switches={"linux-3.16": ["F_OBO"], "v1": ["P5"]},
        censuses=[census("linux-3.16", **nothing), census("v1", **nothing)],
    )
    result = measure(slob)
    text = "\n".join(sentences(result))
    assert text.count("slob has no caches of cgroups") == 1
    assert "No switch of linux-3.16 and v1 changes slob: they are the same code" in text
    assert "v1: at most 100 pages were in shared use, 10% of them free; live objects pin 4 pages at the end." in text
    assert "v1: 0.99 slob_lock acquisitions (×1.00)" in text and "list_lock" not in text
    assert "says nothing about dead caches" not in text
    assert result.designs["v1"].per_free.list_lock == pytest.approx(0.99)
    no_pass = "\n".join(sentences(measure(record(allocator="slob", censuses=[]))))
    assert "linux-3.16: no counted pass was completed" in no_pass


def test_speeds_of_a_badly_disturbed_run_are_doubted():
    doubt = "do not rely on it"
    assert doubt not in said("v1") and "frees into live caches" in said("v1")
    blocks = [block(d, pair, steal_ticks=50) for pair in range(6) for d in ("linux-3.16", "v1", "v3")]
    assert said("v1", blocks=blocks).count(doubt) == 2


def test_designs_that_are_one_on_slob_are_not_compared_in_words():
    text = "\n".join(sentences(measure(record(allocator="slob"))))
    assert "what differs between them is noise" in text and "faster" not in text and "slower" not in text
