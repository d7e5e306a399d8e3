"""The published schema is what the structs give, and results keep to it."""

import json

import jsonschema
import pytest
from claims_report import report
from stress_records import TRACE, census, record
from typer.testing import CliRunner

from stress import schema
from stress.commands.app import app
from stress.measure.evaluation import measure
from stress.result.files import encode, write_result


def invoke(*arguments) -> str:
    done = CliRunner().invoke(app, list(map(str, arguments)), prog_name="python -m stress")
    assert done.exit_code == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def validator():
    published = json.loads(schema.path("result").read_text())
    jsonschema.Draft202012Validator.check_schema(published)
    return jsonschema.Draft202012Validator(published)


def unordered(data: bytes):
    """A schema without the orders that are msgspec's affair: of keys, and of alternatives."""
    return json.loads(data, object_hook=lambda found: found | {"anyOf": sorted(found.get("anyOf", []), key=repr)})


@pytest.mark.parametrize("name", schema.SCHEMAS)
def test_the_committed_files_are_what_the_structs_give(name):
    assert unordered(schema.path(name).read_bytes()) == unordered(schema.encode_schema(name)), (
        f"renew it: python -m stress.schema {name} > stress/{name}.schema.json"
    )


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"trace": TRACE},
        {"blocks": [], "censuses": [], "serial": True},
        {"damage": "worker 1 was killed"},
        {"censuses": [census("v1", violated=[("I2", "x")])]},
        {"pairs": 2, "oversubscribed": True},
    ],
    ids=lambda fields: " ".join(fields),
)
def test_results_are_valid(validator, fields):
    validator.validate(json.loads(encode(measure(record(**fields)))))


@pytest.mark.parametrize(
    "harm",
    [
        lambda data: data.pop("schema_version"),
        lambda data: data.update(schema_version="2"),
        lambda data: data.pop("designs"),
        lambda data: data["designs"]["v1"].update(frees="many"),
        lambda data: data["blocks"][0].pop("grade"),
    ],
)
def test_what_is_no_result_is_refused(validator, harm):
    data = json.loads(encode(measure(record())))
    harm(data)
    assert not validator.is_valid(data)


def test_lists_of_runs_are_valid(tmp_path, valid):
    assert valid("runs", invoke("results", "list", "--out", tmp_path, "--format", "json"))["runs"] == []
    write_result(measure(record()), tmp_path)
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "result.json").write_text("{")
    runs = valid("runs", invoke("results", "--out", tmp_path, "list", "--format", "json"))["runs"]
    assert [run["designs"] for run in runs if run["damage"] is None] == [["linux-3.16", "v1", "v3"]]
    assert [run["id"] for run in runs if run["damage"]] == ["damaged"]


def test_comparisons_are_valid(tmp_path, valid):
    for seed in (1, 2):
        write_result(measure(record(seed=seed)), tmp_path)
    names = [folder.name for folder in tmp_path.iterdir()]
    data = valid("comparison", invoke("compare", *names, "--out", tmp_path, "--format", "json"))
    assert [result["run_id"] for result in data["results"]] == names
    assert all(len(row["cells"]) == len(data["columns"]) == 6 for group in data["groups"] for row in group["rows"])
    assert any("seed" in text for text in data["differences"])


def test_claims_are_valid(valid):
    data = valid("claims", encode(report()).decode())
    data["claims"][0]["verdict"] = "perhaps"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(data, json.loads(schema.path("claims").read_text()))


def test_a_field_of_a_later_minor_change_is_no_error(validator):
    validator.validate(json.loads(encode(measure(record()))) | {"something_new": 1})
