"""The command: all claims through real options on a stand-in, formats, exit status, what is not built."""

import dataclasses
import json

import pytest
from synthetic import StandIn, record
from typer.testing import CliRunner

from stress.claims import instructions
from stress.claims.claim import Claim, Finding, Part, PartOutcome, Verdict, summary
from stress.claims.command import choose, try_all, try_part
from stress.claims.lab import Damaged, Lab, NotBuilt
from stress.claims.registry import CLAIMS
from stress.commands.app import app
from stress.process.errors import UsageError

PARTS = [(claim.id, part) for claim in CLAIMS.values() for part in claim.parts]


@pytest.fixture(autouse=True)
def plain_logging(monkeypatch):
    """Logging into a queue is for whole processes; here it would outlive the test."""
    monkeypatch.setattr("stress.play.session.setup_logging", lambda *_: None)
    monkeypatch.setattr("stress.play.session.close_logging", lambda: None)


def invoke(tmp_path, *arguments: str):
    return CliRunner().invoke(
        app, ["claims", "--quick", "--out", str(tmp_path), *arguments], prog_name="python -m stress"
    )


@pytest.mark.parametrize("part", [part for _, part in PARTS], ids=[f"{number} {part.name}" for number, part in PARTS])
def test_every_part_runs_and_judges_and_its_commands_are_understood_by_run(lab, coordinator, monkeypatch, part):
    """What a claim prints is parsed by `run` into the same options."""
    monkeypatch.setattr(instructions, "LEAST", 24)  # objects that are stepped through
    monkeypatch.setattr(instructions, "DEAD", ("v1", "v3"))  # 4.0's timed program is compiled for nothing else
    outcome = try_part(part, lab)
    assert outcome.reason and (outcome.figures or "is not built" in outcome.reason)
    assert all(command.startswith("python -m stress run --scenario") for command in outcome.commands)
    assert bool(coordinator.seen) == bool(outcome.commands)
    parsed = []
    monkeypatch.setattr("stress.commands.run.run_job", lambda options, **_: parsed.append(options) or 0)
    for options in coordinator.seen:
        done = CliRunner().invoke(app, options.command.split()[3:], prog_name="python -m stress")
        assert done.exit_code == 0, done.stderr
    for theirs, ours in zip(parsed, coordinator.seen, strict=True):
        measuring = dataclasses.replace(theirs.measuring, seconds=ours.measuring.seconds)  # a command rounds it
        assert dataclasses.replace(theirs, command=ours.command, measuring=measuring) == ours


def test_identical_runs_are_done_once(lab, coordinator):
    for _ in range(2):
        lab.run("leak", "linux-3.16", "v1")
    assert len(coordinator.seen) == 1 and len(lab.commands) == 2


def test_what_is_not_built_cannot_be_told(lab):
    for ask in (
        lambda: lab.run("leak", "linux-3.16", "linux-9.9"),
        lambda: lab.run("leak", "linux-3.16", "v1", allocator="slqb"),
        lambda: lab.run("leak", "linux-3.16", "v1", no_such_option=1),
    ):
        with pytest.raises(NotBuilt, match="is not built"):
            ask()
    outcome = try_part(Part("x", "y", lambda lab: lab.run("leak", "linux-3.16", "linux-9.9")), lab)
    assert (outcome.verdict, outcome.reason) == (Verdict.UNKNOWN, "design linux-9.9 is not built")


def test_a_run_that_breaks_down_cannot_be_told(lab, coordinator):
    def broken(options):
        made = record(options)
        made.damage = "worker 1 was killed"
        return made

    coordinator.answer = broken
    with pytest.raises(Damaged):
        lab.run("leak", "linux-3.16", "v1")
    outcome = try_part(CLAIMS[1].parts[0], lab)
    assert outcome.verdict is Verdict.UNKNOWN and "worker 1 was killed" in outcome.reason


def outcome(verdict, name="p"):
    return PartOutcome(name=name, what="w", verdict=verdict, reason=verdict.value, figures=[], commands=[], seconds=0.0)


@pytest.mark.parametrize(
    "verdicts, whole",
    (("hh", "holds"), ("hf", "does not hold"), ("hu", "cannot tell"), ("uf", "does not hold")),
)
def test_the_parts_decide(verdicts, whole):
    of = {"h": Verdict.HOLDS, "f": Verdict.FAILS, "u": Verdict.UNKNOWN}
    assert summary([outcome(of[v]) for v in verdicts])[0].value == whole


def test_formats(coordinator, tmp_path):
    text = invoke(tmp_path, "1").stdout
    for word in (
        "1 claims tested with tiny workloads",
        "figures",
        "leaked",
        "pinned",
        "python -m stress run --scenario pinned",
    ):
        assert word in text, word
    assert invoke(tmp_path, "1", "--format", "markdown").stdout.startswith("# Claims\n")
    made = invoke(tmp_path, "1", "7", "--format", "json")
    data = json.loads(made.stdout)
    assert [claim["id"] for claim in data["claims"]] == [1, 7] and data["schema_version"] == "1"
    assert {part["verdict"] for claim in data["claims"] for part in claim["parts"]} <= {
        "holds",
        "does not hold",
        "cannot tell",
    }
    path = made.stderr.strip().rpartition("result: ")[2]
    assert json.loads(open(path).read()) == data


def test_progress_names_the_claim(coordinator, tmp_path):
    assert "claim 7 (2 of 2), slub" in invoke(tmp_path, "1", "7").stderr
    assert invoke(tmp_path, "1", "--quiet").stderr == ""


def test_status_does_not_depend_on_verdicts_but_on_invariants(coordinator, tmp_path):
    done = invoke(tmp_path, "1")
    assert done.exit_code == 0 and "does not hold" in done.stdout  # the stand-in's caches are all gone
    coordinator.answer = lambda options: record(options, linux_3_16={"violated": [("accounting", "3 pages too many")]})
    done = invoke(tmp_path, "1")
    assert done.exit_code == 1 and "INVARIANT VIOLATED under linux-3.16: accounting: 3 pages too many" in done.stdout


def test_interruption_keeps_what_was_tested(coordinator, tmp_path):
    def answer(options):
        made = record(options)
        made.interrupted = len(coordinator.seen) > 2
        return made

    coordinator.answer = answer
    done = invoke(tmp_path, "1", "2", "--format", "json")
    data = json.loads(done.stdout)
    assert done.exit_code == 3 and data["interrupted"]
    assert [len(claim["parts"]) for claim in data["claims"]] == [1] and data["claims"][0]["verdict"] == "cannot tell"


@pytest.mark.parametrize(
    "arguments, says",
    (
        (["99"], "there is no claim 99"),
        (["x"], "ID"),
        (["1", "--seconds", "0"], "--seconds"),
        (["--seed", "-1"], "--seed"),
    ),
)
def test_usage_errors(coordinator, tmp_path, arguments, says):
    done = invoke(tmp_path, *arguments)
    assert done.exit_code == 2 and says in done.stderr and done.stdout == ""


def test_claims_are_chosen_once_and_in_order():
    assert [claim.id for claim in choose([3, 1, 3])] == [1, 3]
    assert [claim.id for claim in choose([])] == list(range(12))
    with pytest.raises(UsageError):
        choose([12])


def test_violations_belong_to_their_claim():
    claim = Claim(
        5, "s", "p", "q", (Part("a", "b", lambda lab: lab.violated.append("v") or Finding(Verdict.HOLDS, "r")),)
    )
    lab, found = Lab(), []
    assert not try_all([claim], lab, found.append) and found[0].violated == ["v"]
    assert StandIn().seen == []
