"""Reports of sheaves: what verdicts say, what explanations say, and the command around them."""

import dataclasses
import json
import math

import msgspec
import pytest
from simulations import line, lock, point
from typer.testing import CliRunner

from allocators.core.page_alloc import drain_all_pages
from scenarios.tape import OP_MASK, OP_NAMES
from shm.virtual.machine import Joined, PricedMachine
from stress.claims.lab import Damaged, NotBuilt
from stress.claims.reports.bench import Bench, mechanism, rate_of, without_first
from stress.claims.reports.command import choose, try_all, try_report
from stress.claims.reports.judge import explained, judge, of_pairs, one_share, summary, with_share
from stress.claims.reports.offline import PLACES, Cell, Lifetimes, Lives, cell, storm_lines, with_kfree_rcu
from stress.claims.reports.registry import REPORTS
from stress.claims.reports.report import (
    TOLERANCE,
    Count,
    Explanation,
    Measure,
    Report,
    Row,
    RowOutcome,
    Setting,
    Verdict,
    pair,
)
from stress.commands.app import app
from stress.engine import FINISHED, PLAYING
from stress.engine.virtual import begin_virtual, play_virtual
from stress.play.virtual import VirtualTime
from stress.play.workload import build_workload
from stress.process.errors import UsageError
from stress.show.progress import Progress

REPRODUCED, NOT, UNKNOWN = Verdict.REPRODUCED, Verdict.NOT, Verdict.UNKNOWN
HERE = Setting("here", "free-burst", (), 2)
THERE = Setting("there", "free-burst", (), 4)


class Fake:
    """A bench whose rates are given by design and setting's text."""

    def __init__(self, rates, stop_at=None):
        self.rates, self.stop_at, self.played = rates, stop_at, []
        self.progress, self.seeds, self.commands, self.violated = Progress(quiet=True), (1, 2), [], []
        self.lab = type("Lab", (), {"commands": (), "violated": ()})()

    def begin(self):
        self.commands = []

    def seeds_for(self, ways):
        return self.seeds if ways == 1 else self.seeds[:1]

    def play(self, sides, seeds):
        if len(self.played) == self.stop_at:
            raise KeyboardInterrupt
        self.played.append(sides)
        for side in sides:
            if side.design == "linux-9.9":
                raise NotBuilt("design linux-9.9 is not built")

    def paced(self, pair):
        return pair

    def rate(self, side, seed):
        if side.design == "broken":
            raise Damaged("stuck")
        rate = self.rates[side.design, side.setting.text]
        return rate if isinstance(rate, (int, float)) else rate[seed - 1]

    def point(self, side, seed):
        return None


@pytest.fixture(autouse=True)
def plain(monkeypatch):
    """No logging into a queue, which would outlive the test; points have no locks and lines."""
    monkeypatch.setattr("stress.play.session.setup_logging", lambda *_: None)
    monkeypatch.setattr("stress.play.session.close_logging", lambda: None)
    monkeypatch.setattr("stress.claims.reports.bench.mechanism", lambda point: "list_lock held 90%")


def outcome(report, rates, stop_at=None):
    found = []
    interrupted = try_report(report, Fake(rates, stop_at), found.append)
    return found[0] if found else None, interrupted


def report(*rows, **more):
    return Report("R0", "t", "who", "source", "machine", tuple(rows), **more)


def row(low, high, after="b", name="r", **more):
    return Row(name, low, high, (pair("a", after, HERE),), **more)


@pytest.mark.parametrize(
    "low, high, ratios, options, verdict",
    (
        (0.5, 0.5, [0.52, 0.55], {}, REPRODUCED),
        (0.5, 0.5, [0.2], {"alone": True}, NOT),  # a planted deviation
        (0.5, 0.5, [0.2], {}, UNKNOWN),  # some share of the time
        (0.5, 0.5, [0.8], {}, NOT),  # no share makes it that bad
        (0.5, 0.5, [1.5], {}, NOT),
        (0.9, 0.93, [0.99], {}, UNKNOWN),  # the tolerance hides it
        (0.9, 0.93, [0.6], {}, UNKNOWN),
        (0.9, 0.93, [1.4], {}, NOT),
        (0.98, 0.98, [1.1], {"same": True}, REPRODUCED),
        (0.98, 0.98, [0.6], {"same": True}, NOT),
        (1.0, None, [1.5, 1.6], {}, REPRODUCED),
        (1.0, None, [1.05], {}, UNKNOWN),
        (1.0, None, [0.7], {}, NOT),
        (None, None, [0.1], {}, UNKNOWN),
        (0.5, 0.5, [], {}, UNKNOWN),
    ),
)
def test_a_figure_against_a_prediction(low, high, ratios, options, verdict):
    assert judge(low, high, ratios, TOLERANCE, **({"alone": False, "same": False} | options))[0] is verdict


def test_the_share_that_is_named_is_the_one_that_agrees():
    _, _, share = judge(0.5, 0.5, [0.2], TOLERANCE, alone=False, same=False)
    assert share is not None and math.isclose(with_share(0.2, share), 0.5)


def test_what_is_left_open_decides_only_where_all_agree():
    assert of_pairs([NOT, NOT]) is NOT and of_pairs([NOT, REPRODUCED]) is UNKNOWN and of_pairs([]) is UNKNOWN


def test_one_share_must_do_for_all_rows():
    """The first row gives the share away: 0.2 for 0.5 is a quarter of the time. The second one is predicted with it."""
    rates = {("a", "here"): 1.0, ("b", "here"): 0.2, ("c", "here"): 0.25}
    first, fits, planted = row(0.5, 0.5), row(0.57, 0.57, "c", "s"), row(0.95, 0.95, "c", "s")
    told, _ = outcome(report(first, fits), rates)
    assert told.verdict is REPRODUCED and "0.57 with the share of 25%" in told.reason
    told, _ = outcome(report(first, planted), rates)
    assert told.verdict is NOT
    told, _ = outcome(report(first), rates)
    assert told.verdict is UNKNOWN, "with one unknown, one figure says nothing"


@pytest.mark.parametrize(
    "rest, stays, verdict",
    ((0.95, False, REPRODUCED), (0.5, False, NOT), (0.62, False, UNKNOWN), (0.5, True, REPRODUCED), (0.99, True, NOT)),
)
def test_explanations_are_claims(rest, stays, verdict):
    rates = {("a", "here"): 1.0, ("b", "here"): 0.5, ("b", "there"): rest, ("a", "there"): 1.0}
    one = Explanation("because", "them", pair("a", "b", HERE), pair("a", "b", THERE), stays=stays)
    told, _ = outcome(report(row(0.5, 0.5), explanations=(one,)), rates)
    assert told.explanations[0].verdict is verdict
    assert explained(1.0, 0.5, TOLERANCE, stays=stays)[0] is UNKNOWN, "there is nothing to be explained"


def test_what_is_not_built_or_breaks_down_cannot_be_told():
    told, _ = outcome(report(row(0.5, 0.5, "linux-9.9"), row(0.5, 0.5, "broken", "s")), {("a", "here"): 1.0})
    assert told.verdict is UNKNOWN and [one.predicted[0].reason for one in told.rows] == [
        "design linux-9.9 is not built",
        "stuck",
    ]


def test_counts_are_held_to_their_digits():
    counts = (Count("a", 1.25, lambda bench: 1.252), Count("b", 1.25, lambda bench: 1.26))
    told, _ = outcome(report(counts=counts), {})
    assert [one.verdict for one in told.counts] == [REPRODUCED, NOT] and told.verdict is NOT


def test_interruption_keeps_what_was_played():
    rates = {("a", "here"): 1.0, ("b", "here"): 0.5}
    told, interrupted = outcome(report(row(0.5, 0.5), row(0.5, 0.5, name="s")), rates, stop_at=1)
    assert interrupted and len(told.rows) == 1 and told.verdict is UNKNOWN and told.reason.startswith("interrupted")
    found = []
    assert try_all([report(row(0.5, 0.5))], Fake(rates, stop_at=0), found.append) and not found


def test_every_report_is_there_and_can_be_asked_for():
    assert list(REPORTS) == [f"R{n}" for n in range(1, 11)]
    assert [one.id for one in choose(["r3", "R1"])[0]] == ["R1", "R3"] and choose(["storm"]) == ([], True)
    with pytest.raises(UsageError, match="no report R11"):
        choose(["R11"])
    for one in REPORTS.values():
        names = [figure.name for figure in (*one.rows, *one.counts)]
        assert len(set(names)) == len(names) and (names or one.lacking)


def test_summary_of_nothing():
    assert summary([])[0] is UNKNOWN and one_share([], []) == ([], "")


def test_formats(tmp_path, monkeypatch):
    rates = {(design, text): 1.0 for design in ("linux-7.0", "linux-7.0-rc1") for text in ("here", "there")}
    rates["linux-7.0-rc1", "here"] = 0.1
    one = report(
        Row("r", 1.0, None, (pair("linux-7.0-rc1", "linux-7.0", HERE),)),
        explanations=(
            Explanation(
                "why", "who", pair("linux-7.0", "linux-7.0-rc1", HERE), pair("linux-7.0", "linux-7.0-rc1", THERE)
            ),
        ),
    )
    monkeypatch.setattr("stress.claims.reports.command.REPORTS", {"R0": one})
    monkeypatch.setattr("stress.claims.reports.bench.Bench", lambda **options: Fake(rates))
    arguments = ["claims", "--set", "sheaves", "R0", "--quick", "--out", str(tmp_path), "--format"]
    text = CliRunner().invoke(app, [*arguments, "text"])
    assert text.exit_code == 0 and "R0 t: reproduced" in text.stdout and "list_lock held 90%" in text.stdout
    page = CliRunner().invoke(app, [*arguments, "markdown"]).stdout
    assert "| R0 t | reproduced |" in page and "right: without the cause 100% of the loss goes" in page
    printed = CliRunner().invoke(app, [*arguments, "json"]).stdout
    data = json.loads(printed)
    assert data["reports"][0]["rows"][0]["predicted"][0]["ratios"] == [10.0, 10.0]
    assert data["reports"][0]["rows"][0]["predicted"][0]["rates"] == [0.1, 1.0]
    assert data["schema_version"] == "1" and not data["interrupted"]


def test_usage_errors(tmp_path):
    for arguments, says in ((["--set", "sheaves", "R11"], "no report R11"), (["R1"], "need --set sheaves")):
        done = CliRunner().invoke(app, ["claims", *arguments, "--out", str(tmp_path)])
        assert done.exit_code == 2 and says in done.stderr, done.stderr


def test_row_outcomes_are_data():
    told, _ = outcome(report(row(0.5, 0.5)), {("a", "here"): 1.0, ("b", "here"): [0.5, 0.52]})
    assert msgspec.json.decode(msgspec.json.encode(told.rows[0]), type=RowOutcome) == told.rows[0]


def storm_cell(design="linux-7.0", cpus=64, **more):
    lives = Lifetimes(gone=3, left=1, p50_ms=0.1, p99_ms=0.2, max_ms=0.25)
    fields = dict(
        design=design, cpus=cpus, memcgs=lives, objcgs=lives, look_ms=0.01, page_stock_slots=2, pinned_by_stock=0,
        pinned_by_rcu=2, pinned_by_objects=5, ns={"alloc": 10.0}, drains=1.5, charges=2.0,
        sheaf_bytes={"main, spare": 64 * 1024, "barn": 0, "rcu_free": 0}, per_cpu_cache=100.0, mechanism="",
        violated=[],
    )  # fmt: skip
    return Cell(**fields | more)


def test_the_storm_says_what_pins():
    page = "\n".join(storm_lines([storm_cell(), storm_cell(design="linux-5.9", sheaf_bytes=dict.fromkeys(PLACES, 0))]))
    assert "| linux-7.0, 64 | 3, 1 | 0.10 / 0.20 / 0.25 | 2 |" in page
    assert "5 of them by objects in use; 2 of them by rcu_free sheaves" in page and "keep 1 KiB of free memory" in page
    assert storm_lines([]) == []


def test_lifetimes_are_of_what_was_seen_dying_and_went():
    lives = Lives()
    for now, dying in ((1.0, [3]), (2.0, [3, 4]), (5.0, [4]), (6.0, [3, 4])):
        lives.look(now, dying)
    assert lives.summary() == Lifetimes(gone=1, left=2, p50_ms=4.0, p99_ms=4.0, max_ms=4.0)


def test_the_first_sections_can_be_left_untimed():
    load, _ = build_workload("free-burst", {"objects": "3", "bursts": "3"}, 2, 1)
    kinds = [[OP_NAMES[word & OP_MASK] for word in tape] for tape in without_first(load, 4).tapes]
    assert [kind.count("section_begin") for kind in kinds] == [kind.count("section_end") for kind in kinds] == [2, 2]
    assert without_first(load, 4).operations() == load.operations() and without_first(load, 0) is load
    assert kinds[0].index("section_begin") > 12, "two bursts come before"


class Interpreted(VirtualTime):
    """Virtual time without its program, which only this test would need."""

    def _machine(self):
        memory = Joined(self.arena.segment.words_view, self.segment.words_view, self.offset)
        return PricedMachine(memory, self.arena.kworker_cpu, self.machine.features, "slub")

    def _begin(self):
        begin_virtual(self._machine(), self.arena.run, self.offset + self.plan["loop"])

    def play(self, tick, steps):
        while (
            state := play_virtual(self._machine(), self.arena.run, self.offset + self.plan["loop"], steps)
        ) == PLAYING:
            tick()
        return state == FINISHED

    def end(self):
        drain_all_pages(self._machine())


def test_the_storm_is_watched(monkeypatch):
    """Of a storm with kfree_rcu: what is left of the cgroups that went, by what has hold of it."""
    monkeypatch.setattr("stress.simulate.point.VirtualTime", Interpreted)
    settings = {"operations": "120", "cgroups": "6", "active": "2", "rounds": "12", "caches": "kmalloc-64"}
    load, _ = build_workload("offline-storm", settings, 3, 1)
    changed = with_kfree_rcu(load, 0.3, 1)
    monkeypatch.setattr("stress.claims.reports.offline.Watch.steps", 10)
    found = cell("linux-7.0", 3, changed, 1)
    assert found.memcgs.gone + found.memcgs.left > 0 and not found.violated
    assert found.objcgs.left == found.pinned_by_stock + found.pinned_by_rcu + found.pinned_by_objects
    assert found.pinned_by_rcu > 0 and found.sheaf_bytes["rcu_free"] > 0
    assert cell("linux-7.0", 3, load, 1).pinned_by_rcu == 0


class Paced(Bench):
    """A bench on which an object takes 100 ns and the other work."""

    def play(self, sides, seeds):
        pass

    def rate(self, side, seed):
        setting = side.setting
        if setting.measure is Measure.FLOW:
            return 1e9 * (setting.cpus // 2) / (100 + setting.think_ns)
        return 1e9 / (100 + 2 * setting.think_ns)


@pytest.mark.parametrize("measure, think", ((Measure.LIFE, 200), (Measure.FLOW, 400)))
def test_other_work_is_what_the_kernel_before_needs_to_be_as_slow_as_reported(measure, think):
    bench = Paced(progress=Progress(quiet=True))
    setting = dataclasses.replace(HERE, cpus=8, measure=measure, paced_ns=500.0)
    paced = bench.paced(pair("linux-6.18", "linux-7.0", setting, dataclasses.replace(setting, nodes=2)))
    assert paced.before.setting.think_ns == paced.after.setting.think_ns == think
    assert paced.after.setting.nodes == 2 and paced.after.design == "linux-7.0"
    assert bench.paced(pair("a", "b", HERE)) == pair("a", "b", HERE), "nothing was reported of it"
    fast = bench.paced(pair("a", "b", dataclasses.replace(setting, paced_ns=10.0)))
    assert fast.before.setting.think_ns == 0, "it cannot be made faster"


def test_mechanisms_have_names():
    said = mechanism(point("a", 4, 1e6, locks=[lock(0.9)], lines=[line(0.2)]))
    assert said == (
        "cache misses 33% of the time awake, list_lock of kmalloc-256, node 0 held 90%, css of memcg 3 waited for 20%"
    )
    assert mechanism(point("a", 4, 1e6)).endswith("held 20%") and "memcg" not in mechanism(point("a", 4, 1e6))


def test_rates_are_of_objects():
    both = point("a", 4, 1e6, rates={"alloc": 3e6, "frees": 2e6}, ns={"alloc": 20.0, "frees": 30.0})
    assert rate_of(both, Measure.FLOW) == 2e6 and rate_of(both, Measure.LIFE) == pytest.approx(2e7)
    assert rate_of(point("a", 4, 1e6, ns={"mixed": 25.0}), Measure.LIFE) == pytest.approx(2e7)
    with pytest.raises(Damaged, match="nothing was timed"):
        rate_of(point("a", 4, 1e6, rates={"alloc": 3e6}), Measure.FLOW)
