"""The figures of a result as flat columns, by kind of job: what tables, pictures and the data set show.

A figure that there is not is None: a scenario without frees into dead caches has no cost of one.
"""

from __future__ import annotations

from typing import Any

from stress.campaign.outcome import Outcome

Figure = int | float | str | None
RATES = ("frees", "live", "dead", "alloc", "mixed")
_COUNTS = ("slabs_left", "pages_left", "cgroups_pinned", "frees", "dead_frees", "allocations", "failed_allocations")
_DEAD = {"offlined": int, "destroyed": int, "dead_left": int}
_LIFETIMES = {"lifetime_p50_ms": float, "lifetime_p99_ms": float, "lifetime_max_ms": float}
_PER_FREE = ("list_lock", "list_lock_contended", "page_cas", "page_cas_failed")
_COLUMNS: dict[str, dict[str, type]] = {
    "serial": {
        **_DEAD,
        **_LIFETIMES,
        **dict.fromkeys(_COUNTS, int),
        **{f"{what}_per_{kind}_free": float for kind in ("live", "dead") for what in _PER_FREE},
        "violations": int,
    },
    "simulate": {
        **{f"ns_{kind}": float for kind in RATES},
        **{f"rate_{kind}": float for kind in RATES},
        **_DEAD,
        **_LIFETIMES,
        "operations": int,
        "virtual_ms": float,
        "pages_left": int,
        "busiest_lock": str,
        "busy": float,
        "waited": float,
        "violations": int,
    },
    "explore": {
        "found": str,
        "text": str,
        "found_preemptions": int,
        "decisions": int,
        "schedules_tried": int,
        "states": int,
        "bound": int,
        "exhaustive": int,
        "complete": int,
        "limit": str,
    },
    "timed": {
        **{f"ratio_{kind}{end}": float for kind in RATES for end in ("", "_low", "_high")},
        **{f"ns_{kind}": float for kind in RATES},
        **{f"ns_{kind}_before": float for kind in RATES},
        "offlined": int,
        "dead_left": int,
        "dead_left_before": int,
        "launches": int,
        "grade": str,
        "violations": int,
    },
}


def columns_of(kind: str) -> dict[str, type]:
    """The columns of a kind of job and their types."""
    return _COLUMNS[kind]


def derived(kind: str) -> list[str]:
    """Figures that only the report has, of several jobs together."""
    return ["knee"] if kind == "simulate" else []


def figures(kind: str, outcome: Outcome) -> dict[str, Figure]:
    """All columns of `columns_of`, in their order."""
    found = _MAKERS[kind](outcome.whole)
    if "violations" in _COLUMNS[kind]:
        found["violations"] = len(outcome.violations)
    return {name: _typed(found.get(name), column) for name, column in _COLUMNS[kind].items()}


def counts(kind: str, outcome: Outcome) -> dict[str, int]:
    """Every counter by name, those of the allocator's statistics as `stat_NAME`."""
    whole = outcome.whole
    if kind == "simulate":
        return {f"count_{name}": value for name, value in whole["counts"].items()}
    if kind == "explore":
        return {}
    design = _design(whole)
    return {f"stat_{name}": value for name, value in design["stats"].items() if value is not None} | {
        f"count_{name}": value for name, value in design["operations"].items()
    }


def _typed(value: Any, column: type) -> Figure:
    if value is None:
        return None
    return str(value) if column is str else column(value)


def _design(whole: dict[str, Any]) -> dict[str, Any]:
    """The design that the job is about: the last, of two that were compared."""
    return whole["designs"][list(whole["ratios"])[-1] if whole["ratios"] else whole["baseline"]]


def _dead(of: dict[str, Any]) -> dict[str, Any]:
    return {"offlined": of["offlined"], "destroyed": of["destroyed"], "dead_left": of["left"]}


def _serial(whole: dict[str, Any]) -> dict[str, Any]:
    of = _design(whole)
    lives = of["lifetime_seconds"]
    found = _dead(of["dead_caches"]) | {name: of[name] for name in _COUNTS}
    for name in ("p50", "p99", "max"):
        found[f"lifetime_{name}_ms"] = None if lives[name] is None else 1000 * lives[name]
    for kind in ("live", "dead"):
        for what in _PER_FREE:
            found[f"{what}_per_{kind}_free"] = (of[f"per_{kind}_free"] or {}).get(what)
    return found


def _simulate(whole: dict[str, Any]) -> dict[str, Any]:
    dead, locks = whole["dead"], whole["locks"]
    found = _dead(dead) | {name: dead[name] for name in _LIFETIMES}
    for kind in RATES:
        found[f"ns_{kind}"] = whole["ns"].get(kind)
        found[f"rate_{kind}"] = whole["rates"].get(kind)
    if locks:
        busiest = max(locks, key=lambda lock: lock["busy"])
        found |= {"busiest_lock": f"{busiest['kind']} of {busiest['name']}", "busy": busiest["busy"]}
        found["waited"] = sum(lock["waited"] for lock in locks)
    return found | {
        "operations": whole["operations"],
        "virtual_ms": whole["ms"],
        "pages_left": whole["counts"].get("pages_left"),
    }


def _explore(whole: dict[str, Any]) -> dict[str, Any]:
    of = whole["found"] or {}
    return {
        "found": of.get("kind", ""),
        "text": of.get("text", ""),
        "found_preemptions": of.get("preemptions"),
        "decisions": of.get("decisions"),
        "schedules_tried": whole["schedules"],
    } | {name: whole[name] for name in ("states", "bound", "exhaustive", "complete", "limit")}


def _timed(whole: dict[str, Any]) -> dict[str, Any]:
    after, before = _design(whole), whole["designs"][whole["baseline"]]
    (ratios,) = whole["ratios"].values()
    found: dict[str, Any] = {}
    for kind in RATES:
        ratio = ratios["free_throughput" if kind == "frees" else kind]
        found |= {f"ratio_{kind}": ratio["estimate"], f"ratio_{kind}_low": ratio["low"]}
        found[f"ratio_{kind}_high"] = ratio["high"]
        for end, design in (("", after), ("_before", before)):
            rates = design["frees_per_second"] | design["operations_per_second"]
            rate = rates["all" if kind == "frees" else kind]
            found[f"ns_{kind}{end}"] = 1e9 * whole["cpus"] / rate if rate else None
    launches = (whole["turns"] or {}).get("launches")
    return found | {
        "offlined": after["dead_caches"]["offlined"],
        "dead_left": after["dead_caches"]["left"],
        "dead_left_before": before["dead_caches"]["left"],
        "launches": launches,
        "grade": whole["trust"]["grade"],
    }


_MAKERS = {"serial": _serial, "simulate": _simulate, "explore": _explore, "timed": _timed}
