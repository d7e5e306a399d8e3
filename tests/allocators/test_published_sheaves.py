"""Sheaves against a simulation that somebody else published (a third party's post, 3 October 2026): capacity 60, one
node.

Shares of operations that go through the barn or to slabs. Barn: full sheaves got and put, and those that a full barn
did not take; slabs: sheaves filled from slabs or flushed to them. All else is a CPU's own sheaves. Published of 2
million operations; a few bursts are enough here, so what happens once, at the beginning, is taken off.
"""

import pytest

from stress.claims.lab import Lab
from stress.measure.evaluation import measure
from stress.play.coordinator import run
from stress.play.options import named
from stress.show.progress import Progress

CAPACITY = 60
BARN = ("barn_get", "barn_put", "barn_put_fail")
SLABS = ("sheaf_refill", "sheaf_flush")


def counts(scenario: str, cpus: int, settings: dict[str, object]) -> dict[str, int]:
    result = Lab().run(
        scenario, "linux-7.0", "linux-7.2", cpus=cpus, settings=settings | {"object_size": 128, "charged": "false"}
    )
    first, second = (result.designs[name].stats for name in ("linux-7.0", "linux-7.2"))
    assert [first[n] for n in BARN + SLABS] == [second[n] for n in BARN + SLABS], "7.2 changed none of these"
    return first


@pytest.mark.parametrize(
    "burst, barn, slabs",
    [(100, 0, 0), (120, 0, 0), (200, 1.00, 0), (720, 20 / 14.4, 0), (1000, 1.25, 0.50)],
    ids=lambda n: f"{n:g}",
)
def test_bursts_of_one_cpu(interpreted, burst, barn, slabs):
    """The knee is at two sheaves, and the second at ten more, in the barn: 720 objects."""
    few, many = (counts("free-burst", 1, {"objects": burst, "bursts": bursts}) for bursts in (3, 8))
    operations = 2 * 5 * burst
    assert 100 * sum(many[n] - few[n] for n in BARN) / operations == pytest.approx(barn, abs=0.005)
    assert 100 * sum(many[n] - few[n] for n in SLABS) / CAPACITY / operations == pytest.approx(slabs, abs=0.005)
    assert many["alloc_slowpath"] == many["free_slowpath"] == 0


def test_what_one_cpu_allocates_and_another_frees(interpreted):
    """98.33 % are of a CPU's own sheaves, 1.67 % go through the barn: one in 60."""
    few, many = (counts("one-way", 2, {"batch": CAPACITY, "rounds": rounds}) for rounds in (20, 60))
    assert sum(many[n] - few[n] for n in BARN) == pytest.approx(2 * 40, abs=1)
    assert sum(many[n] - few[n] for n in SLABS) <= 2 * CAPACITY, "a sheaf or two while it begins"


def test_sizes_are_of_a_design(interpreted):
    """What one design sets, one run compares with what another has; each counts as if all had its sizes."""
    large = "linux-7.0:sheaf_capacity=90,barn_sheaves=2"
    sizes = {"linux-7.0:sheaf_capacity=20": (20, 10), "linux-7.0": (60, 10), large: (90, 2)}

    def played(before: str, *after: str, **world: int):
        settings = ["bursts=3", "objects=500", "object_size=128", "charged=false"]
        options = named(
            scenario="free-burst", settings=settings, before=before, after=after, cpus=1, serial=True, **world
        )
        return measure(run(options, Progress(quiet=True)))

    together = played(*sizes)
    assert not together.invariants.violated
    assert together.designs[large].settings == {"sheaf_capacity": 90, "barn_sheaves": 2}
    for name, (capacity, barn) in sizes.items():
        alone = played("linux-7.0", sheaf_capacity=capacity, barn_sheaves=barn).designs["linux-7.0"]
        assert together.designs[name].stats == alone.stats, name
    assert len({design.stats["barn_get"] for design in together.designs.values()}) == 3
