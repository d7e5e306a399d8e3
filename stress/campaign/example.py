"""`campaign new`: a commented example of a study of each kind."""

from __future__ import annotations

import os
import re
from importlib import resources
from pathlib import Path

from stress.process.errors import UsageError

_PLAYED = """\
[base]                         # the same in every job; options of `{command}`, and [base.set] of its scenario
scenario = "{scenario}"
allocator = "slub"
{more}
[cross]                        # every combination of these
design = ["linux-3.16", "v1", "v3"]
cpus = [1, 2, 4]
seed = {{ from = 1, count = 5 }} # or a list, as above

[cross.set]                    # parameters of the scenario (`python -m stress list scenarios`)
object_size = [64, 256, 1024]
"""
_BODIES = {
    "serial": (_PLAYED.format(command="run --serial", scenario="dead-free", more='memory = "64M"'), "dead_left"),
    "simulate": (
        _PLAYED.format(command="simulate", scenario="remote-free", more="operations = 50000").replace(
            "cpus = [1, 2, 4]", 'cpus = [1, 4, 16, 64]\nmachine = ["epyc-2022", "xeon-2014"]'
        ),
        "ns_live",
    ),
    "explore": (
        """\
[base]                         # the same in every search; options of `explore`
schedules = 20000              # a search's limit: time is none, as it would not repeat

[cross]                        # every combination of these (`python -m stress list races`)
model = ["offline-vs-free", "alloc-vs-offline"]
design = ["v1", "v3", "linux-6.18"]
preemptions = [0, 1, 2]
""",
        "schedules_tried",
    ),
    "timed": (
        """\
[base]                         # options of `run`: `before` is measured beside each design, on the same host
scenario = "free-burst"
before = "linux-3.16"
seconds = 15

[cross]                        # every combination of these
design = ["v1", "v3"]
seed = [1, 2]

[cross.set]                    # parameters of the scenario (`python -m stress list scenarios`)
object_size = [64, 256, 1024]
""",
        "ratio_live",
    ),
}


def text(kind: str, name: str, file: str) -> str:
    """The example as TOML."""
    body, metric = _BODIES[kind]
    made = resources.files("stress.campaign").joinpath("study.example.toml").read_text("utf-8")
    for word, what in (("FILE", file), ("NAME", name), ("KIND", kind), ("BODY", body), ("METRIC", metric)):
        made = made.replace(f"@{word}@", what)
    return made


def write(file: Path, kind: str) -> int:
    """Write it where nothing is yet. Raises UsageError."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", file.stem).lstrip("._-")[:64] or "study"
    try:
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644), "w") as stream:
            stream.write(text(kind, name, str(file)))
    except FileExistsError:
        raise UsageError(f"{file}: is there already; name another file") from None
    except OSError as error:
        raise UsageError(f"{file}: cannot be written: {error.strerror}") from None
    print(f"Next: python -m stress campaign run {file} --dry-run")
    return 0
