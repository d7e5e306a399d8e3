"""Grades of blocks and of runs, and what the operating system is asked for."""

import os
import subprocess
import sys

import pytest
from stress_records import block, census, launch, record
from until import until

from stress.measure.evaluation import measure
from stress.measure.trust import grade_block
from stress.process import host

SECOND = 1_000_000_000


def finding(result, part):
    return [f for f in result.trust.findings if part in f.text]


@pytest.mark.parametrize(
    ("fields", "grade"),
    [
        ({}, "good"),
        ({"involuntary_switches": 10}, "good"),
        ({"involuntary_switches": 100}, "fair"),
        ({"involuntary_switches": 1000}, "poor"),
        ({"waited_ns": SECOND // 50, "involuntary_switches": 1000}, "good"),
        ({"waited_ns": SECOND // 10}, "fair"),
        ({"waited_ns": SECOND // 4}, "poor"),
        ({"waited_ns": SECOND // 50, "long_stalls": 5}, "good"),
        ({"waited_ns": SECOND // 50, "long_stalls": 20}, "fair"),
        ({"waited_ns": SECOND // 50, "long_stalls": 120}, "poor"),
        ({"steal_ticks": 1}, "good"),
        ({"steal_ticks": 5}, "fair"),
        ({"steal_ticks": 50}, "poor"),
        ({"wall_ns": 0}, "poor"),
    ],
)
def test_grades_of_blocks(fields, grade):
    given, reasons = grade_block(block("v1", 0, **{"wall_ns": SECOND, **fields}), cpus=2)
    assert given == grade and bool(reasons) == (grade != "good")


def test_a_quiet_run_is_good():
    result = measure(record())
    assert result.trust.grade == "good"
    assert {f.level for f in result.trust.findings} == {"note"}


def test_disturbed_launches_count_and_are_named():
    blocks = [block(d, pair, steal_ticks=50) for pair in range(6) for d in ("linux-3.16", "v1", "v3")]
    result = measure(record(blocks=blocks))
    assert result.trust.grade == "poor"
    assert finding(result, "6 of 6 launches were badly disturbed (such as: the hypervisor took")
    assert result.ratios["v1"].live.pairs == 6
    assert result.blocks[0].grade == "poor" and "hypervisor" in result.blocks[0].reasons[0]


def test_a_few_bad_launches_among_many_are_a_warning():
    blocks = [block(d, pair, steal_ticks=50 * (pair == 3)) for pair in range(8) for d in ("linux-3.16", "v1", "v3")]
    result = measure(record(blocks=blocks))
    assert result.trust.grade == "fair" and finding(result, "1 of 8 launches was badly")[0].level == "warning"


WAITED = {"waited_ns": SECOND // 10, "long_stalls": 90, "involuntary_switches": 900}


def test_waiting_for_a_cpu_does_no_harm_where_interrupted_sections_are_left_out():
    blocks = [block(d, pair, **WAITED) for pair in range(6) for d in ("linux-3.16", "v1", "v3")]
    assert measure(record(blocks=blocks)).trust.grade == "good"
    unwatched = measure(record(blocks=blocks, watched=False))
    assert finding(unwatched, "6 of 6 launches were badly disturbed (such as: the workers waited")
    assert finding(unwatched, "does not tell when a section is interrupted")[0].level == "warning"


@pytest.mark.parametrize(("interrupted", "grade"), [(0, "good"), (20, "good"), (40, "fair"), (70, "poor")])
def test_launches_are_graded_by_the_sections_that_are_left_out(interrupted, grade):
    launches = [launch(interrupted=interrupted) for _ in range(8)]
    result = measure(record(launches=launches))
    assert {block.grade for block in result.blocks if not block.warmup} == {grade} and result.trust.grade == grade


def test_what_the_interval_is_made_of_is_said():
    launches = [launch(interrupted=3, seed=number) for number in range(8)]
    (note,) = finding(measure(record(launches=launches)), "8 launches of 12 turns of 1 ms under each design")
    assert (
        note.level == "note" and "a launch's luck (where code and memory lie, its tapes) moves its ratio" in note.text
    )
    assert "in 2.8 % of turns a section was interrupted, 1 % of sections are left out" in note.text
    once = measure(record(launches=[launch(storms=1) for _ in range(8)]))
    assert finding(once, "too few storms in a launch to tell its luck from its own noise")


@pytest.mark.parametrize(
    ("fields", "says", "level"),
    [
        ({"oversubscribed": True}, "oversubscribed", "serious"),
        (
            {"damage": "worker 1 was killed by signal 9."},
            "The run was damaged: worker 1 was killed by signal 9.",
            "serious",
        ),
        ({"interrupted": True}, "interrupted", "serious"),
        ({"censuses": [census("v1")]}, "v3 has no counted pass", "serious"),
        ({"pairs": 3}, "have 3 launches in common; below 5 no interval", "warning"),
        ({"serial": True, "blocks": []}, "serial", "note"),
        ({"noise": (1.0, 1.6)}, "own rates differ by", "note"),
    ],
)
def test_every_weakness_is_said(fields, says, level):
    found = finding(measure(record(**fields)), says)
    assert found and found[0].level == level


def test_a_wide_interval_is_a_warning():
    factors = (0.7, 1.0, 1.4, 0.8, 1.2, 1.1, 0.9, 1.3)
    blocks = [block("linux-3.16", pair) for pair in range(8)]
    blocks += [block("v1", pair, 10 * f, 20 * f) for pair, f in enumerate(factors)]
    assert finding(measure(record(blocks=blocks)), "interval of v1's ratio spans")[0].level == "warning"


def test_failed_allocations_are_said():
    result = measure(record(blocks=[block("v1", 0, failed_allocations=12), block("linux-3.16", 0)]))
    assert finding(result, "12 allocations failed")


def test_the_worst_comes_first():
    levels = [f.level for f in measure(record(pairs=2, interrupted=True, noise=(1.0, 2.0))).trust.findings]
    assert levels == sorted(levels, key=["serious", "warning", "note"].index) and len(set(levels)) == 3


def test_placement_shares_cpus_when_there_are_too_few():
    assert host.placement(2, [3, 5, 7]) == ([3, 5], False)
    assert host.placement(3, [3, 5]) == ([3, 5, 3], True)
    assert set(host.placement(1)[0]) <= os.sched_getaffinity(0)


def test_pinning():
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        host.pin(child.pid, host.available_cpus()[0])
        assert os.sched_getaffinity(child.pid) == {host.available_cpus()[0]}
    finally:
        child.communicate(b"\n")


def test_counters_only_grow_and_survive_processes_that_are_gone():
    before = host.read_counters([os.getpid()], host.available_cpus())
    after = host.read_counters([os.getpid(), 2**22 + 1], host.available_cpus())
    added = after.since(before)
    assert added.involuntary_switches >= 0 and added.steal_ticks >= 0
    assert before.since(host.Counters(10**9, 10**9)) == host.Counters(0, 0)


def test_time_waited_for_a_cpu_is_counted():
    """Two processes that both want one CPU: each waits about half of the time."""
    program = "while True: pass"
    cpu = host.available_cpus()[-1]
    both = [subprocess.Popen([sys.executable, "-c", program]) for _ in range(2)]
    try:
        for child in both:
            host.pin(child.pid, cpu)
        before = host.read_counters([child.pid for child in both], [cpu])
        if before.waited_ns is None:
            pytest.skip("this kernel does not tell (CONFIG_SCHED_INFO)")
        until(lambda: host.read_counters([child.pid for child in both], [cpu]).since(before).waited_ns > SECOND // 10)
    finally:
        for child in both:
            child.kill()
            child.wait()


@pytest.mark.parametrize(
    ("counters", "kept"),
    [
        (host.Counters(), (None, None)),
        (host.Counters(waited_ns=0, involuntary_switches=9), (0, 0)),
        (host.Counters(waited_ns=7 * host.STALL_NS, involuntary_switches=3), (7 * host.STALL_NS, 3)),
        (host.Counters(waited_ns=7 * host.STALL_NS, involuntary_switches=900), (7 * host.STALL_NS, 7)),
        (
            host.Counters(waited_ns=7 * host.STALL_NS, involuntary_switches=900, shared_ns=5 * host.STALL_NS + 1),
            (2 * host.STALL_NS - 1, 1),
        ),
    ],
)
def test_long_stalls_are_bounded_by_the_time_waited_and_the_number_of_switches(counters, kept):
    assert counters.kept_waiting() == kept


def test_where_the_kernel_does_not_tell_the_time_waited(monkeypatch):
    monkeypatch.setattr(host, "_schedstat", lambda pid: int("no"))
    assert host.read_counters([os.getpid()], []).waited_ns is None


def test_the_machine_is_described():
    described = host.describe_machine()
    assert described["cpus"] >= 1 and described["memory"] > 0
    assert described["kernel"].startswith("Linux") and described["numpy"] and described["python"]
    assert host.package_version("no-such-package-at-all") is None
