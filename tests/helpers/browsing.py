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
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
# A new profile each time comes by itself. The rest: root may run it, and it does not look for its maker's servers.
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
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


@contextlib.contextmanager
def opened(browser: Browser, file: Path, width: int = 1000, **context: Any) -> Iterator[Page]:
    """The page as somebody sees it who has just opened it. AssertionError if the browser has anything to complain of.

    context: of Playwright's `new_context`, such as color_scheme.
    """
    said: list[str] = []
    held = browser.new_context(viewport={"width": width, "height": 800}, **context)
    try:
        page = held.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(file.as_uri())
        yield page
        assert not said, said
    finally:
        held.close()


def faults(page: Page) -> dict[str, list[str]]:
    """What axe-core finds on a page: rule -> the elements that break it."""
    script = axe_file()
    assert script is not None
    page.evaluate(script.read_text())
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return {one["id"]: [node["html"] for node in one["nodes"]] for one in found["violations"]}
