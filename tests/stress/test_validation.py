"""How near simulations come: what a machine agrees with itself, and prices that are found where they were planted."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

from stress.play.workload import build_workload
from stress.profiles.load import dump, load, parse
from stress.simulate import fitting, validate
from stress.simulate.cells import again, compare, told
from stress.simulate.native import Measured
from stress.simulate.point import Job

KINDS = ("live", "dead", "alloc")


def measured(scenario: str, design: str, cpus: int, rounds: list[float]) -> Measured:
    return Measured.of((scenario, "slub", cpus, design), {}, [dict.fromkeys(KINDS[:1], ns) for ns in rounds])


def test_what_is_measured_again_bounds_what_can_be_met():
    runs = [measured("pairs", "linux-3.16", 1, [10.0, 12.0, 10.0]), measured("pairs", "v3", 1, [20.0, 12.0, 20.0])]
    assert [one.ns["live"] for one in runs] == [10.0, 20.0]
    assert [(one.measured, one.simulated) for one in again(runs)] == [(10.0, 12.0), (20.0, 12.0)]
    assert again([measured("pairs", "v3", 1, [1.0])]) == [], "one round says nothing of that"
    cells = list(compare(runs, [{"live": 11.0}, {"live": 26.0}]))
    assert [round(one.off, 2) for one in cells] == [0.1, 0.3] and cells[1].ratio_off == pytest.approx(26 / 11 / 2 - 1)
    (line,) = told(cells, "Some")
    assert line == "- Some, 1 CPU: 1 of 2 cells within 25%, the median +20%; 0 of 1 ratios within 15%"


@pytest.mark.parametrize("cpus, crowded", [(1, False), (2, True)])
def test_beside_native_runs_the_laboratory_is_simulated_and_no_kernel(monkeypatch, cpus, crowded):
    """A kernel's grace period is longer than most plays; the laboratory's is over when all have answered."""
    jobs: list[Job] = []

    def note(job: Job, tick: object) -> SimpleNamespace:
        jobs.append(job)
        return SimpleNamespace(ns={})

    monkeypatch.setattr(validate, "play_point", note)
    of = load("epyc-2022")
    two = dataclasses.replace(
        of, topology=dataclasses.replace(of.topology, nodes=1, complexes_per_node=1, cores_per_complex=2)
    )
    validate.simulated(build_workload("pairs", {}, cpus, 1)[0], "slub", two, 1, "v3")
    (job,) = jobs
    assert job.crowded == crowded
    longest = validate.MAILBOX_WAKEUP if crowded else 10 * of.ps.complex
    assert 0 < job.profile.kernel.grace_period <= longest < of.kernel.grace_period / 20
    assert job.profile.kernel.locks == "unfair" and job.profile.ps.ahead == of.ps.ahead


def test_prices_that_were_planted_are_found():
    """Runs of a made-up machine: how often each price is paid is drawn, and what they cost is what it would take."""
    rng = np.random.default_rng(3)
    designs = [f"d{n}" for n in range(8)]
    keys = [(scenario, design) for scenario in fitting.SCENARIOS for design in designs]
    paid = {key: rng.uniform(0.2, 20, (len(KINDS), len(fitting.ALONE))) for key in keys}

    def play(runs, profile):
        ps = np.array([getattr(profile.ps, name) for name in fitting.ALONE])
        return [dict(zip(KINDS, (1 + paid[one.scenario, one.design] @ ps / 1000).tolist())) for one in runs]

    known = load("epyc-2022")
    true = dataclasses.replace(
        known.ps, access=300, this_cpu=2 * known.ps.this_cpu, locked=4_000, l2=9_000, tlb=20_000, branch=9_000
    )
    truth = dataclasses.replace(known, ps=true)
    empty = [Measured.of((scenario, "slub", 1, design), {}, [{}]) for scenario, design in keys]
    native = [Measured.of(one.key, {}, [ns]) for one, ns in zip(empty, play(empty, truth), strict=True)]
    found = fitting.alone(known, native, play)
    for name in fitting.ALONE:
        assert getattr(found.ps, name) == pytest.approx(getattr(true, name), rel=0.05), name
    assert found.sources == known.sources
    assert "fitted to pairs" in fitting.fit(known, native, play).sources[0], "two CPUs were not measured"
    out_of_reach = dataclasses.replace(known, ps=dataclasses.replace(true, locked=20 * known.ps.locked))
    native = [Measured.of(one.key, {}, [ns]) for one, ns in zip(empty, play(empty, out_of_reach), strict=True)]
    assert fitting.alone(known, native, play).sources[-1].startswith("locked: as far")


def test_what_two_cpus_pay_for_lines_is_found_where_it_was_planted():
    """Of what comes from another core and from the own last level cache, a part overlaps and a part does not."""
    known = load("epyc-2022")
    rng = np.random.default_rng(5)
    keys = [(scenario, cpus) for scenario in fitting.SCENARIOS for cpus in (1, 2)]
    paid = {key: rng.uniform(0.2, 5, (len(KINDS), 9)) * ([1] * 7 + [key[1] - 1] * 2) for key in keys}

    def play(runs, profile):
        ps = {name: getattr(profile.ps, name) / 1000 for name in (*fitting.ALONE, "complex")}
        ps["llc"] /= profile.cache.overlap
        prices = np.array([*(ps[name] for name in fitting.ALONE), ps["complex"] / profile.cache.overlap, ps["complex"]])
        return [dict(zip(KINDS, (1 + paid[one.scenario, one.cpus] @ prices).tolist())) for one in runs]

    empty = [Measured.of((scenario, "slub", cpus, "v3"), {}, [{}]) for scenario, cpus in keys]

    def fitted(truth):
        native = [Measured.of(one.key, {}, [ns]) for one, ns in zip(empty, play(empty, truth), strict=True)]
        return fitting.fit(known, native, play)

    cheap = dataclasses.replace(
        known.ps, llc=known.ps.llc * 2 // 3, complex=int(0.7 * known.ps.complex), tlb=30_000, branch=12_000
    )
    found = fitted(dataclasses.replace(known, ps=cheap))
    assert found.cache.overlap == known.cache.overlap
    assert found.ps.complex == pytest.approx(cheap.complex, rel=0.01)
    assert found.ps.llc == pytest.approx(cheap.llc, rel=0.1)
    apart = dataclasses.replace(known, cache=dataclasses.replace(known.cache, overlap=2.0))
    assert fitted(apart).cache.overlap == 2.0
    dear = dataclasses.replace(known.ps, llc=3 * known.ps.complex)
    assert fitted(dataclasses.replace(known, ps=dear)).ps.llc <= 1.5 * known.ps.complex, "no dearer than another core's"


def test_prices_that_come_out_of_order_can_be_written():
    known = load("epyc-2022")
    found = fitting._ordered(known, {"l2": 2 * known.ps.llc, "llc": 2 * known.ps.memory_near})
    assert parse(dump(found).encode(), "f") == found
    assert (found.ps.l2, found.ps.llc, found.ps.memory_near) == (2 * known.ps.llc, *[2 * known.ps.memory_near] * 2)
