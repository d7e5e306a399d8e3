"""Simulations: what is refused, what is said of points and what is not, and how it is shown."""

import io
import json
import multiprocessing
import os
import re
import signal
import time

import pytest
from running import invoke
from simulations import LINEAR, Parsed, curve, dead, everything, line, lock, point, simulation

from scenarios.parameters import Sized
from scenarios.registry import SCENARIOS
from shm.locks import LOCK_CLASSES
from shm.virtual.words import WHATS
from stress.process.errors import DamagedRun, UsageError
from stress.profiles.load import load
from stress.result.data import Violation
from stress.show.progress import Progress
from stress.show.shapes import COLOURS
from stress.show.terminal import PIPE_WIDTH
from stress.simulate import report, study
from stress.simulate.command import exit_status
from stress.simulate.options import DEFAULT_CPUS, make_options
from stress.simulate.page import render
from stress.simulate.point import Job
from stress.simulate.rates import Curve, headline_of, rate_of
from stress.simulate.sizes import sized
from stress.simulate.spending import biggest, parts


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--cpus", "0"), "--cpus 0: allowed is 1 to 512"),
        (("--cpus", "1,513"), "--cpus 513"),
        (("--cpus", "4,2,4"), "4 is there twice"),
        (("--cpus", "1,,2"), "'' is no number"),
        (("--cpus", "many"), "'many' is no number"),
        (("--nodes", "4", "--cpus", "2,8"), "--nodes 4: a node needs a CPU, and there is a point of 2"),
        (("--nodes", "17"), "--nodes 17: allowed is 1 to 16"),
        (("--machine", "epyc-2032"), "--machine: epyc-2032: there is no such file"),
        (("--after", "v9"), "--after"),
        (("--after", "linux-3.16"), "already given by --before"),
        (("--scenario", "remote-fre"), "did you mean 'remote-free'"),
        (("--set", "batch=x"), "--set"),
        (("--operations", "0"), "--operations 0"),
        (("--memory", "2Q"), "--memory"),
        (("--settle", "-1"), "--settle -1"),
        (("--jobs", "0"), "--jobs 0"),
        (("--page", "nowhere/page.html"), "--page nowhere/page.html"),
        (("--trace", "none.csv"), "--trace none.csv: there is no such file"),
        (("--trace", "none.csv", "--cpus", "2"), "--cpus 2: a trace has the CPUs it was recorded on"),
        (("--trace", "none.csv", "--set", "a=1"), "a trace has no parameters"),
        (("--scenario", "remote-free", "--trace", "none.csv"), "exclude each other"),
    ],
)
def test_what_cannot_be_simulated_is_refused_by_the_name_of_its_option(tmp_path, arguments, said):
    done = invoke(tmp_path, *arguments, command="simulate")
    assert done.exit_code == 2 and done.stderr.startswith("error: ") and said in done.stderr, done.stderr


def test_points_ascend_and_the_default_ones_have_a_cpu_for_every_node():
    assert make_options(cpus="8, 1,64").cpus == (1, 8, 64)
    assert make_options().cpus == DEFAULT_CPUS and make_options(nodes=4).cpus == DEFAULT_CPUS[2:]
    with pytest.raises(UsageError, match="--nodes 4"):
        make_options(nodes=4, cpus="2")


@pytest.mark.parametrize("scenario", [name for name, one in SCENARIOS.items() if isinstance(one.parameters, Sized)])
def test_a_point_differs_from_another_only_by_how_often_a_cpu_does_the_same(scenario):
    few, many = (sized(scenario, cpus, {}) for cpus in (4, 128))
    per_cpu = {name: int(value) for name, value in many.items() if name in ("batch", "objects")}
    assert per_cpu.items() <= {name: int(value) for name, value in few.items()}.items()
    if "slabs" in few:
        assert int(few["slabs"]) / 4 == int(many["slabs"]) / 128


def test_rates_are_those_of_the_sections_that_matter_most():
    timed = point("v1", 2, 5e6, rates={"mixed": 1e6, "alloc": 2e6})
    assert headline_of([timed]) == "mixed" and headline_of([timed, point("v1", 1, 1e6)]) == "frees"
    untimed = point("v1", 4, 0.0, rates={}, operations=4000, ms=2.0)
    assert headline_of([untimed]) == "operations" and rate_of(untimed, "operations") == 2e6
    of = Curve(simulation(curve("v1", {2: 1e6, 8: 2e6})), "v1")
    assert of.efficiency(2) == 1.0 and of.efficiency(8) == 0.5 and of.efficiency(64) is None


def test_time_is_summed_over_what_it_is_spent_for():
    one = point("v1", 1, 1e6)
    assert biggest(one) == ("cache misses", pytest.approx(5 / 15))
    places, (found,) = parts([one])
    assert places == ["own work", "cache misses", "waiting for list_lock"] and sum(found.values()) == 15
    assert biggest(point("v1", 1, 1e6, spent={"free": {"own work": 1.0}})) is None
    everything_there_is = dict.fromkeys((*WHATS, *LOCK_CLASSES), 1.0)
    places, (found,) = parts([point("v1", 1, 1e6, spent={"free": everything_there_is})])
    assert set(found) == set(places) and sum(found.values()) == len(everything_there_is) and len(places) <= COLOURS


def test_a_lock_is_called_busy_from_where_it_is_and_only_there():
    assert not [said for said in simulation(curve("v1", LINEAR)).sentences if "busy at" in said or "busy from" in said]
    assert "v1: no lock is busy for more than 20 % of the time." in simulation(curve("v1", LINEAR)).sentences
    points = [point("v1", cpus, rate, locks=[lock(0.3), lock(busy)]) for (cpus, rate), busy in zip(
        LINEAR.items(), (0.1, 0.79, 0.96, 0.99), strict=True
    )]  # fmt: skip
    said = simulation(points).sentences
    assert "v1: list_lock of kmalloc-256, node 0 is 96 % busy from 4 CPUs on." in said
    assert not any("no lock" in sentence for sentence in said)
    points[-1] = point("v1", 8, 8e7)  # and then no more
    assert any("96 % busy at 4 CPUs." in sentence for sentence in simulation(points).sentences)


@pytest.mark.parametrize(
    ("rates", "said", "unsaid"),
    [
        (LINEAR, "v1 scales: 8 CPUs reach 100 % of linear.", "fall"),
        ({1: 1e7, 4: 3e7, 8: 2e7}, "frees are fastest on 4 CPUs, 30.0 M/s, and fall to 20.0 M/s on 8.", "scales"),
        ({1: 1e7, 4: 3e7, 8: 3e7}, "v1 keeps half of linear up to 4 CPUs.", "fall"),
        ({1: 1e7, 4: 1e7}, "v1 has 25 % of linear left on 4 CPUs.", "keeps"),
        ({8: 1e7}, None, "linear"),
    ],
)
def test_how_a_design_scales(rates, said, unsaid):
    found = simulation(curve("v1", rates)).sentences
    assert (said is None or any(said in sentence for sentence in found)) and not any(unsaid in one for one in found)


def test_designs_are_compared_where_it_matters():
    base = curve("linux-3.16", LINEAR)
    same = simulation([*base, *curve("v1", {cpus: 1.04 * rate for cpus, rate in LINEAR.items()})])
    assert same.sentences[-1] == "v1's frees are within 5 % of linux-3.16's at every number of CPUs."
    apart = simulation([*base, *curve("v1", {1: 1e7, 2: 8e6, 4: 4e7, 8: 2.5e8})])
    assert apart.sentences[-1] == "v1's frees are 3.12 times linux-3.16's on 8 CPUs."
    some = simulation([*base, *curve("v1", {1: 1e7, 2: 8e6, 4: 4e7, 8: 8e7})])
    assert some.sentences[-1] == "v1's frees are 40 % of linux-3.16's on 2 CPUs."


def test_lines_idle_cpus_and_dead_caches_have_their_say():
    quiet = " ".join(simulation(curve("v1", LINEAR)).sentences)
    assert not re.search("cache line|wait for each other|dead cache", quiet)
    idle = {"tape": {"asleep": 60.0}, "free": {"own work": 40.0}}
    loud = simulation(curve("v1", LINEAR, spent=idle, lines=[line(0.4, "run[8]"), line(0.3)], dead=dead(3, 4)))
    said = " ".join(loud.sentences)
    assert "CPUs wait 30 % of their time for one cache line, css of memcg 3, on" in said
    assert "60 % of the time: the scenario sets the pace" in said
    assert "v1 leaves 3 of 4 dead caches on 8 CPUs; half of the destroyed lived no longer than 1.00 ms" in said
    assert "v1 destroys all of 1 dead cache on" in " ".join(
        simulation(curve("v1", {1: 1e6}, dead=dead(0, 1))).sentences
    )


def test_violations_come_first_and_decide_the_exit_status():
    broken = Violation(invariant="I2", design="v1", description="slab 3 <b>")
    fine = curve("linux-3.16", LINEAR)
    bad = simulation([*fine, point("v1", 8, 1e6, violations=[broken])], partial=True)
    assert bad.sentences[0] == "INVARIANT VIOLATED under v1 on 8 CPUs: I2: slab 3 <b>" and exit_status(bad) == 1
    stuck = simulation([*fine, point("v1", 8, 1e6, stuck="nothing moves")])
    assert stuck.sentences[0] == "STUCK: v1 on 8 CPUs: nothing moves" and exit_status(stuck) == 3
    starved = simulation([*fine, point("v1", 8, 1e6, counts={"failed_allocations": 7})])
    assert starved.sentences[0].startswith("OUT OF MEMORY: v1 on 8 CPUs: 7 allocations failed")
    assert exit_status(starved) == 3
    assert exit_status(simulation(fine)) == 0 and exit_status(simulation(fine, partial=True)) == 3


def test_the_page_is_well_formed_and_escapes():
    nasty = "v1<script>alert(1)</script>"
    parsed = Parsed(render(everything(nasty)).decode())
    assert parsed.seen.count("script") == 1 and any(nasty in text for text in parsed.texts)
    assert parsed.seen.count("figure") == 6
    Parsed(render(simulation([point("v1", 1, 1e6, locks=[], lines=[], latencies={}, spent={}, rates={})])).decode())


@pytest.mark.parametrize("format", ["text", "markdown", "json"])
def test_every_form_tells_the_same(format, valid):
    stream = io.StringIO()
    report.write(everything(), format, stream, details=True)
    text = stream.getvalue()
    if format == "json":
        assert valid("simulation", text)["sentences"] == everything().sentences
        return
    lines = text.splitlines()
    assert any(re.fullmatch(r"\W*8\W+80\.0 M\W+100 %\W+cache misses 33 %\W+80\.0 M\W+1\.00\W+.*", one) for one in lines)
    for words in (
        "Incomplete",
        "of linear",
        "3 of 4",
        "5.00 ns / 50.0 ns / 1.00 µs",
        "list_lock of kmalloc-256",
        "a note",
    ):
        assert words in text, words
    assert max(map(len, lines)) <= 120 or format == "markdown"


def test_the_text_is_a_screen_of_what_is_most_telling():
    """Nine points of three designs, as by default, with all kinds of trouble."""
    rates = {1 << n: 1e7 * min(1 << n, 16) for n in range(9)}
    spent = {"free": {what: 1.0 + n for n, what in enumerate([*WHATS, *LOCK_CLASSES])}}
    curves = [
        one
        for name in ("linux-3.16", "v1", "v3")
        for one in curve(name, rates, spent=spent, locks=[lock(0.9)] * 5, lines=[line(0.2)] * 5, dead=dead(3, 4))
    ]
    found = simulation([*curves[:-2], point("v3", 128, 1e6, stuck="nothing moves"), curves[-1]], notes=["a note"])
    texts = []
    for details in (False, True):
        stream = io.StringIO()
        report.write(found, "text", stream, details=details)
        texts.append(stream.getvalue())
    short, whole = texts
    assert len(short.splitlines()) <= 40 < len(whole.splitlines())
    for words in (
        "STUCK: v3",
        "v3's frees are",
        "256 ",
        "lock of kmalloc-256",
        "css of memcg 3",
        "3 of 4",
        "--details",
    ):
        assert words in short, words
    assert all(sentence in " ".join(whole.split()) for sentence in found.sentences)
    assert "for free" in whole and "for free" not in short and "--details" not in whole


def test_an_alarm_is_said_whatever_the_room():
    found = simulation([point("v1", cpus, 1e6, stuck="nothing moves") for cpus in range(1, 60)])
    stream = io.StringIO()
    report.write(found, "text", stream)
    assert stream.getvalue().count("STUCK") == 59


def test_a_narrow_table_leaves_out_what_takes_most_time():
    stream = io.StringIO()
    report.write(simulation([one for n in range(5) for one in curve(f"linux-{n}", LINEAR)]), "text", stream)
    text = stream.getvalue()
    assert "most beside" not in text and "linux-4" in text and json.dumps("80.0 M")[1:-1] in text


def played(monkeypatch, play, cpus=(8, 4, 2, 1)):
    """Points of one design by two processes in which `play` stands for playing: a job and its Point."""
    monkeypatch.setattr(study, "play_point", lambda job, tick: play(job))
    jobs = [Job("v1", "slub", n, 1, load("epyc-2022"), 1 << 20, 1, 0.0, None) for n in cpus]
    return study.play_all(jobs, 2, Progress(quiet=True))


def test_a_point_whose_process_is_killed_is_missed_and_the_others_go_on(monkeypatch):
    def play(job):
        if job.cpus == 4:
            os.kill(os.getpid(), signal.SIGKILL)
        return point("v1", job.cpus, 1e6)

    points, troubles, interrupted = played(monkeypatch, play)
    assert sorted(one.cpus for one in points) == [1, 2, 8] and not interrupted
    assert len(troubles) == 1 and troubles[0].startswith("v1 on 4 CPUs: its process was killed by SIGKILL")


@pytest.mark.parametrize(("kind", "raised"), [(UsageError, UsageError), (ValueError, DamagedRun)])
def test_what_goes_wrong_in_a_process_is_told_and_ends_the_others(monkeypatch, kind, raised):
    def play(job):
        if job.cpus == 8:
            time.sleep(600)
        raise kind("the tables are too small")

    with pytest.raises(raised, match=r"(?s)v1 on 4 CPUs.*the tables are too small"):
        played(monkeypatch, play)
    assert not multiprocessing.active_children()


def test_a_point_longer_than_a_pipe_arrives_whole(monkeypatch):
    long = point("v1", 1, 1e6, locks=[lock(0.5, "x" * 1000)] * 500)
    points, _, _ = played(monkeypatch, lambda job: long, cpus=(1,))
    assert points == [long]


def test_names_of_designs_are_whole_in_every_table():
    """Two sizes of sheaves differ in the last letters of their designs' names."""
    names = [*(f"linux-7.0:sheaf_capacity={n},barn_sheaves=20" for n in range(60, 64)), "linux-7.1-F_STOCKMEMCG"]
    stream = io.StringIO()
    report.write(simulation([one for name in names for one in curve(name, LINEAR)]), "text", stream)
    text = stream.getvalue()
    table = text[text.index("CPUs  ") : text.index("On 8 CPUs")]
    assert "…" not in text.replace("  … ", "") and all(name in table for name in names)
    assert max(map(len, text.splitlines())) <= PIPE_WIDTH
    curve_tables = [line for line in text.splitlines() if line.startswith("CPUs")]
    assert len(curve_tables) > 1 and sum(line.count("linear") for line in curve_tables) == 5
