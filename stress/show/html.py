"""Elements of a page, made with the standard library's ElementTree: whatever is put in as text stays text."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from importlib import resources
from xml.etree.ElementTree import Element, tostring

Child = Element | str


def el(tag: str, *children: Child, **attributes: object) -> Element:
    """An element with children. Texts and attributes are escaped when it is written; one that is None is left out.

    Attributes are named as in HTML with `_` for `-`; a trailing `_` serves names that Python keeps (`class_`).
    """
    made = Element(
        tag,
        {
            name.rstrip("_").replace("_", "-"): _attribute(value)
            for name, value in attributes.items()
            if value is not None
        },
    )
    add(made, *children)
    return made


def _attribute(value: object) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def add(parent: Element, *children: Child) -> Element:
    """Put children at the end of an element, and return it."""
    for child in children:
        if isinstance(child, Element):
            parent.append(child)
        elif len(parent):
            parent[-1].tail = (parent[-1].tail or "") + child
        else:
            parent.text = (parent.text or "") + child
    return parent


def grid(header: Sequence[Child], rows: Sequence[Sequence[Child]], class_: str | None = None) -> Element:
    """A table whose first column names its rows and whose others hold figures.

    A row of one cell is a title over the rows below.
    """
    body = el("tbody")
    for first, *cells in rows:
        if cells:
            body.append(el("tr", el("th", first, scope="row"), *(el("td", cell) for cell in cells)))
        else:
            body.append(el("tr", el("th", first, colspan=len(header), scope="rowgroup"), class_="group"))
    head = el("thead", el("tr", *(el("th", cell, scope="col") if cell != "" else el("td") for cell in header)))
    # Wider than a phone: the table scrolls, not the page. With tabindex it does so from a keyboard too.
    return el("div", el("table", head, body), class_=" ".join(filter(None, ("table", class_))), tabindex=0)


def document(title: str, body: Element, designs: Sequence[str] = ()) -> bytes:
    """A whole page in the style of all pages, page.css, with their script, page.js; see `whole_page`.

    designs: names of n0, n1, … (see `stress.show.shapes`), which can be switched off.
    """
    if designs:
        body.set("data-designs", json.dumps(list(designs)))
    return whole_page(title, body, "stress.show")


def whole_page(title: str, body: Element, package: str) -> bytes:
    """A whole page in UTF-8 that loads nothing.

    The package's page.css and page.js are all that is not escaped. The browser runs no other script: the policy names
    this one by its digest.
    """
    files = resources.files(package)
    style, script = (files.joinpath(name).read_text("utf-8") for name in ("page.css", "page.js"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'sha256-{digest}'"
    head = el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("meta", name="color-scheme", content="light dark"),
        el("meta", http_equiv="Content-Security-Policy", content=policy),
        el("link", rel="icon", href="data:,"),
        el("title", title),
        el("style", style),
    )
    add(body, el("script", script))
    page = tostring(el("html", head, body, lang="en"), encoding="unicode", method="html")
    return b"<!doctype html>\n" + page.encode("utf-8", "replace") + b"\n"
