"""The page in a real browser, where one is installed: no complaints, every plot drawn, no page wider than a phone."""

import json
import re

import pytest
from browsing import BROWSER, browse
from claims_report import report
from simulations import everything
from stress_records import TRACE, record

from stress.claims import page as claims_page
from stress.measure.evaluation import measure
from stress.report import page
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
