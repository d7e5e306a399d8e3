"""calibrate without workers: the table from made-up comparisons, goals, reports, the file of samples, options."""

import io
import json

import jsonschema
import msgspec
import pytest
from calibrations import SETTING, comparison, samples
from until import until

from scenarios.tape import SECTION_LIVE_FREE
from stress.calibrate import report
from stress.calibrate.neighbour import neighbour
from stress.calibrate.options import SLOWDOWNS, make_options
from stress.calibrate.samples import continued, read_samples, write_samples
from stress.calibrate.stage import FULL_SPEED, Compared, Slowness
from stress.calibrate.table import Calibration, calibration, share_of
from stress.calibrate.tuning import Tuner
from stress.process.errors import UsageError
from stress.process.host import available_cpus
from stress.schema import schema


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    """Of the intervals of some thousand comparisons."""
    monkeypatch.setattr("stress.judge.ratio.RESAMPLES", 199)


def row(found: Calibration, slowdown: float | None, kind: str = "live"):
    (one,) = [row for row in found.rows if row.slowdown == slowdown and row.kind == kind]
    return one


def printed(found: Calibration, format: str) -> str:
    stream = io.StringIO()
    report.write(found, format, stream)
    return stream.getvalue()


def test_calls_are_counted_by_kind():
    found = calibration(samples(None, 0.0, 0.03, runs=3), margin=0.02)
    assert [row.slowdown for row in found.rows] == [None, 0.0, 0.03]
    assert row(found, 0.0).equivalent.count == 3 and row(found, 0.0).found.count == 0
    assert row(found, 0.03).slower.count == 3 and row(found, 0.03).pairs == 16
    assert (
        row(found, 0.03).measured.estimate == pytest.approx(0.97, abs=0.005) and row(found, 0.03).measured.pairs == 48
    )
    assert found.trust.grade == "good" and found.seconds == 36.0


def test_kinds_of_sections_have_rows_of_their_own():
    made = samples(0.03, runs=3)
    made.comparisons += samples(0.03, runs=2, kind="dead", shown=0.0).comparisons
    found = calibration(made, margin=0.02)
    assert [(row.kind, row.slowdown) for row in found.rows] == [("live", 0.03), ("dead", 0.03)]
    assert row(found, 0.03).slower.count == 3 and row(found, 0.03, "dead").slower.count == 0


def test_the_margin_is_the_reports_not_the_samples():
    wide = calibration(samples(0.03), margin=0.1)
    assert row(wide, 0.03).equivalent.count == 3 and row(wide, 0.03).slower.count == 0


def test_less_time_finds_less():
    found = row(calibration(samples(0.03, runs=6, noise=0.05, pairs=40), margin=0.02), 0.03)
    counts = [share.count for share in found.found_after[:2]]
    assert counts == sorted(counts) and counts[-1] == found.found.count == found.slower.count > counts[0]
    assert [share.runs for share in found.found_after] == [6, 6, 3, 1]
    few = row(calibration(samples(None, runs=3, shown=0.1), margin=0.02), None)
    assert (few.found_after[2].count, few.found_after[2].runs, few.found_after[3]) == (1, 1, None)


def test_shares_have_exact_intervals():
    share = share_of(100, 100)
    assert share.value == 1.0 and share.high == 1.0 and share.low == pytest.approx(0.025 ** (1 / 100))
    assert share_of(0, 10).low == 0.0


@pytest.mark.parametrize(
    ("kinds", "fields", "name", "met"),
    [
        ((0.0,), {}, "two programs", True),
        ((None,), {"shown": 0.1}, "one program", False),
        ((0.02,), {"noise": 0.002}, "live: 2% slower", True),
        ((0.02,), {"shown": 0.0}, "live: 2% slower", False),
        ((0.05,), {}, "never called faster", None),
        ((0.05,), {"runs": 100}, "never called faster", True),
        ((0.05,), {"shown": -0.1}, "never called faster", False),
    ],
)
def test_goals(kinds, fields, name, met):
    goals = [
        goal
        for goal in calibration(samples(*kinds, **fields), margin=0.02).goals
        if goal.name.startswith((name, f"slowed down, {name}"))
    ]
    assert [goal.met for goal in goals] == [met]


def test_disturbed_comparisons_are_counted_and_named():
    made = samples(0.0, runs=2)
    made.comparisons.append(comparison(0.0, 9, waited=0.3, steal=0.2))
    found = calibration(made, margin=0.02)
    said = " ".join(finding.text for finding in found.trust.findings)
    assert (
        "In 1 of 3 comparisons the workers waited for a CPU for more than 3% of the time" in said
        and "one for 30.0%" in said
    )
    assert "hypervisor" in said and row(found, 0.0).found.runs == 3


@pytest.mark.parametrize("format", ["text", "markdown"])
def test_reports_show_every_kind_and_goal(format):
    found = calibration(samples(None, 0.0, 0.03), margin=0.02)
    text = printed(found, format)
    assert all(
        part in text
        for part in ("same program", "3 %", "after 2.00 s", "Model CPU", "met", *(goal.name for goal in found.goals))
    )
    assert ("    python -m stress calibrate" in text) == (format == "markdown")


def test_json_is_described_by_its_structs():
    found = calibration(samples(None, 0.0, 0.03), margin=0.02)
    data = json.loads(printed(found, "json"))
    jsonschema.validate(data, schema("calibration"))
    assert data["schema_version"] == "2" and msgspec.json.decode(printed(found, "json"), type=Calibration) == found


def test_samples_are_gathered_in_a_file(tmp_path):
    path = tmp_path / "samples.json"
    assert continued(path, SETTING).comparisons == [] == continued(None, SETTING).comparisons
    write_samples(path, samples(0.0))
    assert continued(path, SETTING) == read_samples(path) == samples(0.0)
    with pytest.raises(
        UsageError, match=r"--samples .*: its comparisons have seconds 4.0, this one 5.0; name another file"
    ):
        continued(path, msgspec.structs.replace(SETTING, seconds=5.0))


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff\xfe", b'{"schema_version": "1"}'])
def test_what_is_no_file_of_samples_is_refused(tmp_path, content):
    path = tmp_path / "samples.json"
    path.write_bytes(content)
    with pytest.raises(UsageError, match="is no file of samples of this program"):
        read_samples(path)
    with pytest.raises(UsageError, match="cannot be read"):
        read_samples(tmp_path / "none.json")


@pytest.mark.parametrize(
    "damage",
    [
        {"kind": "dear"},
        {"ratios": [1.0, 0.0]},
        {"judged": []},
        {"judged": [{"low": -1.0, "high": 1.0}] * 2},
        {"slowdown": 1.0},
        {"slowdown": -1},
    ],
)
def test_samples_that_no_table_can_be_made_of_are_refused(damage, tmp_path):
    path = tmp_path / "samples.json"
    data = msgspec.to_builtins(samples(0.0))
    data["comparisons"][0] |= damage
    path.write_bytes(msgspec.json.encode(data))
    with pytest.raises(UsageError, match="is no file of samples of this program"):
        read_samples(path)


def test_options_by_default():
    options = make_options()
    assert options.slowdowns == tuple(percent / 100 for percent in SLOWDOWNS) and options.same
    assert (options.scenario, options.settings, options.memory) == ("offline-storm", {}, 512 << 20)
    assert make_options(scenario="free-burst", settings=["bursts=2"]).settings == {"bursts": "2"}
    assert not make_options(slowdowns=[3, 1]).same and make_options(slowdowns=[3, 1]).slowdowns == (0.01, 0.03)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"runs": -1}, "--runs -1: allowed is 0"),
        ({"runs": 0}, "--runs 0: prints the table of --samples FILE"),
        ({"seconds": 0.0}, "--seconds 0: .*such as 15"),
        ({"neighbour": 1.5}, "--neighbour 1.5: a share of the time from 0 to 1"),
        ({"slowdowns": [60.0]}, "--slowdown 60: in percent, 0 to 50"),
        ({"slowdowns": [float("nan")]}, "--slowdown nan"),
        ({"design": "linux-9"}, "--design: .*linux-9"),
        ({"scenario": "free-bust"}, "--scenario 'free-bust'.*did you mean 'free-burst'"),
        ({"settings": ["object=3"]}, "--set: "),
        ({"margin": 3.0}, "--margin 3"),
        ({"memory": "much"}, "--memory 'much'"),
        ({"cpus": 0}, "--cpus 0"),
    ],
)
def test_bad_options_name_themselves_and_say_what_to_do(given, says):
    with pytest.raises(UsageError, match=says):
        make_options(**given)


TRIED = Slowness(400, 2000)


class Steady:
    """A stage whose operations take 50 cycles, and whose spins cost twice what the clock shows of them."""

    def launches(self, same, slowness, seed):
        return self

    def try_out(self):
        pass

    def measure(self, seconds):
        return None

    def compared(self, launched, kind, slowness=TRIED):
        spins = 10_000 // slowness.every
        spun = spins * (slowness.cycles + 30)
        took = 10_000 * 50 + 2 * spun
        return Compared(500_000 / took, 50.0, 10_000, spins, spun, spun / took)


def tuned() -> Tuner:
    tuner = Tuner([SECTION_LIVE_FREE])
    tuner.try_out(Steady(), SECTION_LIVE_FREE, seed=1)
    return tuner


def test_spinning_is_corrected_by_what_comparisons_showed():
    tuner, shown = tuned(), []
    for seed in range(8):
        played = Steady().compared(None, SECTION_LIVE_FREE, tuner.slowness(0.1, SECTION_LIVE_FREE))
        shown.append(1 - played.ratio)
        tuner.recall([comparison(0.1, seed, noise=1e-6, shown=shown[-1], spun=played.spun)])
    assert shown[0] > 0.15 and shown[-1] == pytest.approx(0.1, abs=0.02)
    assert tuner.slowness(0.0, SECTION_LIVE_FREE) == FULL_SPEED


def test_the_clocks_own_time_is_taken_off_a_spin():
    assert tuned().slowness(0.03, SECTION_LIVE_FREE).cycles == pytest.approx(2000 - 30, abs=20)


def test_a_neighbour_burns_its_share_of_one_cpu_and_goes():
    import psutil

    before = psutil.Process().children()  # who other tests' processes are forked off, if that runs
    with neighbour(0.5):
        (child,) = (each for each in psutil.Process().children() if each not in before)
        until(lambda: child.cpu_affinity() == [available_cpus()[-1]])
        until(lambda: child.cpu_times().user > 0.3)
        naps = child.num_ctx_switches().voluntary
    assert naps >= 5 and not child.is_running()
    with neighbour(0.0):
        assert child not in psutil.Process().children()
