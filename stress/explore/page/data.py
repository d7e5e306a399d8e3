"""What a page's script draws, as JSON: lines of source are named once and then by number."""

from __future__ import annotations

from typing import Any

import msgspec

from stress.explore.page.beside import Pair
from stress.explore.page.recording import Execution, Step, Where

_LIGHT = ("cpu", "task", "kind")  # what every step has; the rest only if it says something


def encode(pair: Pair) -> str:
    """The data of both executions; safe in a script element: no character of it begins a tag."""
    wheres: dict[Where, int] = {}
    runs = [_run(one, wheres) for one in (pair.failing, pair.sound) if one is not None]
    named = [[w.function, w.file, w.line, w.text] for w in wheres]
    text = msgspec.json.encode({"wheres": named, "runs": runs}).decode()
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _run(run: Execution, wheres: dict[Where, int]) -> dict[str, Any]:
    return {
        "kind": run.kind,
        "text": run.text,
        "cpus": run.cpus,
        "locks": run.locks,
        "states": run.states,
        "steps": [_step(step, wheres) for step in run.steps],
    }


def _step(step: Step, wheres: dict[Where, int]) -> dict[str, Any]:
    light = msgspec.structs.asdict(Step(step.cpu, step.task, step.kind))
    made = {
        name: value for name, value in msgspec.structs.asdict(step).items() if name in _LIGHT or value != light[name]
    }
    if step.stack:
        made["stack"] = [wheres.setdefault(where, len(wheres)) for where in step.stack]
    return made
