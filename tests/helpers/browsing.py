"""Pages in a real browser: this machine's Chromium, driven by Playwright; and axe-core, which looks for what keeps
people out.

axe-core is taken from the file that SLAB_STRESS_AXE names, or from the package axe-playwright-python (extra `browser`).
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
# A new profile each time comes by itself. The rest: root may run it, and it does not look for its maker's servers.
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    # One process for all pages, and none in advance: to start one takes as long as most tests.
    "--renderer-process-limit=1", "--disable-features=SpareRendererForSitePerProcess",
)  # fmt: skip


def axe_file() -> Path | None:
    """axe-core's script, or None where it is not installed. Raises ValueError for a setting that names no file."""
    given = os.environ.get("SLAB_STRESS_AXE")
    if given:
        if not Path(given).is_file():
            raise ValueError(f"SLAB_STRESS_AXE={given}: there is no such file")
        return Path(given)
    found = importlib.util.find_spec("axe_playwright_python")
    return None if found is None or found.origin is None else Path(found.origin).parent / "axe.min.js"


def missing() -> str:
    """Why pages cannot be looked at here; "" if they can."""
    if CHROMIUM is None:
        return "no Chromium is installed"
    return "" if importlib.util.find_spec("playwright") else "no Playwright is installed (extra `browser`)"


@contextlib.contextmanager
def launched() -> Iterator[Browser]:
    """A browser without a window."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()


class Tab:
    """A tab of a browser, in which one page after the other is looked at. scripts: they may run."""

    def __init__(self, browser: Browser, scripts: bool = True) -> None:
        self.page = browser.new_page(java_script_enabled=scripts)
        self.said: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))

    @contextlib.contextmanager
    def opened(self, file: Path, width: int = 1000, dark: bool = False) -> Iterator[Page]:
        """The page as somebody sees it who has just opened it. AssertionError if the browser has anything to say."""
        self.said.clear()
        self.page.set_viewport_size({"width": width, "height": 800})
        self.page.emulate_media(media="screen", color_scheme="dark" if dark else "light")
        self.page.goto(file.as_uri())
        yield self.page
        assert not self.said, self.said


def faults(page: Page, *rules: str) -> dict[str, list[str]]:
    """What axe-core finds on a page: rule -> the elements that break it. rules: to look at, all if none is named."""
    script = axe_file()
    assert script is not None
    page.evaluate(script.read_text())
    only = {"runOnly": list(rules)} if rules else {}
    found = page.evaluate("only => axe.run(document, {resultTypes: ['violations'], ...only})", only)
    return {one["id"]: [node["html"] for node in one["nodes"]] for one in found["violations"]}
