"""Serial play: counts repeat exactly for a seed, depend on nothing else, and hold the invariants."""

import dataclasses
import json
import os
import subprocess
import sys

import pytest
from running import ROOT, counts, play

from scenarios.tape import OP_WAIT, concatenate, op
from scenarios.workloads.offline_storm import tapes

TINY = {
    "offline-storm": {"operations": 20_000, "cgroups": 24, "active": 8, "rounds": 24, "burst": 64},
    "free-burst": {"objects": 500, "bursts": 2},
    "dead-free": {"slabs": 32, "cgroups": 4},
    "remote-free": {"rounds": 8, "batch": 64},
    "pinned": {"cgroups": 4, "slabs": 16, "hold": 2},
    "pairs": {"operations": 4096},
}


def sound(result, leaks=()):
    assert result.invariants.checked and result.invariants.violated == []
    assert not result.partial, result.partial_reason
    for name, design in result.designs.items():
        assert design.allocations == design.frees and design.failed_allocations == 0
        assert design.dead_caches.destroyed + design.dead_caches.left == design.dead_caches.offlined
        if name not in leaks:
            assert (design.dead_caches.left, design.pages_left, design.cgroups_pinned) == (0, 0, 0), name
    return result


def storm(**options):
    return play(settings=TINY["offline-storm"], **options)


def test_a_seed_repeats_exactly_and_another_does_not():
    first, second = counts(storm(seed=7)), counts(storm(seed=7))
    assert first == second
    other = counts(storm(seed=8))
    assert first["designs"]["v3"]["stats"] != other["designs"]["v3"]["stats"]


MANY_REMOTE_SEARCHES = {"rounds": 64, "batch": 256}  # some thousand looks at another node's partial list a design


@pytest.mark.parametrize(
    ("allocator", "designs", "options"),
    [
        ("slub", ("linux-3.16", "v3", "linux-6.18-F_SHEAFASK"), {"fail": ("page-alloc:0.01",)}),
        ("slab", ("linux-3.16", "v1"), {"settle": 10.0}),
        ("slob", ("linux-3.16",), {}),
    ],
)
def test_a_seed_repeats_exactly_on_several_nodes(allocator, designs, options):
    """SLUB searches another node's partial list by chance (remote_node_defrag_ratio): the seed's, not the clock's."""
    first, second = (
        counts(
            play(
                scenario="remote-free", settings=MANY_REMOTE_SEARCHES, cpus=4, nodes=2, allocator=allocator,
                before=designs[0], after=designs[1:], **options,
            )
        )
        for _ in range(2)
    )  # fmt: skip
    assert first == second


def test_counts_do_not_depend_on_the_machine():
    """The same run in a process that may use one CPU only, and in this one."""
    program = (
        "import json, os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); "
        "from test_run_serial import counts, storm; print(json.dumps(counts(storm())))"
    )
    path = os.pathsep.join([str(ROOT), os.path.dirname(__file__), str(ROOT / "tests" / "helpers")])
    env = os.environ | {"PYTHONPATH": path}
    done = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == json.loads(json.dumps(counts(storm())))


@pytest.mark.parametrize("scenario", TINY)
@pytest.mark.parametrize(("cpus", "nodes"), [(1, 1), (2, 1), (8, 2), (32, 2)])
def test_every_scenario_on_any_number_of_cpus(scenario, cpus, nodes):
    result = sound(play(scenario=scenario, settings=TINY[scenario], cpus=cpus, nodes=nodes), leaks=("linux-3.16",))
    assert (result.scenario, result.cpus, result.nodes, result.serial) == (scenario, cpus, nodes, True)
    dies = scenario in ("offline-storm", "dead-free", "pinned")
    assert bool(result.designs["v3"].dead_caches.destroyed) == dies
    if dies:
        assert result.designs["linux-3.16"].dead_caches.left > 0


def test_both_engines_count_the_same(request):
    """The program of a whole run, of the designs that most others are compared with."""
    tiny = TINY["offline-storm"] | {"operations": 6000}
    compiled = play(settings=tiny)
    request.getfixturevalue("interpreted")
    assert counts(play(settings=tiny)) == counts(compiled)


def test_designs_by_parts_are_sound(interpreted):
    """Without P7 empty slabs stay in dead caches; with F_ALLCPU v1 reaches the CPUs that it forgets (R12)."""
    leaks = ("linux-3.16", "v1", "v1-P7")
    result = sound(
        play(settings=TINY["offline-storm"] | {"operations": 6000}, after=("v1", "v1-P7", "v1+F_ALLCPU")), leaks
    )
    left = {name: design.dead_caches.left for name, design in result.designs.items()}
    assert left["v1+F_ALLCPU"] == 0 < left["v1-P7"] and left["v1"] < left["linux-3.16"]


def test_a_tape_that_cannot_go_on_is_said(monkeypatch):
    """Serial play that is stuck ends with exit 3 and a sentence; here a CPU waits for an event nobody schedules."""
    build = tapes.build

    def broken(parameters, cpus, seed):
        load = build(parameters, cpus, seed)
        first = concatenate([op(OP_WAIT, c=100_000), load.tapes[0]])
        return dataclasses.replace(load, tapes=(first, *load.tapes[1:]))

    monkeypatch.setattr(tapes, "build", broken)
    result = storm()
    assert result.partial and "linux-3.16: no CPU can move any more" in result.partial_reason
    assert result.designs["v3"].frees is None
