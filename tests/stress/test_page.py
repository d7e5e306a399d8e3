"""The page of a run: what stands on it, and that nothing of the result gets out of its text."""

import base64
import hashlib
import html.parser
import math
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from stress_records import SWITCHES, TRACE, block, census, leak, record
from until import PATIENCE

from stress.judge.ratio import Ratio
from stress.measure.evaluation import measure
from stress.report import page, verdict
from stress.report.figures import figures
from stress.show import axis, shapes

ROOT = Path(__file__).resolve().parents[2]
EVIL = "</text></title></style><script>alert('x')</script>\"'><img src=x onerror=alert(1)>&amp;"


class Reader(html.parser.HTMLParser):
    """The tags of a page with their attributes, and its text."""

    VOID = {"meta", "link"}

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.text = [], [], ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data

    def named(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


def read(result) -> Reader:
    reader = Reader(page.render(result).decode())
    assert reader.open == []
    return reader


def plain(**fields):
    return measure(record(**{"live_ns": {"v3": 12.5}} | fields))


def test_verdict_table_pictures_and_how_to_repeat_it():
    made = read(plain(trace=TRACE))
    wanted = (
        "Of 41 caches of removed cgroups linux-3.16 leaves all behind, v1 3 and v3 none; "
        "frees against linux-3.16: v1 equivalent",
        "frees/s, live caches", "What is left at the end", "Where empty slabs of dead caches hide",
        "Operations per free",
        "Throughput of each launch over time", "How long frees take", "How long allocations take",
        "Dead caches and what they pin, over time",
        "Throughput against linux-3.16", "python -m stress run", "Model CPU", "seed", "cgroups",
        "Replay of a recorded trace", "free_frozen", "Invariants that were checked: I1, I2, pages",
    )  # fmt: skip
    places = [made.text.find(text) for text in wanted]
    assert -1 not in places, wanted[places.index(-1)]
    assert len([a for a in made.named("svg") if a["class"] == "plot"]) == 6 + 2 + 3 + 4 + 2


def test_every_picture_has_its_numbers_and_a_name_for_those_who_do_not_see_it():
    for figure in figures(plain()):
        assert figure.rows and all(len(row) in (1, len(figure.header)) for row in figure.rows), figure.title
        assert figure.caption and all(drawing.get("aria-label") for _, drawing in figure.drawings)
    made = read(plain())
    assert len(made.named("figure")) == len(list(figures(plain()))) == 9
    assert len(made.named("details")) == 9 + 1


def test_numbers_beside_the_pictures_are_those_of_the_table():
    by_title = {figure.title: figure for figure in figures(plain())}
    left = {row[0]: row[1:] for row in by_title["What is left at the end"].rows}
    assert left["dead caches"] == ("41", "3", "0") and left["pages pinned"] == ("236", "236", "0")
    assert ("linux-3.16", "0", "100", "18", "118") in by_title["Where empty slabs of dead caches hide"].rows
    assert ("v3: frees, live", "0.800", "0.800", "0.800", "8") in by_title["Throughput against linux-3.16"].rows
    assert len(by_title["Throughput of each launch over time"].rows) == 27
    course = by_title["Dead caches and what they pin, over time"].rows
    assert course.count(("200 ms", "41", "236", "9")) == 1 and len(course) == 3 * (1 + 21)
    frees = by_title["How long frees take"].rows
    assert frees[1] == ("linux-3.16", "10,000", "60.0 ns", "60.0 ns", "300 ns", "6.00 µs", "4.10 ms")
    assert sum(row[0] == "v3" for row in frees) == 4


@pytest.mark.parametrize(
    "fields",
    [
        {"blocks": [], "censuses": []},
        {"serial": True, "blocks": []},
        {"damage": "worker 1 was killed", "pairs": 0},
        {"interrupted": True, "pairs": 1},
        {"censuses": [census("v1", violated=[("I2", "state")])]},
        {
            "allocator": "slob",
            "censuses": [census(n, offlined=0, stats={}, empty_slabs={}, operations={}) for n in SWITCHES],
        },
        {"switches": {"linux-3.16": []}, "blocks": [block("linux-3.16", 0)], "censuses": [leak()]},
        {"machine": {}, "command": "", "parameters": {}},
        {"blocks": [block("v1", 0, wall_ns=0), block("linux-3.16", 0, wall_ns=0)]},
    ],
    ids=lambda fields: " ".join(fields),
)
def test_pages_of_odd_runs(fields):
    made = read(plain(**fields))
    assert "None" not in made.text.replace("none", "") and "nan" not in re.sub(r"[a-z]nan|nan[a-z]", "", made.text)
    for _, attributes in made.tags:
        assert not any(v in ("nan", "inf", "-inf") for v in attributes.values())


def test_the_ratio_of_each_launch_is_drawn_with_the_interval_it_makes():
    blocks = [block("linux-3.16", pair) for pair in range(8)]
    blocks += [block("v1", pair, 10 * (1 + pair / 100), 20) for pair in range(8)]
    result = plain(blocks=blocks, switches={name: SWITCHES[name] for name in ("linux-3.16", "v1")})
    (figure,) = (figure for figure in figures(result) if figure.title == "Ratio to linux-3.16, launch by launch")
    live = [row[1:] for row in figure.rows if row[0] == "v1: frees, live"]
    assert live[0] == ("launch 1", "1.000") and live[7] == ("launch 8", f"{1 / 1.07:.3f}") and len(live) == 8
    drawing = dict(figure.drawings)["frees into live caches"]
    bar, *ends = [e for e in drawing.iter("line") if (e.get("class") or "").startswith("interval d1")]
    assert float(bar.get("y1")) - float(bar.get("y2")) > 10 and len(ends) == 2
    assert sum("launch" in (e.text or "") for e in drawing.iter("title")) == 8
    (old,) = (f for f in figures(plain(launches=[])) if "pair of blocks by pair of blocks" in f.title)
    assert old.rows[0][1] == "pair 0"


def test_nothing_gets_out_of_its_text():
    names = {EVIL: ["P2"], "linux-3.16": []}
    blocks = [block(name, pair) for pair in range(5) for name in names]
    made = read(
        measure(record(
            switches=names, blocks=blocks, censuses=[leak(EVIL, empty_slabs={EVIL: 3}), leak()], scenario=EVIL,
            command=EVIL,
            parameters={EVIL: EVIL, "list": [EVIL]}, machine={"cpu": EVIL, EVIL: EVIL}, damage=EVIL,
            trace={EVIL: EVIL, "marks": [{"name": EVIL, "predicted": 1, "recorded": 2}]},
        ))
    )  # fmt: skip
    expected = read(plain())
    assert len(made.named("script")) == 1
    assert {tag for tag, _ in made.tags} <= {tag for tag, _ in expected.tags} | {"ul", "li"}
    assert not any(name.startswith("on") for _, attributes in made.tags for name in attributes)
    assert {a["href"] for a in made.named("a")} == {"result.json"}
    assert made.text.count("<script>alert('x')</script>") > 5
    assert made.named("meta")[-1]["content"].startswith("default-src 'none'")


def test_a_page_loads_nothing_and_runs_its_own_script_only():
    text = page.render(plain()).decode()
    (script,) = re.findall("<script>(.*?)</script>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in text
    assert not re.search(r"\beval\b|Function\(|innerHTML|fetch\(|XMLHttp|WebSocket|import\(", script)
    assert not re.search(r"https?:|url\(|@import|<iframe|<img|<object", text.replace(script, ""))


def test_a_run_of_hours_has_a_page_of_sensible_size():
    """And is drawn in a time that grows with the pairs, not with their square, a hundredfold of ten times as many."""
    took: dict[int, float] = {}
    for pairs in (300, 3000) * 2:
        blocks = [block(name, pair, wall_ns=10**8) for pair in range(pairs) for name in ("linux-3.16", "v1")]
        result = plain(blocks=blocks, switches={name: SWITCHES[name] for name in ("linux-3.16", "v1")}, launches=[])
        began = time.process_time()
        text = page.render(result)
        took[pairs] = min(took.get(pairs, math.inf), time.process_time() - began)
    assert took[3000] < 30 * took[300] and len(text) < 500_000
    assert b"joined to their median" in text and b"pairs 0\xe2\x80\x939" in text


def test_drawing_needs_nothing_heavy():
    program = (
        "import sys\nfrom stress.report import page\n"
        "print([m for m in ('numpy', 'scipy', 'rich', 'numba', 'plotly', 'jinja2') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE)
    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]), (0.93, 1.06, [0.95, 1, 1.05]), (3, 3, [3]), (0, 7e6, [0, 2e6, 4e6, 6e6])],
)
def test_ticks_are_round_and_inside(low, high, expected):
    assert axis.ticks(low, high) == pytest.approx(expected)


def test_scales():
    assert axis.Scale(0, 10, 100, 200)(5) == 150 and axis.Scale(0.5, 2, 0, 100, log=True)(1) == pytest.approx(50)
    assert axis.padded([5.0]) == pytest.approx((4.7, 5.3)) and axis.padded([0.0]) == (-1, 1)
    low, high = axis.ratio_range([0.5, 1.1], 1.04)
    assert low < 0.5 and high > 1.1


@pytest.mark.parametrize(
    ("ratio", "said"),
    [
        (Ratio(estimate=1.001, low=0.99, high=1.01, pairs=9), "equivalent [−1.0 %, +1.0 %]"),
        (Ratio(estimate=0.9, low=0.85, high=0.95, pairs=9), "10.0 % slower [−15.0 %, −5.0 %]"),
        (Ratio(estimate=0.97, low=0.9, high=1.05, pairs=9), "cannot tell [−10.0 %, +5.0 %]"),
        (Ratio(estimate=0.97, pairs=2), "cannot tell from 2 launches"),
    ],
)
def test_speed_in_a_few_words(ratio, said):
    assert verdict.speed(ratio, f"{ratio.pairs} launches") == said


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        (
            {"censuses": [census("v1", violated=[("I2", "x"), ("I3", "y")])]},
            "INVARIANT VIOLATED under v1: I2, and 1 more violation: no figure",
        ),
        ({"serial": True, "blocks": []}, "speed was not measured"),
        ({"allocator": "slob"}, "SLOB has no caches of cgroups"),
        ({"blocks": [], "censuses": []}, "This run measured nothing."),
        ({"damage": "worker 1 was killed"}, "(partial: worker 1 was killed)."),
        (
            {"censuses": [leak("linux-3.16"), leak("v1", 1, offlined=40)]},
            "Of the caches of removed cgroups linux-3.16 leaves all of 41 behind and v1 1 of 40",
        ),
    ],
)
def test_verdicts(fields, says):
    text = verdict.verdict(plain(**fields))
    assert says in text and text.endswith(".") and text[0].isupper()


def test_designs_beyond_the_colours_differ_in_shape_and_dashes():
    """Of the first eight each has a shape of its own, and of 64 none has another's colour and shape."""
    marks = [shapes.mark(number, 0.0, 0.0, 1.0) for number in range(64)]
    seen = [(m.tag, m.get("points"), m.get("class").split()[1]) for m in marks]
    assert len({look[:2] for look in seen[:8]}) == 8 == len({colour for *_, colour in seen}) and len(set(seen)) == 64
    assert shapes.colour(3) == "d3 n3" and shapes.colour(11) == "d3 n11 k1" and shapes.colour(19) == "d3 n19 k2"
