"""The pages as people use them, in a real browser if there is one: pointer, keys, phone, dark, paper, no scripts."""

from __future__ import annotations

import csv
import io
import re
from xml.etree import ElementTree

import browsing
import pytest
from claims_report import report
from simulations import everything
from stress_records import SWITCHES, TRACE, census, record

from stress.claims import page as claims_page
from stress.explore.exploring import Request, build, explore, shown
from stress.explore.found.story import story
from stress.explore.page import html
from stress.explore.races import MODELS
from stress.measure.evaluation import measure
from stress.report import index, page
from stress.result.files import write_result
from stress.result.folder import runs
from stress.simulate import page as simulate_page

pytestmark = [
    pytest.mark.xdist_group("browser"),
    pytest.mark.skipif(bool(browsing.missing()), reason=browsing.missing() or "it is all there"),
]
HOSTILE = "</script><b onclick='x'>&"
PHONE = {"width": 390, "dark": True}
DARK = "rgb(20, 23, 27)"
MANY = [f"design-{number}" for number in range(10)]


@pytest.fixture(scope="module")
def browser():
    """Closed at the module's end: as long as it is open, an event loop runs in this thread."""
    with browsing.launched() as browser:
        yield browser


@pytest.fixture(scope="module")
def tab(browser):
    return browsing.Tab(browser)


@pytest.fixture(scope="module")
def race():
    """R1 in its design: its smallest execution and the one beside it."""
    model = MODELS["R1"]
    request = Request("R1", model.allocator, model.design, model.memory_model, model.cpus)
    answer = explore(request)
    return shown(build(request), answer.schedule), story(answer.rows, answer.outcome)


@pytest.fixture(scope="module")
def pages(race, tmp_path_factory):
    """Files by name."""
    folder = tmp_path_factory.mktemp("pages")
    results = folder / "results"
    for number, live_ns in enumerate((10.0, 11.0, 12.5)):
        sources = {"sources": "0123abcd" if number < 2 else "4567cdef"}
        write_result(measure(record(live_ns={"v3": live_ns}, machine=sources)), results)
    (results / "broken").mkdir()
    (results / "broken" / "result.json").write_text("{<b>")
    machine = {f"fact {number}": number for number in range(12)}  # more rows than are shown at first
    both, told = race
    live_ns = {name: 10.0 + number for number, name in enumerate(MANY)} | {MANY[8]: 30.0}
    censuses = [census(name, left=number) for number, name in enumerate(MANY)]
    switches = dict.fromkeys(MANY, SWITCHES["v1"])
    made = {
        "run": page.render(measure(record(live_ns={"v3": 12.5}, trace=TRACE, machine=machine))),
        "many": page.render(measure(record(live_ns=live_ns, censuses=censuses, switches=switches, baseline=MANY[0]))),
        "index": index.render(runs(results), results),
        "simulate": simulate_page.render(everything()),
        "claims": claims_page.render(report()),
        "race": html.render(f"R1 {HOSTILE}", [("design", HOSTILE)], [*told, HOSTILE], both),
    }
    files = {}
    for name, text in made.items():
        files[name] = folder / f"{name}.html" if name != "index" else results / "index.html"
        files[name].write_bytes(text)
    return files


def point_at(mark):
    """Move the mouse there. First the page scrolls, which takes a value away that is shown."""
    mark.evaluate("""e => new Promise(done => { e.scrollIntoView({block: 'center'});
        requestAnimationFrame(() => requestAnimationFrame(done)); })""")
    mark.hover()


NAMES = ("run", "index", "simulate", "claims", "race")


@pytest.mark.skipif(browsing.axe_file() is None, reason="no axe-core is installed (extra `browser`, SLAB_STRESS_AXE)")
@pytest.mark.parametrize("name", NAMES)
def test_nobody_is_kept_out(tab, pages, name):
    """By day and, as all but the race share their colours, some of them at night."""
    with tab.opened(pages[name], dark=name in ("index", "simulate")) as seen:
        assert browsing.faults(seen) == {}
        if name == "claims":  # what is planted is found
            seen.evaluate("""() => {
                document.querySelector("h1").style.color = "#fdfdfd";
                document.querySelector("figure .tools button").textContent = ""; }""")
            assert {"button-name", "color-contrast"} == set(
                browsing.faults(seen, "button-name", "color-contrast", "label")
            )


DRAWN = """() => [...document.querySelectorAll("svg.plot")].map(svg => {
  const box = e => e.getBoundingClientRect(), size = e => [box(e).width, box(e).height];
  const marks = [...svg.querySelectorAll("rect, circle, polygon")], a = box(svg);
  return {name: svg.getAttribute("aria-label"), size: size(svg), marks: marks.map(size),
    fills: [...new Set(marks.map(e => getComputedStyle(e).fill))],
    outside: [...svg.querySelectorAll("text")].filter(text => {
      const b = box(text); return b.left < a.left - 1 || b.right > a.right + 1 || b.bottom > a.bottom + 1;
    }).map(text => text.textContent)}; })"""


@pytest.mark.parametrize(
    ("name", "figures", "plots"),
    [("run", 9, 17), ("claims", 2, 3), ("simulate", 6, 8), ("index", 1, 2), ("many", 8, 16), ("race", 0, 0)],
)
def test_on_a_phone_in_the_dark(tab, pages, name, figures, plots):
    """No page is wider than the phone, every plot is drawn, and no text leaves it."""
    with tab.opened(pages[name], **PHONE) as seen:
        assert seen.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        assert seen.evaluate("getComputedStyle(document.documentElement).backgroundColor") == DARK
        assert seen.locator("figure").count() == figures
        found = seen.evaluate(DRAWN)
        assert len(found) == plots
        for plot in found:
            assert min(plot["size"]) > 40 and plot["marks"] and min(map(min, plot["marks"])) > 0, plot["name"]
            assert set(plot["fills"]) - {"none", "rgb(0, 0, 0)"} and plot["outside"] == [], plot["name"]


def test_marks_tell_their_values_to_pointer_and_keys_and_pictures_zoom(tab, pages):
    with tab.opened(pages["run"]) as seen:
        figure = seen.locator("figure", has_text="Throughput of each launch over time")
        plot, tip = figure.locator("svg.plot").first, seen.locator(".tip")
        point_at(plot.locator(".mark").nth(4))
        assert "/s" in tip.inner_text() and "launch" in tip.inner_text() and seen.locator(".linked").count() > 1
        seen.mouse.move(1, 1)
        assert tip.is_hidden()
        plot.focus()
        plot.press("ArrowRight")
        assert "/s" in tip.inner_text()
        plot.press("Escape")
        assert tip.is_hidden()
        places = "e => [...e.querySelectorAll('.mark')].map(e => e.getBoundingClientRect().x)"
        before = plot.evaluate(places)
        figure.get_by_label("Zoom in").click()
        assert plot.evaluate(places) != before and plot.locator("text.zoomed").count() > 0
        zoomed = plot.evaluate(places)
        plot.scroll_into_view_if_needed()
        box = plot.bounding_box()
        seen.mouse.move(box["x"] + 200, box["y"] + 60)
        seen.mouse.down()
        seen.mouse.move(box["x"] + 120, box["y"] + 60, steps=2)
        seen.mouse.up()
        assert plot.evaluate(places) != zoomed  # it was dragged
        plot.focus()
        plot.press("0")
        assert plot.evaluate(places) == pytest.approx(before, abs=0.1)


def test_each_design_is_switched_off_alone_and_scales_follow(tab, pages):
    """Ten designs: more than there are colours. The ninth is slow, and its scale leaves little room for the others."""
    with tab.opened(pages["many"]) as seen:
        switches = seen.locator(".designs button")
        assert switches.all_inner_texts()[:10] == MANY and seen.get_by_text("scales follow").is_hidden()
        looks = seen.evaluate(
            """() => [...document.querySelectorAll('.designs svg :is(circle, rect, polygon)')].map(e =>
            e.tagName + (e.getAttribute('points') || '') + getComputedStyle(e).fill)"""
        )
        assert len(set(looks)) == 10
        plot = seen.locator("svg.plot[aria-label^='Ratio in each launch']").first
        forest = seen.locator("svg.plot[data-along]")
        visible = "i => [...document.querySelectorAll(`svg.plot .mark.n${i}`)].filter(e => e.checkVisibility()).length"
        marks = [seen.evaluate(visible, number) for number in range(10)]
        assert min(marks) > 0
        shown = lambda: plot.evaluate("""e => [...e.querySelectorAll('text[text-anchor=end]')]
            .filter(e => e.checkVisibility()).map(e => +e.textContent)""")
        height = lambda: plot.evaluate("""e => { const ys = [...e.querySelectorAll('.mark.n1, .mark.n2')]
            .map(e => e.getBoundingClientRect().y); return Math.max(...ys) - Math.min(...ys); }""")
        tall, whole, apart = forest.bounding_box()["height"], shown(), height()
        switches.nth(8).click()
        assert switches.nth(8).get_attribute("aria-pressed") == "false"
        assert [seen.evaluate(visible, number) for number in range(10)] == [*marks[:8], 0, marks[9]]
        assert min(shown()) > min(whole) and height() > 1.3 * apart
        assert forest.bounding_box()["height"] < tall
        assert not seen.locator("thead th", has_text=MANY[8]).first.is_visible()
        assert not seen.locator(".legend li", has_text=MANY[8]).first.is_visible()
        seen.get_by_text("scales follow").click()
        assert shown() == whole and height() == pytest.approx(apart, abs=0.1)
        switches.nth(8).click()
        assert [seen.evaluate(visible, number) for number in range(10)] == marks
        assert forest.bounding_box()["height"] == tall


def test_bars_follow_the_longest_that_is_left(tab, pages):
    with tab.opened(pages["run"]) as seen:
        held = seen.locator("figure", has_text="What is left at the end").locator("g.bars").first
        width = lambda number: held.locator(f"rect.n{number}").evaluate("e => +e.getAttribute('width')")
        before, after = width(0), width(1)
        seen.locator(".designs button").first.click()
        assert after < width(1) == before
        seen.get_by_text("scales follow").click()
        assert width(1) == pytest.approx(after, abs=0.01)


def test_tables_sort_and_filter_and_show_ten_rows_first(tab, pages):
    with tab.opened(pages["run"]) as seen:
        figure = seen.locator("figure", has_text="Throughput of each launch over time")
        figure.locator("summary").click()
        lines = lambda: figure.evaluate("""e => [...e.querySelectorAll("tbody tr")].filter(e => e.checkVisibility())
            .map(row => [...row.cells].map(cell => cell.textContent))""")
        assert len(lines()) == 10
        figure.locator(".table + button").click()
        every = len(lines())
        assert every > 10
        figure.get_by_label("Filter rows").fill("v1")
        assert 0 < len(lines()) < every and all("v1" in line for line in lines())
        first = figure.locator("thead .sort").first
        first.click()
        first.click()
        seconds = [float(line[0]) for line in lines()]
        assert seconds == sorted(seconds, reverse=True) and seconds[0] > seconds[-1]
        assert figure.locator("[aria-sort=descending]").count() == 1


def test_pictures_are_taken_away_as_svg_csv_and_markdown(tab, pages):
    with tab.opened(pages["run"]) as seen:
        figure = seen.locator("figure", has_text="Throughput of each launch over time")
        texts = {}
        for kind in ("CSV", "Markdown", "SVG"):
            with seen.expect_download() as waiting:
                figure.get_by_role("button", name=kind, exact=True).click()
            texts[waiting.value.suggested_filename.rpartition(".")[2]] = waiting.value.path().read_text()
        head, *rows = csv.reader(io.StringIO(texts["csv"]))
        assert head[:2] == ["at second", "design"] and len(rows) > 10
        assert texts["md"].startswith("| at second | design |") and texts["md"].count("\n") == len(rows) + 2
        drawn = ElementTree.fromstring(texts["svg"])
        assert drawn.tag == "{http://www.w3.org/2000/svg}svg"
        assert any("launch" in title.text for title in drawn.iter("{http://www.w3.org/2000/svg}title"))


def test_a_point_of_joined_launches_marks_those_it_shares(tab, tmp_path):
    """400 launches: ratios are joined by two, rates by three, so 1–2 marks 1–3 in the other picture."""
    file = tmp_path / "report.html"
    file.write_bytes(page.render(measure(record(pairs=400))))
    with tab.opened(file) as seen:
        seen.locator("svg.plot .mark[data-about*='launches 1–2:']").first.dispatch_event("pointerover")
        assert "launches 1–2:" in seen.locator(".tip").inner_text()
        linked = seen.evaluate("[...document.querySelectorAll('.linked')].map(e => e.dataset.about)")
        assert {re.search(r"launch\w* [\d–]+", one)[0] for one in linked} == {"launches 1–2", "launches 1–3"}


def test_the_index_filters_its_runs_and_puts_two_side_by_side(tab, pages):
    """Of three that were chosen the last two, what differs first; other sources are told, a damaged run is named."""
    with tab.opened(pages["index"]) as seen:
        boxes = seen.locator(".runs input[type=checkbox]")
        for box in boxes.all():
            box.click()
        assert [box.is_checked() for box in boxes.all()] == [False, True, True]
        rows = [row.locator("th, td").all_inner_texts() for row in seen.locator("[aria-live=polite] tbody tr").all()]
        differ = [name for name, one, other in rows if one != other]
        assert [name for name, *_ in rows][: len(differ)] == differ and "scenario" not in differ
        assert "v3: live frees against before" in differ
        seen.locator(".runs").locator("xpath=preceding-sibling::input").fill("4567cdef")
        assert sum(row.is_visible() for row in seen.locator(".runs tbody tr").all()) == 1
        assert seen.locator("line.break").count() >= 2 and seen.get_by_role("rowheader", name="broken").is_visible()


def test_on_paper_all_is_there_and_nothing_to_press(tab, pages):
    with tab.opened(pages["run"]) as seen:
        folded = seen.locator(".columns tr.folded").first  # of the machine
        assert not folded.is_visible()
        seen.emulate_media(media="print")
        assert folded.is_visible()
        assert not any(one.is_visible() for one in seen.locator("nav, .tools, input, .tip").all())
        assert seen.locator("svg.plot").first.is_visible()
        assert seen.pdf().startswith(b"%PDF")


def test_without_scripts_they_read_the_same(browser, pages):
    tab = browsing.Tab(browser, scripts=False)
    for name, marked in (("run", "svg.plot title"), ("race", ".listed summary")):
        with tab.opened(pages[name]) as seen:
            assert seen.locator("h1").is_visible() and seen.locator("button, input").count() == 0
            assert seen.locator("section h2").first.is_visible() and seen.locator(marked).first.text_content()


def test_a_race_is_walked(tab, pages, race):
    """By keys, slider and clicks, on a phone in the dark."""
    both, _ = race
    steps = both.failing.steps
    with tab.opened(pages["race"], **PHONE) as seen:
        run = seen.locator(".run").first
        said, told = run.locator("output"), run.locator(".step")
        at = lambda number: said.inner_text() == f"step {number} of {len(steps)}"
        assert at(1)
        run.locator(".timeline").focus()
        for key, number in (("ArrowRight", 2), ("ArrowLeft", 1), ("End", len(steps))):
            seen.keyboard.press(key)
            assert at(number), key
        assert "use after free" in told.inner_text()
        world = run.locator(".world").inner_text()
        assert "cache 1" not in world and "cache 0 (root)" in world
        seen.keyboard.press("Home")
        seen.keyboard.press("p")
        assert "free is preempted: kworker goes on" in told.inner_text()
        seen.keyboard.press("Home")
        seen.keyboard.press("PageDown")
        assert at(list(html.functions(both.failing))[1][0] + 1)
        run.get_by_label("step", exact=True).fill("12")
        assert at(13) and steps[12].stack[0].text in told.inner_text() and run.locator(".row.now").count() == 1
        assert run.locator("[data-step]").count() == 0
        run.locator("[data-group]").first.click()
        unfolded = run.locator("[data-step]").count()
        seen.keyboard.press("Home")
        seen.keyboard.press("Enter")
        run.get_by_text("unfold all").click()
        accesses = sum(step.kind != "switch" for step in steps)
        assert 0 < unfolded < run.locator("[data-step]").count() == accesses
        assert run.locator("path.arrow").count() > 5 and run.locator("path.interrupts").count() > 0
        assert run.locator("rect.lock").count() == len(both.failing.locks)
        assert seen.locator(".run svg").count() == 4
        assert seen.locator("output").nth(1).inner_text() == f"step 1 of {len(both.sound.steps)}"
        assert seen.locator("b").count() == 0  # names stay text
