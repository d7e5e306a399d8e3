"""The report on one screen: whatever a run was, it fits, answers, and says what to type next."""

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stress_records import TRACE, block, census, leak, record

from stress.measure.evaluation import measure
from stress.measure.records import SectionSum
from stress.report import short

PATH = Path("results/20260101-000000-offline-storm-abcd/result.json")
NAMES = ["v1", "v3", "linux-6.18", "linux-3.16+P1+P2+P3+P4+P5+P6+P7+F_OBO", "v3-F_OBO", "full-tracking", "rfc-reparent"]


def said(again="last", **fields) -> list[str]:
    return [text for text, _ in short.lines(measure(record(**fields)), PATH, PATH.with_name("report.html"), again)]


def table_of(lines):
    """label -> cells of the table's rows."""
    rule = next((i for i, line in enumerate(lines) if line.startswith("──")), len(lines))
    rows = {}
    for line in lines[rule + 1 :]:
        label, *cells = re.split(r"\s{2,}", line)
        if line.startswith(("Trust: ", "No room ", "Page: ")):
            break
        rows[label] = cells
    return rows


@st.composite
def runs(draw):
    """Made-up runs of every kind: designs, launches, sections, counted passes, ends."""
    names = ["linux-3.16", *draw(st.lists(st.sampled_from(NAMES), unique=True))]
    pairs, noise = draw(st.integers(0, 7)), draw(st.floats(0, 0.4))
    kinds = draw(st.sets(st.sampled_from(["live", "dead", "alloc", "mixed"])))
    blocks = []
    for pair in range(pairs):
        for number, name in enumerate(names):
            ns = 1e4 * (1 + noise * ((7 * pair + 3 * number) % 5))
            sections = {
                kind: [SectionSum(1000, ns, 9) if kind in kinds else SectionSum() for _ in range(2)]
                for kind in ("live", "dead", "alloc", "mixed")
            }
            steal = draw(st.sampled_from([0, 0, 5, 500]))
            blocks.append(block(name, pair, sections=sections, steal_ticks=steal))
    counted = draw(st.lists(st.sampled_from(names), unique=True))
    violated = draw(st.sampled_from([[], [], [("I2", "R is 3, live slabs 2 " * 20)]]))
    make = draw(st.sampled_from([census, leak]))
    recorded = {"designs": dict.fromkeys(names, TRACE)}
    return {
        "switches": {name: [] for name in names},
        "blocks": blocks,
        "censuses": [
            make(name, offlined=draw(st.sampled_from([0, 41, 720_000])), violated=violated) for name in counted
        ],
        "allocator": draw(st.sampled_from(["slub", "slab", "slob"])),
        "serial": draw(st.booleans()),
        "interrupted": draw(st.booleans()),
        "oversubscribed": draw(st.booleans()),
        "damage": draw(st.sampled_from(["", "", "worker 1 was killed by signal 9 " * 9])),
        "trace": draw(st.sampled_from([None, None, TRACE, recorded])),
        "command": draw(st.sampled_from(["", "python -m stress run --seconds 3"])),
    }


@settings(max_examples=60, deadline=None)
@given(runs())
def test_any_run_fits_one_screen_and_has_no_row_of_dashes(fields):
    result = measure(record(**fields))
    lines = said(**fields)
    before = 0
    while lines[before].startswith(("INVARIANT", "  ")):
        before += 1
    assert bool(before) == bool(result.invariants.violated)
    assert len(lines) - before <= short.LINES, "\n".join(lines)
    assert all(len(line) <= short.WIDTH for line in lines if not line.startswith(("Page: ", "Next: "))), lines
    assert not any("None" in line or "nan" in line.split() for line in lines)
    for label, cells in table_of(lines).items():
        assert set(cells) - {"–"}, (label, lines)


def test_the_answer_the_table_and_the_trust_of_a_good_run():
    lines = said(live_ns={"v3": 12.5})
    assert lines[1:4] == [
        "Of 41 caches of removed cgroups linux-3.16 leaves all behind, v1 3 and v3 none.",
        "A live free takes 10.0 ns under linux-3.16: v1 equivalent [±0.0 %, ±0.0 %], v3 20.0 % slower",
        "  [−20.0 %, −20.0 %].",
    ]
    rows = table_of(lines)
    assert rows["dead caches left"] == ["41 of 41", "3 of 41", "0 of 41"]
    assert rows["… lifetime, p50 / max"][0] == "never" and rows["… pages pinned"] == ["236", "236", "0"]
    assert rows["time per dead free"] == ["20.0 ns"] * 3
    assert rows["throughput, live frees"][2] == "0.800 [0.800, 0.800]"
    assert rows["list_lock per free"] == ["0.02"] * 3
    assert "throughput, allocations" not in rows and "throughput, mixed operations" not in rows
    assert "Trust: good. Nothing speaks against these figures." in lines
    assert any(line.startswith("8 launches; 95 % intervals to ± 0 % (live), 0 % (dead)") for line in lines)
    assert f"Page: {PATH.with_name('report.html')}" in lines


def test_a_violation_comes_before_everything_and_in_full():
    text = "R is 3, live slabs 2, " * 30 + "the end"
    lines = said(censuses=[census("v1", violated=[("I2", text)])])
    whole = " ".join(" ".join(lines).split())
    assert whole.startswith(f"INVARIANT VIOLATED under v1: I2: {text}. offline-storm on slub")
    assert "No figure of this run is to be relied on." in lines
    assert "Next: python -m stress explore --like last  # which interleaving breaks it" in lines


def test_a_row_that_says_little_gives_way_and_a_design_without_room_is_named():
    names = {f"{'x' * 30}{number}": [] for number in range(9)}
    blocks = [block(name, pair) for pair in range(6) for name in ("linux-3.16", *names)]
    lines = said(switches={"linux-3.16": [], **names}, blocks=blocks, damage="it broke " * 40)
    assert len(lines) <= short.LINES and any(line.startswith("No room for xxxxxxxxxxxx…") for line in lines)
    assert "throughput, live frees" in table_of(lines)


@pytest.mark.parametrize(
    ("fields", "first"),
    [
        (
            {"pairs": 3, "command": "python -m stress run --seconds 9"},
            "stress run --seconds 60 --until-sure  # to be sure",
        ),
        ({}, "stress explore --like last --design v1  # which interleaving leaves dead caches"),
        ({"censuses": [leak()]}, "stress explore --like last  # which interleaving leaves dead caches"),
        ({"censuses": [census("v3")]}, "stress report last --details  # everything"),
    ],
)
def test_what_to_type_next_follows_from_what_was_found(fields, first):
    following = [line for line in said(**fields) if line.startswith("Next: ")]
    assert following[0] == f"Next: python -m {first}" and 1 <= len(following) <= 2


def test_serial_play_slob_and_single_designs_have_a_short_form_too():
    serial = said(serial=True, blocks=[])
    assert "Speed was not measured, as one process stepped all CPUs." in serial
    assert not any("throughput" in line or "time per" in line or "launch" in line for line in serial)
    slob = said(allocator="slob", censuses=[census(name, offlined=0) for name in ("linux-3.16", "v1", "v3")])
    assert "SLOB has no caches of cgroups, so none can be left behind." in slob
    assert "No switch changes slob: what differs between designs is noise." in slob
    assert not any("slower" in line or "equivalent" in line for line in slob)
    single = said(switches={"linux-3.16": []}, blocks=[block("linux-3.16", 0)], censuses=[leak()])
    assert "A live free takes 10.0 ns under linux-3.16." in single
    assert not any("throughput" in line for line in single)


def test_speeds_of_a_poor_run_are_doubted_once():
    blocks = [block(name, pair, steal_ticks=50) for pair in range(6) for name in ("linux-3.16", "v1", "v3")]
    lines = said(blocks=blocks)
    assert sum("Do not rely on these speeds" in line for line in lines) == 1
    assert any(line.startswith("Trust: poor. 6 of 6 launches were badly disturbed") for line in lines)


def test_how_much_of_the_interval_is_luck_is_said():
    blocks = [block("linux-3.16", pair) for pair in range(8)]
    blocks += [block(name, pair, 10 * (1 + pair / 100), 20) for pair in range(8) for name in ("v1", "v3")]
    (line,) = (line for line in said(blocks=blocks) if line.startswith("8 launches; "))
    assert re.search(r"a launch's luck is \d+ % of the scatter\.$", line)
