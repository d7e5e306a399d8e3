"""The published schema is what the structs give, and results keep to it."""

import json

import jsonschema
import pytest
from stress_records import TRACE, census, record

from stress import schema
from stress.measure import measure
from stress.result import encode


@pytest.fixture(scope="module")
def validator():
    published = json.loads(schema.PATH.read_text())
    jsonschema.Draft202012Validator.check_schema(published)
    return jsonschema.Draft202012Validator(published)


def test_the_committed_file_is_what_the_structs_give():
    assert schema.PATH.read_bytes() == schema.encode_schema(), "renew it: python -m stress.schema > stress/result.schema.json"


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


def test_a_field_of_a_later_minor_change_is_no_error(validator):
    validator.validate(json.loads(encode(measure(record()))) | {"something_new": 1})
