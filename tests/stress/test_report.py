"""The table, set as text and Markdown: the right numbers in the right places."""

import io
import json
import re

import pytest
from stress_records import TRACE, census, record

from stress.judge.ratio import Ratio
from stress.measure.evaluation import measure
from stress.report import markdown, table, text, trace
from stress.show import units
from stress.show.terminal import PIPE_WIDTH


def as_text(result) -> str:
    stream = io.StringIO()
    text.print_details(result, stream)
    return stream.getvalue()


def row(report: str, label: str) -> list[str]:
    """The cells of the one line that starts with the label."""
    found = [line for line in report.splitlines() if re.match(rf"[ |]*{re.escape(label)}(  | \|)", line)]
    assert len(found) == 1, (label, found)
    return found[0].strip(" |").removeprefix(label).replace("|", " ").split()


@pytest.fixture
def result():
    return measure(record(live_ns={"v3": 12.5}, trace=TRACE))


@pytest.mark.parametrize("render", [as_text, markdown.render])
def test_figures_stand_under_their_design(result, render):
    report = render(result)
    assert row(report, "frees/s, live caches") == ["200", "M", "200", "M", "160", "M"]
    assert row(report, "ratio, live caches") == "1 1.000 [1.000, 1.000] 0.800 [0.800, 0.800]".split()
    assert row(report, "created") == ["41", "41", "41"]
    assert row(report, "destroyed") == ["0", "38", "41"]
    assert row(report, "left") == ["41", "3", "0"]
    assert row(report, "lifetime after last free p50") == ["never", "19.0", "ms", "21.0", "ms"]
    assert row(report, "empty slabs in cpu partial") == ["100", "5", "0"]
    assert row(report, "pages pinned") == ["236", "236", "0"]
    assert row(report, "free_frozen") == ["12,345", "12,345", "12,345"]
    assert row(report, "list_lock acquisitions") == ["0.02", "0.02", "0.02"]
    assert row(report, "page CAS") == ["0.11", "0.11", "0.11"]
    assert "linux-3.16 (before)" in report and "offline-storm on slub, 2 CPUs" in report


@pytest.mark.parametrize("render", [as_text, markdown.render])
def test_statistics_that_are_zero_everywhere_have_no_row(render):
    censuses = [census("linux-3.16"), census("v1", stats={"alloc_slab": 0, "free_frozen": 5}), census("v3", stats={})]
    report = render(measure(record(censuses=censuses)))
    assert row(report, "free_frozen") == ["12,345", "5.00", "–"]
    assert "alloc_slab" not in report and "order_fallback" not in report


@pytest.mark.parametrize("render", [as_text, markdown.render])
def test_what_is_held_and_charged_at_the_end_has_rows(render, result):
    counted = {"objects_held": 4096, "slabs": 513, "objects_in_barn": 252, "last_allocations": 128}
    counted |= {"slabs_of_last_allocations": 100, "objects_charged": 40, "obj_cgroups_charged": 3}
    censuses = [census("linux-3.16", operations=counted), census("v1"), census("v3")]
    report = render(measure(record(censuses=censuses)))
    assert row(report, "slabs of 64 allocations in a row") == ["50.0", "–", "–"]
    assert row(report, "… in barns") == ["252", "–", "–"]
    assert row(report, "objects still charged") == ["40", "–", "–"]
    assert "allocations in a row" not in render(result) and "still charged" not in render(result)


@pytest.mark.parametrize("render", [as_text, markdown.render])
def test_what_is_unknown_is_a_dash(render):
    report = render(measure(record(blocks=[], censuses=[])))
    assert row(report, "frees/s, all") == ["–"] * 3
    assert row(report, "left") == ["–"] * 3
    assert "nan" not in report.lower() and "None" not in report


def test_sentences_and_trust_stand_under_the_table(result):
    for report in (as_text(result), markdown.render(result)):
        assert report.index("destroyed") < report.index("What the figures say") < report.index("How far to trust them")


def test_the_baseline_comes_first():
    result = measure(record(baseline="v1"))
    assert table.columns(result) == ["v1 (before)", "linux-3.16", "v3"]


def test_markdown_is_one_table_of_even_rows(result):
    lines = [line for line in markdown.render(measure(record())).splitlines() if line.startswith("|")]
    assert {line.count("|") for line in lines} == {5}
    assert lines[1] == "| --- | ---: | ---: | ---: |"


def test_markdown_of_strange_texts_stays_text():
    assert markdown.escape("a|b*c`d<e>\nf") == "a\\|b\\*c\\`d\\<e\\> f"


def test_brackets_are_not_taken_for_markup():
    violated = [("I2", "state [red]R=3[/red] of [bold]kmalloc-64")]
    assert "[red]R=3[/red] of [bold]kmalloc-64" in as_text(measure(record(censuses=[census("v1", violated=violated)])))


def test_text_fits_a_pipe_without_trailing_sentences(result):
    report = as_text(result)
    assert max(map(len, report.splitlines())) <= PIPE_WIDTH and "\x1b" not in report


@pytest.mark.parametrize("render", [as_text, markdown.render])
def test_a_replay_shows_predicted_against_recorded(result, render):
    report = render(result)
    assert row(report, "slabs created") == ["5,000", "5,003", "-3"]
    assert row(report, "slabs discarded") == ["4,000", "3,990", "+10"]
    assert row(report, "slabs at boot") == ["900", "901", "-1"]
    assert row(report, "dentry") == ["70", "75", "-5"]
    assert "99.73 % of operations" in report
    assert "118 of 120 caches (98.3 %)" in report
    assert "free before the trace began: 17" in report


def test_a_replay_of_another_shape_is_shown_all_the_same():
    assert trace.figures({"own_figure": 1234, "share": 0.25, "note": "text"}) == [
        ("own figure", "1,234"),
        ("share", "0.25"),
        ("note", "text"),
    ]
    assert trace.tables({}) == []


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "–"),
        (0, "0"),
        (78, "78.0"),
        (456_000, "456 k"),
        (12_300_000, "12.3 M"),
        (999_900, "1.00 M"),
        (2.5e9, "2.50 G"),
    ],
)
def test_rates(value, shown):
    assert units.rate(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "–"),
        (8.5e-7, "850 ns"),
        (12.3e-6, "12.3 µs"),
        (0.00456, "4.56 ms"),
        (7.89, "7.89 s"),
        (1234.0, "1,234 s"),
        (0.0, "0 ns"),
    ],
)
def test_durations(value, shown):
    assert units.seconds(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (1.0, "as fast"),
        (0.9999, "as fast"),
        (0.996, "0.4 % slower"),
        (1.12, "12.0 % faster"),
        (3.1, "3.10 times faster"),
        (0.25, "4.00 times slower"),
    ],
)
def test_changes(value, shown):
    assert units.change(value) == shown


def test_ratios_and_intervals():
    assert units.ratio(Ratio(estimate=0.996, low=0.989, high=1.003)) == "0.996 [0.989, 1.003]"
    assert units.ratio(Ratio(estimate=0.9)) == "0.900 [?]" and units.ratio(Ratio()) == "–"
    assert units.interval(Ratio(estimate=1, low=0.989, high=1.003)) == "[−1.1 %, +0.3 %]"
    assert units.plural(1, "page") == "1 page" and units.plural(2000, "page") == "2,000 pages"


def test_the_heading_says_what_kind_of_run_it_was():
    assert "oversubscribed" in table.heading(measure(record(oversubscribed=True)))
    assert "stepped by one process" in table.heading(measure(record(serial=True)))


def test_json_is_not_touched_by_reports(result):
    from stress.result.files import encode

    before = json.loads(encode(result))
    as_text(result)
    markdown.render(result)
    assert json.loads(encode(result)) == before


@pytest.mark.parametrize("render", [as_text, markdown.render])
def test_slob_shows_its_pages_and_its_lock(render):
    pages = {
        "peak_pages": 1234,
        "free_bytes_at_peak": 99,
        "free_bytes": 0,
        "slob_lock": 500_000,
        "slob_lock_contended": 1,
    }
    report = render(
        measure(
            record(
                allocator="slob",
                censuses=[
                    census(name, stats={}, empty_slabs={}, operations=pages) for name in ("linux-3.16", "v1", "v3")
                ],
            )
        )
    )
    assert row(report, "most in shared use") == ["1,234"] * 3
    assert row(report, "at the end, full") == ["–"] * 3
    assert (
        row(report, "slob_lock acquisitions") == ["0.5"] * 3 or row(report, "slob_lock acquisitions") == ["0.500"] * 3
    )
    assert "list_lock" not in report and "empty slabs" not in report
    assert "most in shared use" not in render(measure(record()))
