"""Claims that are played: the model beside the recorded kernels, and the full path of a serial claim."""

import csv
import io
import operator
from importlib import resources

import pytest

from stress.claims import recorded as censuses
from stress.claims.claim import Verdict
from stress.claims.command import try_part
from stress.claims.lab import Lab
from stress.claims.registry import CLAIMS

pytestmark = pytest.mark.usefixtures("interpreted")


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


@pytest.mark.parametrize(
    "name", ("remote, slub", "leak, slub", "churn, slub", "remote, slab", "leak, slab", "churn, slab")
)
def test_the_model_leaves_what_the_kernels_left(name):
    (part,) = (part for part in CLAIMS[0].parts if part.name == name)
    lab = Lab(quick=True)
    outcome = try_part(part, lab)
    assert outcome.verdict is Verdict.HOLDS, outcome.reason
    assert lab.violated == []


@pytest.mark.parametrize("name", ("linux-3.16", "v1", "linux-4.0"))
def test_dead_caches_pin_their_memcgs(name):
    (part,) = (part for part in CLAIMS[11].parts if part.name == name)
    outcome = try_part(part, Lab(quick=True))
    assert outcome.verdict is Verdict.HOLDS, outcome.reason
