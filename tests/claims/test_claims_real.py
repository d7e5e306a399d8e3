"""Claims that are played: the model beside the recorded kernels, and the full path of a serial claim."""

import pytest

from stress.claims import recorded
from stress.claims.claim import Verdict
from stress.claims.command import try_part
from stress.claims.lab import Lab
from stress.claims.registry import CLAIMS

pytestmark = pytest.mark.xdist_group("compile")


def test_the_extract_has_every_kernel_and_phase():
    rows = recorded.recorded("remote")
    assert {kernel for kernel, _ in rows} == set(recorded.KERNELS)
    assert all((kernel, f"{phase}_freed+0.0" if kernel.startswith("slab") else f"{phase}_freed+8.0") in rows
               for kernel in recorded.KERNELS for phase in recorded.PHASES)  # fmt: skip
    assert len(recorded.PHASES) == 10


@pytest.mark.parametrize("name", ("remote, slub", "leak, slub", "churn, slub", "remote, slab", "leak, slab", "churn, slab"))
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
