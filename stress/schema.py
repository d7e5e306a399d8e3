"""The published JSON Schemas of what commands print as JSON, made from the structs that are printed.

`python -m stress.schema NAME > stress/NAME.schema.json` renews a committed file; a test compares them all.
A schema has the version of the data it describes. It allows fields it does not know, as readers should.
"""

from __future__ import annotations

import importlib
import inspect
import json
import sys
from pathlib import Path
from typing import Any

import msgspec

DRAFT = "https://json-schema.org/draft/2020-12/schema"
# name -> (module, struct); the module's SCHEMA_VERSION is the schema's
SCHEMAS = {
    "result": ("stress.result.data", "Result"),
    "runs": ("stress.result.listed", "RunList"),
    "comparison": ("stress.report.compared", "Compared"),
    "claims": ("stress.claims.report", "Report"),
    "sheaves": ("stress.claims.reports.show", "Found"),
    "calibration": ("stress.calibrate.table", "Calibration"),
    "exploration": ("stress.explore.found.published", "Exploration"),
    "catalogue": ("stress.explore.found.published", "Catalogue"),
    "beyond": ("stress.explore.all_designs", "Beyond"),
    "bench": ("stress.bench.result", "Bench"),
    "machine": ("stress.machine.result", "Found"),
    "inspection": ("stress.inspect.report", "Inspection"),
    "review": ("stress.check.reviewed", "Review"),
    "prediction": ("stress.play.predicted", "Predicted"),
    "recording": ("stress.recordings.describe", "Described"),
    "simulation": ("stress.simulate.result", "Simulation"),
    "campaign": ("stress.campaign.status", "CampaignStatus"),
}


def path(name: str) -> Path:
    """The committed file of a schema."""
    return Path(__file__).with_name(f"{name}.schema.json")


def schema(name: str) -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of one of `SCHEMAS`."""
    module, struct = SCHEMAS[name]
    home = importlib.import_module(module)
    described = msgspec.json.schema(getattr(home, struct))
    for title, definition in described["$defs"].items():
        if "description" in definition:  # from a docstring, which older Pythons keep indented
            definition["description"] = inspect.cleandoc(definition["description"])
        if title in (struct, "Result"):
            version = (
                home.SCHEMA_VERSION if title == struct else importlib.import_module("stress.result.data").SCHEMA_VERSION
            )
            definition["properties"]["schema_version"] = {"const": version}
            definition["required"] = [
                "schema_version",
                *(key for key in definition["required"] if key != "schema_version"),
            ]
    return {"$schema": DRAFT, "$id": f"urn:slab-stress:{name}:{home.SCHEMA_VERSION}", **described}


def encode_schema(name: str) -> bytes:
    """A schema as indented JSON with a newline at its end: the content of the committed file."""
    return (json.dumps(schema(name), indent=2, ensure_ascii=False) + "\n").encode()


if __name__ == "__main__":
    if sys.argv[1:] and sys.argv[1] not in SCHEMAS:
        sys.exit(f"there is no schema {sys.argv[1]!r}; there are {', '.join(SCHEMAS)}")
    sys.stdout.buffer.write(encode_schema(sys.argv[1] if sys.argv[1:] else "result"))
