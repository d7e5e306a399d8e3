"""`explore --all --designs`: every scene once, what is known passed over, the rest judged or said not to be."""

from __future__ import annotations

import functools
import json

import pytest
from typer.testing import CliRunner

from allocators.designs import DESIGNS, DesignError
from stress.commands.app import app
from stress.explore import all_designs
from stress.explore.exploring import Request, build, explore
from stress.explore.races import MODELS, judgements
from stress.explore.races.judgements import JUDGEMENTS, KERNEL, OURS, SCENE, UNJUDGED, judgement_of
from stress.explore.space.violation import KINDS
from stress.process.errors import UsageError

runner = CliRunner()
QUICK = ["--preemptions", "0", "--schedules", "200", "--jobs", "1"]


@functools.cache
def searched(request):
    """The search, without its look at data races."""
    return explore(request._replace(kinds=tuple(kind for kind in request.kinds if kind != "data race")))


@pytest.fixture
def few(monkeypatch):
    """One scene, with a race of the catalogue in v1, and one that fits few designs."""
    models = {name: MODELS[name] for name in ("R12", "R2", "two-refills")}
    monkeypatch.setattr(all_designs, "MODELS", models)
    monkeypatch.setattr(all_designs, "explore", searched)


def look(designs, **options):
    return all_designs.look_everywhere(
        designs, **{"preemptions": 0, "seconds": 0, "schedules": 200, "seed": 1, "jobs": 1} | options
    )


def test_a_scene_is_looked_at_once_and_only_where_it_fits(few):
    assert [[m.name for m in scene.models] for scene in all_designs.scenes()] == [["R12", "R2"], ["two-refills"]]
    asked = all_designs.requests_for(["linux-5.9", "linux-7.0"], preemptions=0, seconds=0, schedules=1, seed=1)
    assert {(r.model, r.allocator, r.design) for _, r in asked} == {
        ("R12", "slub", "linux-5.9"),
        ("R12", "slub", "linux-7.0"),
        ("two-refills", "slub", "linux-7.0"),
    }


def test_what_the_catalogue_names_is_passed_over_and_the_rest_is_not(few, monkeypatch):
    known = look(["v1"])
    assert not known.finds and known.judged and known.catalogued == ["R12/R2 in v1"]
    monkeypatch.setattr(judgements, "JUDGEMENTS", ())
    new = look(["v1-P6"])
    (find,) = new.finds
    assert (find.kind, find.judgement, new.judged) == ("leak", UNJUDGED, False)


def test_a_design_that_a_model_needs_more_of_is_refused():
    with pytest.raises(UsageError, match="two-refills needs F_NOCPUSLAB, which linux-5.9 does not have"):
        build(Request("two-refills", "slub", "linux-5.9", "sc", 2))
    with pytest.raises(DesignError):
        MODELS["two-refills"].check_design("linux-5.9")


def test_the_command_prints_each_form_and_its_status_says_whether_all_is_judged(few, monkeypatch):
    monkeypatch.setattr(judgements, "JUDGEMENTS", ())
    args = ["explore", "--all", "--designs", "linux-3.16, v1", *QUICK]
    text = runner.invoke(app, args)
    assert text.exit_code == 1 and "leak" in text.output and UNJUDGED in text.output
    data = json.loads(runner.invoke(app, [*args, "--format", "json"]).output)
    assert data["designs"] == ["linux-3.16", "v1"] and {f["judgement"] for f in data["finds"]} == {UNJUDGED}
    table = runner.invoke(app, [*args, "--format", "markdown"]).output
    assert table.startswith("# Beyond the catalogue") and "| R12, R2 (slub, SC) | linux-3.16 |" in table
    verdict = judgements.Judgement("leak", KERNEL, "why")
    monkeypatch.setattr(judgements, "JUDGEMENTS", (verdict,))
    judged = runner.invoke(app, args)
    assert judged.exit_code == 0 and f"{KERNEL}: why" in judged.output


@pytest.mark.parametrize(
    "args, message",
    [
        (["explore", "R12", "--designs", "all"], "--designs is of --all"),
        (["explore", "--all", "--designs", "v9"], "--designs: unknown design 'v9'"),
        (["explore", "--all", "--designs", "all", "--design", "v1"], "leave out"),
    ],
)
def test_bad_usage(args, message):
    done = runner.invoke(app, args)
    assert done.exit_code != 0 and message in done.output + str(done.exception)


def test_judgements_name_what_exists():
    for judged in JUDGEMENTS:
        assert judged.kind in KINDS and judged.whose in (KERNEL, OURS, SCENE) and judged.why
        assert judged.models <= set(MODELS) and judged.designs <= set(DESIGNS)
    assert judgement_of(["R12"], "no design", "slub", "wild access", "no text") == (UNJUDGED, "")
