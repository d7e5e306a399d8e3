"""The page in a real browser, where one is installed: no complaints, every plot drawn, no page wider than a phone."""

import html
import json
import re
from xml.etree import ElementTree

import pytest
from browsing import BROWSER, browse
from claims_report import report
from simulations import everything
from stress_records import TRACE, record

from stress.claims import page as claims_page
from stress.measure.evaluation import measure
from stress.report import index, page
from stress.result.files import write_result
from stress.result.folder import runs
from stress.simulate import page as simulate_page

PROBE = """<script>addEventListener("load", () => {
  const size = e => { const r = e.getBoundingClientRect(); return [r.width, r.height]; };
  const plots = [...document.querySelectorAll("svg.plot")].map(svg => ({
    name: svg.getAttribute("aria-label"), size: size(svg),
    marks: [...svg.querySelectorAll("rect, circle, polygon")].map(size),
    fills: [...new Set([...svg.querySelectorAll("rect, circle, polygon")].map(e => getComputedStyle(e).fill))],
    outside: [...svg.querySelectorAll("text")].filter(t => {
      const a = t.getBoundingClientRect(), b = svg.getBoundingClientRect();
      return a.left < b.left - 1 || a.right > b.right + 1 || a.bottom > b.bottom + 1; }).map(t => t.textContent) }));
  const seen = {plots, width: document.documentElement.scrollWidth, room: innerWidth};
  document.body.innerHTML = ""; document.body.textContent = "PROBE" + JSON.stringify(seen) + "EBORP"; });</script>"""

pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")


def run_page() -> str:
    return page.render(measure(record(live_ns={"v3": 12.5}, trace=TRACE))).decode()


def page_of_claims() -> str:
    return claims_page.render(report()).decode()


def page_of_simulation() -> str:
    return simulate_page.render(everything()).decode()


# The page, its figures and its plots.
@pytest.fixture(
    params=[(run_page, 9, 17), (page_of_claims, 2, 3), (page_of_simulation, 6, 8)], ids=["run", "claims", "simulate"]
)
def drawn(request):
    make, figures, plots = request.param
    return make(), figures, plots


def test_the_console_stays_empty(drawn, tmp_path):
    text, figures, _ = drawn
    file = tmp_path / "report.html"
    file.write_text(text)
    dom, said = browse(file, tmp_path)
    assert dom.count("<figure") == figures and "CONSOLE" not in said, said


def test_every_plot_is_drawn_in_the_dark_on_a_phone(drawn, tmp_path):
    text, _, plots = drawn
    file = tmp_path / "report.html"
    policy = re.search(r'<meta http-equiv="Content-Security-Policy"[^>]*>', text)[0]  # it rightly forbids the probe
    file.write_text(text.replace(policy, "").replace("</body>", PROBE + "</body>"))
    dom, _ = browse(file, tmp_path, "--window-size=500,800", "--blink-settings=preferredColorScheme=0")
    seen = json.loads(
        re.search("PROBE(.*)EBORP", dom)[1].replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">")
    )
    assert len(seen["plots"]) == plots and seen["width"] <= seen["room"]
    for plot in seen["plots"]:
        assert min(plot["size"]) > 40, plot["name"]
        assert plot["marks"] and all(min(size) > 0 for size in plot["marks"]), plot["name"]
        assert set(plot["fills"]) - {"none", "rgb(0, 0, 0)"}, plot["name"]
        assert plot["outside"] == [], plot["name"]


ASKED = """<script>addEventListener("load", () => {
  const one = what => document.querySelector(what);
  const every = (what, where = document) => [...where.querySelectorAll(what)];
  const press = (e, key) => e.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true}));
  const said = () => one(".tip").hidden ? "" : one(".tip").textContent;
  const visible = what => every(what).filter(e => getComputedStyle(e).display !== "none").length;
  const seen = {}, files = [];
  HTMLAnchorElement.prototype.click = function () {
    files.push(fetch(this.href).then(r => r.text()).then(text => [this.download, text])); };
  const time = every("figure").find(f => f.querySelector("h3").textContent.includes("over time"));
  const plot = time.querySelector("svg.plot"), marks = every(".mark", plot);
  marks[4].dispatchEvent(new PointerEvent("pointerover", {bubbles: true}));
  seen.hover = said(); seen.linked = every(".linked").length;
  plot.dispatchEvent(new PointerEvent("pointerleave")); seen.left = said();
  press(plot, "ArrowRight"); seen.key = said(); press(plot, "Escape"); seen.escaped = said();
  const places = () => marks.map(e => e.getAttribute("cx") || e.getAttribute("x")), before = places();
  time.querySelector("[aria-label='Zoom in']").click();
  seen.zoomed = places().some((x, i) => x !== before[i]); seen.labels = every("text.zoomed", plot).length;
  press(plot, "0"); seen.back = places().every((x, i) => Math.abs(x - before[i]) < 0.01);
  const toggle = every(".designs button")[1];
  seen.designs = every(".designs button").map(b => b.textContent);
  seen.on = visible("svg.plot .d1"); toggle.click(); seen.off = visible("svg.plot .d1");
  seen.pressed = toggle.getAttribute("aria-pressed");
  const filter = time.querySelector("input"), rows = () => every("tbody tr", time).filter(r => !r.hidden);
  seen.first = rows().length; time.querySelector(".table + button").click(); seen.all = rows().length;
  filter.value = "v1"; filter.dispatchEvent(new Event("input"));
  seen.filtered = rows().map(r => r.textContent.includes("v1"));
  const sort = time.querySelector("thead .sort"); sort.click(); sort.click();
  seen.sorted = rows().map(r => parseFloat(r.cells[0].textContent));
  for (const kind of ["SVG", "CSV", "Markdown"])
    every(".tools button", time).find(b => b.textContent === kind).click();
  const named = e => e.textContent || e.getAttribute("aria-label");
  seen.unnamed = every("button, input, svg.plot").filter(e => !named(e)).length;
  seen.named = every("svg.plot [aria-label]:not([role])").length;  // ARIA: a shape without a role has no name
  seen.roles = [...new Set(every("svg.plot").filter(e => e.tabIndex === 0).map(e => e.getAttribute("role")))];
  Promise.all(files).then(made => { seen.files = made;
    document.body.innerHTML = ""; document.body.textContent = "PROBE" + JSON.stringify(seen) + "EBORP"; });
});</script>"""


def test_it_answers_the_pointer_and_the_keyboard(tmp_path):
    """Values, zoom, designs switched off, tables sorted and filtered, pictures taken away."""
    file = tmp_path / "report.html"
    text = run_page()
    policy = re.search(r'<meta http-equiv="Content-Security-Policy"[^>]*>', text)[0]
    file.write_text(text.replace(policy, "").replace("</body>", ASKED + "</body>"))
    dom, said = browse(file, tmp_path, "--virtual-time-budget=5000")
    assert "CONSOLE" not in said, said
    seen = json.loads(html.unescape(re.search("PROBE(.*)EBORP", dom, re.DOTALL)[1]))
    assert "/s" in seen["hover"] and seen["linked"] > 1 and seen["left"] == ""
    assert "/s" in seen["key"] and seen["escaped"] == ""
    assert seen["zoomed"] and seen["back"] and seen["labels"] > 0
    assert seen["designs"][0] == "linux-3.16" and seen["on"] > 0 and seen["off"] == 0 and seen["pressed"] == "false"
    assert seen["first"] == 10 < seen["all"] and seen["filtered"] and all(seen["filtered"])
    assert seen["sorted"] == sorted(seen["sorted"], reverse=True)
    files = dict(seen["files"])
    assert sum(name.endswith(".svg") for name in files) >= 1 and seen["unnamed"] == 0
    drawn = ElementTree.fromstring(next(text for name, text in files.items() if name.endswith(".svg")))
    assert drawn.tag == "{http://www.w3.org/2000/svg}svg" and list(drawn.iter("{http://www.w3.org/2000/svg}title"))
    assert seen["named"] == 0 and seen["roles"] == ["application"]
    table = next(text for name, text in files.items() if name.endswith(".csv"))
    assert table.startswith("at second,design,") and table.count("\n") == seen["all"] + 1
    assert next(text for name, text in files.items() if name.endswith(".md")).startswith("| at second | design |")


JOINED = """<script>addEventListener("load", () => {
  const every = what => [...document.querySelectorAll(what)];
  const point = every("svg.plot .mark").find(e => (e.dataset.about || "").includes("launches 1–2:"));
  if (point) point.dispatchEvent(new PointerEvent("pointerover", {bubbles: true}));
  const seen = [document.querySelector(".tip").textContent, ...every(".linked").map(e => e.dataset.about)];
  document.body.innerHTML = ""; document.body.textContent = "PROBE" + JSON.stringify(seen) + "EBORP"; });</script>"""


def test_a_point_of_joined_launches_marks_those_it_shares(tmp_path):
    """400 launches: ratios are joined by two, rates by three, so 1–2 marks 1–3 in the other picture."""
    result = measure(record(pairs=400))
    file = tmp_path / "report.html"
    text = page.render(result).decode()
    policy = re.search(r'<meta http-equiv="Content-Security-Policy"[^>]*>', text)[0]
    file.write_text(text.replace(policy, "").replace("</body>", JOINED + "</body>"))
    dom, said = browse(file, tmp_path)
    assert "CONSOLE" not in said, said
    tip, *linked = json.loads(html.unescape(re.search("PROBE(.*)EBORP", dom, re.DOTALL)[1]))
    assert "launches 1–2:" in tip
    assert {re.search(r"launch\w* [\d–]+", one)[0] for one in linked} == {"launches 1–2", "launches 1–3"}


CHOSEN = """<script>addEventListener("load", () => {
  const boxes = [...document.querySelectorAll(".runs input[type=checkbox]")];
  for (const box of boxes) box.click();
  const seen = {checked: boxes.map(box => box.checked), marks: document.querySelectorAll("svg.plot .mark").length,
    heads: [...document.querySelectorAll("main div.table:not(.runs) thead th")].map(e => e.textContent),
    rows: [...document.querySelectorAll("[aria-live=polite] tbody tr")].map(r => [...r.cells].map(c => c.textContent))};
  document.body.innerHTML = ""; document.body.textContent = "PROBE" + JSON.stringify(seen) + "EBORP"; });</script>"""


def test_two_of_many_runs_stand_side_by_side(tmp_path):
    """The newest two of three that were chosen, what differs first; and a damaged run is named."""
    for live_ns in (10.0, 11.0, 12.5):
        write_result(measure(record(live_ns={"v3": live_ns})), tmp_path)
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "result.json").write_text("{<b>")
    text = index.render(runs(tmp_path), tmp_path).decode()
    assert "Not readable" in text and "broken" in text
    file = tmp_path / "index.html"
    policy = re.search(r'<meta http-equiv="Content-Security-Policy"[^>]*>', text)[0]
    file.write_text(text.replace(policy, "").replace("</body>", CHOSEN + "</body>"))
    dom, said = browse(file, tmp_path)
    assert "CONSOLE" not in said, said
    seen = json.loads(html.unescape(re.search("PROBE(.*)EBORP", dom, re.DOTALL)[1]))
    assert seen["checked"] == [False, True, True] and seen["marks"] >= 6
    rows = {name: both for name, *both in seen["rows"]}
    assert rows["v3: live frees against before"][0] != rows["v3: live frees against before"][1]
    assert rows["scenario"][0] == rows["scenario"][1]
    names = [row[0] for row in seen["rows"]]
    assert names.index("v3: live frees against before") < names.index("scenario")
