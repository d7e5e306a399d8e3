"""The grid as people read it: small multiples, knees, and the one cell that a fault was planted in."""

import io

import pytest
from campaigns import create

from stress.campaign import differ, grid, page, report, table
from stress.campaign.jobs import Serial
from stress.campaign.status import CampaignStatus
from stress.campaign.study import parse

STUDY = """
name = "planted"
kind = "serial"
about = "Is <b>one</b> & only one odd?"
[cross]
design = ["linux-3.16", "v1", "v3"]
cpus = [1, 2, 4, 8]
seed = [1, 2, 3]
[cross.set]
object_size = [64, 256, 1024]
"""
ODD = {"design": "v1", "cpus": 4, "set.object_size": 256}


def planted():
    """Figures that axes explain one by one, but for one cell."""
    wanted = parse(STUDY.encode(), "s")
    rows = []
    for number, point in enumerate(wanted.combinations()):
        place = {axis: value for axis, value in point.items() if axis != "seed"}
        locks = 0.01 * point["cpus"] * (2 if point["design"] == "v3" else 1) * point["set.object_size"] ** 0.5
        figures = dict.fromkeys(grid.columns_of("serial")) | {
            "dead_left": 40 if place == ODD else 0 if point["design"] != "linux-3.16" else 100 + point["seed"],
            "list_lock_per_dead_free": locks * (3 if place == ODD else 1),
            "pages_left": 7 if place == ODD else 0,
        }
        rows.append(
            table.Row(
                number=number, key=str(number), status="violated" if number == 5 else "done", figures=figures,
                job=Serial(design=point["design"], cpus=point["cpus"], seed=point["seed"]),
                point=point,
            )
        )  # fmt: skip
    found = CampaignStatus(
        name="planted", folder="x", kind="serial", counts={"all": 108, "done": 107, "violated": 1}, left=0, needless=0,
        working=False, rate=None, seconds_left=None, mean_seconds=None, failures=[], skipped={}, dashboard="", hosts={},
    )  # fmt: skip
    return wanted, found, grid.make(wanted, rows)


def test_the_odd_cell_is_found_and_no_other():
    wanted, _, made = planted()
    (odd,) = differ.find(made)
    assert odd.cell.point == ODD and len(made.cells) == 36
    said = report.odd_sentence(wanted, odd)
    assert said.startswith("design v1, cpus 4, object size 256: ") and "unusual there too" in said
    assert {odd.metric, *(name for name, _, _ in odd.why)} >= {"dead_left", "list_lock_per_dead_free"}


def test_text_and_markdown_have_the_grid_and_what_was_violated():
    wanted, found, made = planted()
    text, marked = io.StringIO(), io.StringIO()
    report.write_text(wanted, found, made, text)
    report.write_markdown(wanted, found, made, marked)
    for written in (text.getvalue(), marked.getvalue()):
        assert "INVARIANT VIOLATED in 1 job" in written and "--before linux-3.16 --after v1" in written
        assert "dead caches left" in written and "102" in written
    assert "| v1 |" in marked.getvalue() or "| 64 |" in marked.getvalue()


def test_the_page_escapes_links_each_cell_and_filters_by_axis():
    wanted, found, made = planted()
    html = page.render(wanted, found, made).decode()
    assert "<b>one</b>" not in html and "&lt;b&gt;one&lt;/b&gt; &amp; only one" in html
    assert html.count("<script") == 1 and "src=" not in html
    for number in range(len(made.cells)):
        assert f'href="#c{number}"' in html and f'id="c{number}"' in html
    for axis, values in enumerate((3, 3, 4)):
        for at in range(values):
            assert f'id="f{axis}-{at}"' in html and f"#f{axis}-{at}:not(:checked)) .a{axis}-{at} " in html


@pytest.mark.parametrize(
    ("rates", "knee"),
    [({}, None), ({4: 1.0}, None), ({1: 1.0, 2: 2.0, 4: 4.0}, 4), ({1: 1.0, 2: 1.5, 4: 1.6, 8: 1.6}, 2)],
)
def test_the_knee_is_the_most_cpus_at_half_of_linear(rates, knee):
    assert grid.knee(rates) == knee


@pytest.mark.parametrize(
    ("value", "least", "most", "shade"),
    [(5, 5, 5, 0), (0, 0, 8, 0), (8, 0, 8, 8), (4, 0, 8, 4), (10, 1, 100, 4), (1, 1, 100, 0), (100, 1, 100, 8)],
)
def test_shades_go_by_ratios_where_they_span_much(value, least, most, shade):
    assert page.shade_of(value, least, most) == shade


def test_nothing_played_is_a_report_too(tmp_path):
    campaign, wanted = create(tmp_path / "one")
    made = grid.make(wanted, table.rows(campaign, wanted))
    assert (made.cells, made.panels, differ.find(made)) == ([], [], [])
