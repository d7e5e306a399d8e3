"""A fourth allocator is a row of facts and a row of deeds: listed, sized, played and reported without an edit
elsewhere."""

from __future__ import annotations

import dataclasses
import io

import msgspec
import pytest
from running import play

from allocators import catalogue
from allocators.caches import kinds
from shm import machine
from stress.commands.listing import print_listing
from stress.explore.world.scene import Scene
from stress.play.options import named
from stress.process.errors import UsageError
from stress.report.text import print_details


@pytest.fixture
def toy():
    """SLUB's code under another name, without models."""
    about = dataclasses.replace(
        catalogue.SLUB,
        name="toy",
        about="SLUB by another name",
        feature=frozenset({"TOY"}),
        time_scale=3.0,
        default_after=("v2",),
        fails=("page-alloc",),
    )
    catalogue.register(about)
    kinds.register("toy", dataclasses.replace(kinds.KINDS["slub"], model=None))
    yield about
    del catalogue.ALLOCATORS["toy"], kinds.KINDS["toy"], machine._VECTORS["toy"]


def test_it_is_listed_and_chosen(toy, capsys):
    print_listing("allocators")
    assert "toy   SLUB by another name" in capsys.readouterr().out
    print_listing("designs")
    on = [line.split()[1:] for line in capsys.readouterr().out.splitlines() if line.startswith("    on ")]
    assert ["slub", "slab", "slob", "toy"] in on and ["slub"] in on
    options = named(allocator="toy")
    assert (options.after, options.world.pace) == (("v2",), 3.0)
    with pytest.raises(UsageError, match="only slub's kmem_cache_shrink"):
        named(allocator="toy", fail=["shrink-alloc"])
    with pytest.raises(UsageError, match="linux-5.9.*cannot be played on toy"):
        named(allocator="toy", after=["linux-5.9"])


def test_without_models_it_has_no_scenes(toy):
    with pytest.raises(UsageError, match="toy: there is no scene of it, scenes are of slub and slab"):
        Scene("v3", allocator="toy")
    with pytest.raises(UsageError, match="slob: there is no scene of it"):
        Scene("v3", allocator="slob")


def test_it_is_played_and_reported(toy, interpreted):
    """No switch is read by its code, so both designs do the same."""
    result = play(allocator="toy", after=("v2",), scenario="dead-free", settings={"slabs": 4, "cgroups": 2}, cpus=2)
    one, other = result.designs.values()
    assert not result.partial and result.invariants.checked and not result.invariants.violated
    assert one.frees and one.dead_frees and tuple(one.stats) == toy.statistics
    assert (one.stats, one.operations, one.dead_caches) == (other.stats, other.operations, other.dead_caches)
    text = io.StringIO()
    print_details(result, text)
    assert "dead-free on toy" in text.getvalue() and "list_lock" in text.getvalue()
    print_details(msgspec.structs.replace(result, allocator="slqb"), text)  # of a version that has this one
    assert "dead-free on slqb" in text.getvalue()
