"""A scenario is added by its folder alone: here one lies beside the package, and everything knows it."""

import sys

import pytest
from toy_engine import play
from typer.testing import CliRunner

from scenarios import registry, workloads
from scenarios.checks import validate
from stress.commands.app import app
from stress.play.options import parse_settings
from stress.process.errors import UsageError

HEAD = '''
"""trickle: one object after another. Expect nothing."""

from __future__ import annotations

from typing import Annotated

import msgspec

from scenarios.scenario import Scenario
from scenarios.settings import count


class Trickle(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    drops: Annotated[int, count(1, 1000, "objects of each CPU")] = 5

    def planned_operations(self, cpus: int) -> int:
        return 2 * cpus * self.drops


SCENARIO = Scenario("trickle", "Drop after drop.", Trickle, f"{__name__}.tapes")
'''
TAPES = '''
"""The tapes of trickle."""

import numpy as np

from scenarios import tape, writer
from scenarios.workloads.trickle import Trickle


def build(params: Trickle, cpus: int, seed: int) -> tape.Workload:
    tapes = []
    for cpu in range(cpus):
        out, slots = writer.Tape(), cpu * params.drops + np.arange(params.drops)
        out.section(tape.SECTION_ALLOC, tape.op(tape.OP_ALLOC, c=slots))
        out.section(tape.SECTION_LIVE_FREE, tape.op(tape.OP_FREE, c=slots))
        tapes.append(out.finish())
    slots = cpus * params.drops
    return writer.workload("trickle", writer.one_cache(64), writer.Schedule(), tapes, slots=slots, cgroups=0)
'''


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder whose packages are scenarios too, until the test is over."""
    monkeypatch.setattr(workloads, "__path__", [*workloads.__path__, str(tmp_path)])
    modules, names = set(sys.modules), set(vars(workloads))
    yield tmp_path
    for name in set(sys.modules) - modules:
        if name.startswith((f"{workloads.__name__}.trickle", f"{workloads.__name__}.other")):
            del sys.modules[name]
    for name in set(vars(workloads)) - names:
        delattr(workloads, name)


def put(folder, name="trickle", head=HEAD):
    (folder / name).mkdir()
    (folder / name / "__init__.py").write_text(head)
    (folder / name / "tapes.py").write_text(TAPES)


@pytest.fixture
def trickle(folder, monkeypatch):
    put(folder)
    monkeypatch.setattr(registry, "SCENARIOS", registry.discover())


def test_it_is_listed_behind_the_others_and_described(trickle):
    assert list(registry.SCENARIOS)[0] == registry.DEFAULT and list(registry.SCENARIOS)[-1] == "trickle"
    assert "trickle" in CliRunner().invoke(app, ["list"]).stdout
    text = CliRunner().invoke(app, ["list", "scenarios"]).stdout
    assert "Drop after drop." in text and "objects of each CPU: a whole number from 1 to 1000 [default: 5]" in text


def test_its_parameters_are_options(trickle):
    assert parse_settings("trickle", ["drops=7"]) == {"drops": "7"}
    with pytest.raises(UsageError, match="did you mean 'drops'"):
        parse_settings("trickle", ["drop=7"])
    with pytest.raises(UsageError, match="drops=0: expected a whole number from 1 to 1000"):
        parse_settings("trickle", ["drops=0"])
    with pytest.raises(registry.UnknownScenario, match="did you mean 'trickle'"):
        registry.build("tricle")


def test_it_is_built_and_played(trickle):
    load, parameters = registry.build("trickle", ["drops=7"], cpus=3, seed=1)
    validate(load)
    assert parameters == {"drops": 7} and load.operations() == 2 * 3 * 7
    assert play(load, 1)["allocs"] == 3 * 7


def test_what_is_left_of_a_folder_is_no_scenario(folder):
    """As an interpreter leaves it where a folder of another revision was."""
    (folder / "trickle" / "__pycache__").mkdir(parents=True)
    (folder / "other.py").write_text("raise AssertionError('a module beside the folders is no scenario')")
    assert registry.discover() == registry.SCENARIOS


def test_two_of_one_name_are_refused(folder):
    put(folder)
    put(folder, "other")
    with pytest.raises(ValueError, match=r"two scenarios are named 'trickle': .*\.other\.tapes and .*\.trickle\.tapes"):
        registry.discover()


def test_a_folder_that_states_no_scenario_is_named(folder):
    put(folder, "other", '"""Nothing."""')
    with pytest.raises(AttributeError, match=r"scenarios\.workloads\.other.*SCENARIO"):
        registry.discover()
