"""The published JSON Schema of `result.json`, made from the structs of `stress.result`.

`python -m stress.schema > stress/result.schema.json` renews the committed file; a test compares the two.
The schema has the version of the results it describes. It allows fields it does not know, as readers should.
"""

from __future__ import annotations

import inspect
import json
import sys
from pathlib import Path
from typing import Any

import msgspec

from stress.result import SCHEMA_VERSION, Result

DRAFT = "https://json-schema.org/draft/2020-12/schema"
PATH = Path(__file__).with_name("result.schema.json")


def result_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of a written result."""
    described = msgspec.json.schema(Result)
    for definition in described["$defs"].values():
        if "description" in definition:  # from a docstring, which older Pythons keep indented
            definition["description"] = inspect.cleandoc(definition["description"])
    result = described["$defs"]["Result"]
    result["properties"]["schema_version"] = {"const": SCHEMA_VERSION}
    result["required"] = ["schema_version", *result["required"]]
    return {"$schema": DRAFT, "$id": f"urn:slab-stress:result:{SCHEMA_VERSION}", **described}


def encode_schema() -> bytes:
    """The schema as indented JSON with a newline at its end: the content of the committed file."""
    return (json.dumps(result_schema(), indent=2, ensure_ascii=False) + "\n").encode()


if __name__ == "__main__":
    sys.stdout.buffer.write(encode_schema())
