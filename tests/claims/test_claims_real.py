"""Claims that are played: the model beside the recorded kernels, and the full path of a serial claim."""

import csv
import io
import operator
from importlib import resources

import pytest

from stress.claims import over_time
from stress.claims import recorded as censuses
from stress.claims.claim import Verdict
from stress.claims.command import try_part
from stress.claims.lab import Lab
from stress.claims.registry import CLAIMS


def test_the_extract_has_every_kernel_and_phase():
    rows = censuses.recorded("remote")
    assert {kernel for kernel, _ in rows} == set(censuses.KERNELS)
    assert all((kernel, f"{phase}_freed+0.0" if kernel.startswith("slab") else f"{phase}_freed+8.0") in rows
               for kernel in censuses.KERNELS for phase in censuses.PHASES)  # fmt: skip
    assert len(censuses.PHASES) == 10


@pytest.mark.parametrize("scenario", ("remote", "leak", "churn"))
def test_the_extract_is_what_was_recorded(recorded, scenario):
    """Every boot of every moment that is compared, as the full census has it; nothing chosen among boots."""
    extract = resources.files("stress.claims").joinpath("recorded.csv").read_text()
    ours = [row for row in csv.DictReader(io.StringIO(extract)) if row["scenario"] == scenario]
    moments = {(row["kernel"], row["tag"]) for row in ours}
    with recorded(f"linux-3.16-census-{scenario}.csv").open(newline="") as file:
        theirs = [
            {name: row[name] for name in ours[0]}
            for row in csv.DictReader(file)
            if (row["kernel"], row["tag"]) in moments
        ]
    key = operator.itemgetter("kernel", "boot", "tag")
    assert sorted(ours, key=key) == sorted(theirs, key=key) != []


@pytest.mark.usefixtures("interpreted")
@pytest.mark.parametrize("name", ("remote, slub", "leak, slub", "churn, slub", "remote, slab"))
def test_the_model_leaves_what_the_kernels_left(name):
    (part,) = (part for part in CLAIMS[0].parts if part.name == name)
    lab = Lab(quick=True)
    outcome = try_part(part, lab)
    assert outcome.verdict is Verdict.HOLDS, outcome.reason
    assert lab.violated == []


@pytest.mark.xdist_group("compiles")
@pytest.mark.parametrize("scenario", ("leak", "churn"))
def test_slab_in_time(scenario):
    """Areas over time within 15 %; compiled, as other tests have these programs anyway."""
    lab = Lab(quick=True)
    finding = over_time.over_time(lab, scenario)
    assert finding.verdict is Verdict.HOLDS, finding.reason
    assert len(finding.figures) == 2 * {"leak": 2, "churn": 3}[scenario] and lab.violated == []


@pytest.mark.usefixtures("interpreted")
@pytest.mark.parametrize("pace, timers", (("none", 1.0), ("idle", 1.0), ("busy", 2.0)))
def test_slab_in_time_is_told_from_other_times(pace, timers, monkeypatch):
    """Without the time that the program took, with CPUs that sleep, or with timers too fast, churn comes out wrong."""
    monkeypatch.setattr(over_time, "PACE", {"churn": pace})
    monkeypatch.setattr(
        over_time, "TIMERS", {} if timers == 1.0 else dict.fromkeys(over_time.recorded_curves("churn"), timers)
    )
    lab = Lab(quick=True)
    lab.size = lambda full, quick: 1
    finding = over_time.over_time(lab, "churn")
    assert finding.verdict is Verdict.FAILS, finding.reason


def test_which_timers_ran_fast_is_recorded(recorded):
    """Two CPUs run two passes in 2 s: a change a second. Twice as many is only seen where TIMERS has it."""
    found = {}
    with recorded("linux-3.16-census-churn.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            name, _, seconds = row["tag"].partition("+")
            if (
                row["kernel"] in over_time.DESIGNS
                and name == "end"
                and float(seconds) * 2 % 1 == 0
                and float(seconds) <= 5
            ):
                found.setdefault(("churn", row["kernel"], row["boot"]), []).append(
                    (float(seconds), row["dead_active_objs"])
                )
    changes = {boot: sum(a[1] != b[1] for a, b in zip(sorted(o), sorted(o)[1:])) for boot, o in found.items()}
    assert {boot for boot, n in changes.items() if n > 5} == set(over_time.TIMERS), changes
    assert all(changes[boot] == 10 for boot in over_time.TIMERS)


@pytest.mark.usefixtures("interpreted")
@pytest.mark.parametrize("name", ("linux-3.16", "v1", "linux-4.0"))
def test_dead_caches_pin_their_memcgs(name):
    (part,) = (part for part in CLAIMS[11].parts if part.name == name)
    outcome = try_part(part, Lab(quick=True))
    assert outcome.verdict is Verdict.HOLDS, outcome.reason
