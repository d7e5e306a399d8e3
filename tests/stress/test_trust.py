"""Grades of blocks and of runs, and what the operating system is asked for."""

import os
import subprocess
import sys

import pytest
from stress_records import block, census, launch, record
from until import until

from stress.judge.looks import Plan
from stress.measure import trust
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


WAITS = "the workers waited {} of their time for a CPU that others had"
SWITCHED = "{} involuntary context switches per second and CPU"
STALLED = "the workers were taken off their CPU for 1 ms or longer up to {} times per second and CPU"
STOLEN = "the hypervisor took {} of the CPU time"
LEFT_OUT = "in {} of its sections a worker was interrupted, which are left out under all designs"


@pytest.mark.parametrize(
    ("fields", "left_out", "grade", "reasons"),
    [
        ({}, 0.25, "good", []),
        (
            {"waited_ns": SECOND, "involuntary_switches": 900, "long_stalls": 90},
            0.251,
            "fair",
            [LEFT_OUT.format("25%")],
        ),
        ({}, 0.6, "fair", [LEFT_OUT.format("60%")]),
        ({}, 0.61, "poor", [LEFT_OUT.format("61%")]),
        ({"waited_ns": 59_000_000}, None, "good", []),
        ({"waited_ns": 61_000_000}, None, "fair", [WAITS.format("3.0%")]),
        ({"waited_ns": 199_000_000}, None, "fair", [WAITS.format("10.0%")]),
        ({"waited_ns": 201_000_000}, None, "poor", [WAITS.format("10.1%")]),
        ({"involuntary_switches": 40}, None, "good", []),
        ({"involuntary_switches": 41}, None, "fair", [SWITCHED.format(20)]),
        ({"involuntary_switches": 42}, None, "fair", [SWITCHED.format(21)]),
        ({"involuntary_switches": 200}, None, "fair", [SWITCHED.format(100)]),
        ({"involuntary_switches": 202}, None, "poor", [SWITCHED.format(101)]),
        ({"long_stalls": 10}, None, "good", []),
        ({"long_stalls": 12}, None, "fair", [STALLED.format(6)]),
        ({"long_stalls": 100}, None, "fair", [STALLED.format(50)]),
        ({"long_stalls": 102}, None, "poor", [STALLED.format(51)]),
        ({"steal_ticks": 2}, None, "good", []),
        ({"steal_ticks": 3}, None, "fair", [STOLEN.format("1.5%")]),
        ({"steal_ticks": 10}, None, "fair", [STOLEN.format("5.0%")]),
        ({"steal_ticks": 11}, None, "poor", [STOLEN.format("5.5%")]),
        # One of them may be an accident of where the block began, two are not.
        ({"wall_ns": SECOND // 200, "long_stalls": 1, "steal_ticks": 1}, None, "good", []),
        ({"wall_ns": SECOND // 200, "long_stalls": 2}, None, "poor", [STALLED.format(200)]),
        ({"wall_ns": SECOND // 200, "steal_ticks": 2}, None, "poor", [STOLEN.format("200.0%")]),
        # The worst of several decides, whatever the order.
        ({"steal_ticks": 3}, 0.7, "poor", [LEFT_OUT.format("70%"), STOLEN.format("1.5%")]),
        ({"steal_ticks": 11}, 0.3, "poor", [LEFT_OUT.format("30%"), STOLEN.format("5.5%")]),
        ({"wall_ns": 0}, None, "poor", ["it took no measurable time"]),
        ({"wall_ns": 1}, None, "good", []),
    ],
)
def test_what_is_graded_and_from_where_on(fields, left_out, grade, reasons, monkeypatch):
    monkeypatch.setattr(os, "sysconf", {"SC_CLK_TCK": 100}.__getitem__)
    assert grade_block(block("v1", 0, **{"wall_ns": SECOND, **fields}), 2, left_out) == (grade, reasons)


def test_a_block_of_no_cpu_has_no_grade_but_poor():
    assert grade_block(block("v1", 0), 0)[0] == "poor" and grade_block(block("v1", 0), 1)[0] == "good"


@pytest.mark.parametrize(
    ("poor", "fair", "launches", "said"),
    [
        ((3,), (), 8, ["warning: 1 of 8 launches was badly"]),
        ((3, 4), (), 8, ["serious: 2 of 8 launches were badly"]),
        ((3, 4), (), 9, ["warning: 2 of 9 launches were badly"]),
        ((), (1,), 5, ["warning: 1 of 5 launches was slightly"]),
        ((0,), (0, 2, 3), 5, ["warning: 1 of 5 launches was badly", "warning: 2 of 5 launches were slightly"]),
    ],
)
def test_a_launch_is_as_disturbed_as_its_worst_block(poor, fair, launches, said):
    blocks = [
        block(design, pair, wall_ns=SECOND, steal_ticks=max(11 * (pair in poor and design == "v1"), 3 * (pair in fair)))
        for pair in range(launches)
        for design in ("linux-3.16", "v1", "v3")
    ]
    found = measure(record(blocks=blocks)).trust.findings
    assert [f"{f.level}: {f.text.partition(' disturbed')[0]}" for f in found if "disturbed" in f.text] == said


@pytest.mark.parametrize(
    ("fraction", "text"),
    [
        (0.0, "0 %"),
        (0.000126, "0.01 %"),
        (0.0083, "0.83 %"),
        (0.012, "1.2 %"),
        (0.69, "69 %"),
        (0.994, "99 %"),
        (0.995, "100 %"),
        (1.0, "100 %"),
    ],
)
def test_two_digits_of_a_percentage(fraction, text):
    assert trust._percent(fraction) == text


def test_a_quiet_run_is_good():
    result = measure(record())
    assert result.trust.grade == "good"
    assert {f.level for f in result.trust.findings} == {"note"}
    assert finding(result, "3 warm-up passes are listed in the result and not used in any figure")
    cold = measure(record(blocks=[block(d, pair) for pair in range(8) for d in ("linux-3.16", "v1", "v3")]))
    assert not finding(cold, "warm-up") and not finding(cold, "own rates differ")


def test_only_the_baseline_s_launches_show_an_unsteady_machine():
    def of(unsteady):
        blocks = [block("v1", -1, live_ns=500.0, warmup=True)]
        for pair in range(8):
            for design in ("linux-3.16", "v1", "v3"):
                factor = 1.0 + pair % 2 if design == unsteady else 1.0
                blocks.append(block(design, pair, 10.0 * factor, 20.0 * factor))
        return finding(measure(record(baseline="v1", blocks=blocks)), "v1's own rates differ by")

    assert of("v1") and not of("linux-3.16") and not of("v3")


@pytest.mark.parametrize(("looked_at", "sure"), [([], False), ([4, 9], True)])
def test_what_looks_were_taken_is_said(looked_at, sure):
    plan = Plan(24.0)
    plan.looked_at, plan.sure = looked_at, sure
    (note,) = finding(measure(record(looks=plan)), "--until-sure")
    assert ("ended when all designs were settled" in note.text) == sure
    assert ("was not sure of all designs when its time was spent" in note.text) == (not sure)
    at = "4, 9" if sure else "none"
    assert f"{len(looked_at)} of 3 planned looks were taken (launches: {at})" in note.text


def test_a_run_that_timed_nothing_has_no_ratio_to_speak_of():
    assert not finding(measure(record(serial=True, blocks=[])), "in common")
    assert finding(measure(record(serial=True, pairs=3)), "in common")


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
    assert note.text.count("by up to") == 2, "of two designs the larger"
    one = record(launches=launches, switches={"linux-3.16": [], "v1": []}, blocks=record(launches=launches).blocks)
    (note,) = finding(measure(one), "a launch's luck")
    assert "up to" not in note.text
    assert "in 2.8 % of turns a section was interrupted, 1 % of sections are left out" in note.text
    uneven = [launch(turns=4), launch(turns=5)]
    for one in uneven:
        one.sections[...] = 0
    found = finding(measure(record(launches=uneven)), "2 launches of 14 turns of 1 ms")  # 13.5
    assert ", 0 % of sections are left out" in found[0].text
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
    result = measure(record(blocks=blocks))
    shown = result.ratios["v1"].free_throughput
    span = f"spans {shown.high / shown.low - 1:.0%} at 95% confidence"
    assert finding(result, f"interval of v1's ratio {span}")[0].level == "warning"


def test_as_many_launches_as_an_interval_needs_are_enough():
    assert not finding(measure(record(pairs=5)), "in common") and finding(measure(record(pairs=4)), "in common")


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
