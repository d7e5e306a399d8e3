"""What `explore` prints as JSON keeps to its published schema, and says what the text says."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from stress.commands.app import app
from stress.explore.exploring import explore
from stress.explore.found import published
from stress.explore.found.answer import Request
from stress.explore.found.table import Line, as_markdown, as_text, page_of
from stress.explore.races import MODELS


def test_what_is_found(tmp_path, valid):
    out = tmp_path / "R12.json"
    done = CliRunner().invoke(app, ["explore", "R12", "--format", "json", "--out", str(out)])
    assert done.exit_code == 1
    data = valid("exploration", done.stdout)
    assert data["found"]["kind"] == "leak" and data["schedule"] == str(out) and out.exists()
    kinds = {step["kind"] for step in data["found"]["trace"]}
    assert {"load", "store", "switch"} <= kinds
    assert any(step["word"] == "cache 1 .dead" and step["where"] and step["values"] for step in data["found"]["trace"])


def test_what_is_not_found(valid):
    done = CliRunner().invoke(
        app, ["explore", "R12", "--design", "v1+F_ALLCPU", "--preemptions", "0", "--format", "json"]
    )
    data = valid("exploration", done.stdout)
    assert done.exit_code == 0 and data["found"] is None and data["schedule"] is None
    assert data["exhaustive"] and data["bound"] == 0 and data["raced"] == 100


def test_one_model_is_no_table():
    done = CliRunner().invoke(app, ["explore", "R12", "--format", "markdown"])
    assert done.exit_code == 2 and "--format markdown" in done.stderr


@pytest.fixture(scope="module")
def lines():
    model = MODELS["R7"]

    def look(design: str):
        return explore(
            Request(model.name, model.allocator, design, model.memory_model, model.cpus, preemptions=0, seconds=0)
        )

    return [Line(model, look(model.design), look(model.mended), True)]


def test_the_catalogue(lines, valid):
    data = valid("catalogue", published.encode(published.catalogue(lines)))
    assert data["races"][0]["design"]["found"]["kind"] == "leak" and data["races"][0]["mended"]["found"] is None


def test_the_tables(lines):
    assert "no data race in 100" in as_text(lines) and "1 of 1 as catalogued" in as_text(lines)
    assert "| R7 |" in as_markdown(lines) and "```" in as_markdown(lines) and "missing" not in as_markdown(lines)
    index, page = as_markdown(lines, "races"), page_of(lines[0])
    assert "| [R7](races/R7.md) |" in index and "```" not in index
    assert page.startswith("# R7: ") and "Rule: " in page and page.count("load ") > 5
