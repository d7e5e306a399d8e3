"""The commands: what they print, write and exit with."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner
from until import PATIENCE

from allocators.memcg.memcontrol import MEMCG
from stress.commands.app import app

ROOT = Path(__file__).resolve().parents[2]

runner = CliRunner()


@pytest.fixture
def found(tmp_path):
    path = tmp_path / "r12.json"
    done = runner.invoke(app, ["explore", "R12", "--out", str(path)])
    assert done.exit_code == 1, done.output
    return path, done.output


def test_a_race_is_printed_with_a_column_per_cpu_and_written(found):
    path, output = found
    assert "found: leak" in output and "empty slab in cpu_partial of cpu 0" in output
    assert "cache 1 cpu0 .partial" in output and "allocators/slub/partial.py:" in output
    assert "-- kworker waits: free goes on" in output
    assert json.loads(path.read_text())["format"] == 2


def test_a_schedule_replays_to_the_identical_outcome_every_time(found):
    from stress.explore.exploring import Request, build, follow
    from stress.explore.found import schedule

    kept = schedule.read(found[0])
    seen = set()
    for _ in range(5):
        scene = build(Request(kept.model, kept.allocator, kept.design, kept.memory_model, kept.cpus))
        shown, outcome = follow(scene, scene.space(), kept)
        assert (outcome.kind, outcome.text, outcome.points, outcome.history) == (
            kept.kind,
            kept.text,
            kept.points,
            kept.history,
        )
        seen.add(tuple(shown))
    assert len(seen) == 1 and len(seen.pop()) > 20


def test_the_story_comes_first_and_fits_ten_lines(found):
    lines = found[1].splitlines()
    begin = next(i for i, line in enumerate(lines) if line.startswith("Who: "))
    told = lines[begin : lines.index("", begin)]
    assert begin < 5 and len(told) <= 10 and "kworker on cpu1, free on cpu0; 0 preemptions" in told[0]
    assert "cache 1 cpu0 .partial 0 -> page 1" in told[2] and "kworker waits" in told[2]
    assert told[-2].startswith("Left: cache 1 is dead") and told[-1].startswith(
        "Rule: a dead cache without objects must go"
    )


def test_full_has_every_access_and_the_folded_form_every_write(found):
    done = runner.invoke(app, ["replay", "--full", str(found[0])])
    every = [line.strip() for line in done.output.splitlines()]
    writes = [line for line in every if " -> " in line and line.split()[0] in ("store", "cmpxchg", "fetch_add")]
    assert done.exit_code == 1 and len(writes) > 5 and len(every) > len(found[1].splitlines())
    assert all(write in found[1] for write in writes)
    assert "load cache 1 cpu0 .partial 0" in every and "load cache 1 cpu0 .partial 0" not in found[1]


def test_stories_of_many_turns_fit_too():
    from stress.explore.found.story import LINES, RULES, story
    from stress.explore.found.trace import Row
    from stress.explore.space.space import Outcome
    from stress.explore.space.violation import KINDS

    rows = []
    for turn in range(40):
        rows.append(Row(turn % 2, f"t{turn % 2}", "store", "word", f"{turn} -> {turn + 1}", "f allocators/x.py:1"))
        rows.append(Row(-1, "", "switch", "", "", f"t{turn % 2} is preempted"))
    told = story(rows, Outcome("leak", "gone", 40, 40, {}, False, 0))
    assert len(told) == LINES and "34 more turns" in told[3] and "39 -> 40" in told[7] and set(RULES) == set(KINDS)


def test_replay_prints_the_trace_and_fails_as_before(found):
    path, output = found
    done = runner.invoke(app, ["replay", str(path)])
    assert done.exit_code == 1
    assert done.output.splitlines()[-1] in output


ACCUSED = "the explorer is not deterministic, which is a bug"


def test_a_python_that_hashes_otherwise_does_not_accuse_the_explorer(found, monkeypatch):
    from stress.explore.space import sharing, space, task

    for module in (sharing, space, task):
        monkeypatch.setattr(module, "hash", lambda of: hash((of, "salt")), raising=False)
    done = runner.invoke(app, ["replay", str(found[0])])
    assert done.exit_code == 1 and "not how the schedule ended" not in done.output


def edit(path, **fields):
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


@pytest.mark.parametrize("field, value", [("history", "0" * 16), ("text", "cache 7 is dead"), ("points", 1)])
def test_another_end_is_a_bug_of_the_explorer_only_under_the_same_python(found, field, value):
    path, _ = found
    edit(path, **{field: value})
    done = runner.invoke(app, ["replay", str(path)])
    assert done.exit_code == 1 and ACCUSED in done.output
    edit(path, python="cpython 3.99")
    done = runner.invoke(app, ["replay", str(path)])
    assert done.exit_code == 1 and ACCUSED not in done.output
    # What an interpreter may say otherwise, such as lines in a text, is no other end.
    assert ("not how the schedule ended under cpython 3.99" in done.output) == (field != "text")


def test_an_explorer_that_is_not_deterministic_is_accused(found, monkeypatch):
    """The same decisions and the same finding, but one shared word holds another value than when the schedule was
    written.
    """
    from stress.explore import command

    right = command.build

    def build(request):
        scene = right(request)
        scene.mem[scene.memcg + MEMCG.kmem] += 1
        return scene

    monkeypatch.setattr(command, "build", build)
    done = runner.invoke(app, ["replay", str(found[0])])
    assert done.exit_code == 1 and ACCUSED in done.output


def test_a_schedule_of_format_1_still_replays(found):
    path, _ = found
    kept = json.loads(path.read_text())
    del kept["python"], kept["history"]
    path.write_text(json.dumps(kept | {"format": 1, "end": 12345, "sources": "0" * 16}))
    done = runner.invoke(app, ["replay", str(path)])
    assert done.exit_code == 1 and "it still ends as it did" in done.output


EXPLORE = """
import sys
from pathlib import Path
from typer.testing import CliRunner
from stress.commands.app import app
for model in ("R12", "R5"):
    CliRunner().invoke(app, ["explore", model, "--jobs", "1", "--out", str(Path(sys.argv[1]) / f"{model}.json")])
"""


def test_a_schedule_is_the_same_whatever_strings_hash_to(tmp_path, monkeypatch):
    """PYTHONHASHSEED orders sets of strings; nothing that is searched or written may follow it.

    One process: of several that share a search, one finds a schedule first.
    """
    other = "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"
    environment = os.environ | {"PYTHONHASHSEED": other}
    (tmp_path / "there").mkdir()
    subprocess.run([sys.executable, "-c", EXPLORE, str(tmp_path / "there")], cwd=ROOT, env=environment, check=True)
    (tmp_path / "here").mkdir()
    monkeypatch.setattr(sys, "argv", ["-c", str(tmp_path / "here")])
    exec(EXPLORE, {})
    for name in ("R12.json", "R5.json"):
        assert (tmp_path / "here" / name).read_bytes() == (tmp_path / "there" / name).read_bytes()


def test_replay_against_changed_sources_says_so(found):
    path, _ = found
    kept = json.loads(path.read_text())
    kept["sources"] = "0" * 16
    path.write_text(json.dumps(kept))
    done = runner.invoke(app, ["replay", str(path)])
    assert done.exit_code == 1 and "the sources have changed" in done.output
    kept["switches"] = []
    kept["points"] += 1
    path.write_text(json.dumps(kept))
    done = runner.invoke(app, ["replay", str(path)])
    assert done.exit_code == 2 and "no longer fits" in done.stderr


def test_a_replay_writes_the_page_and_the_trace_of_its_schedule(found, tmp_path):
    page, trace = tmp_path / "race.html", tmp_path / "race.json"
    done = runner.invoke(app, ["replay", str(found[0]), "--page", str(page), "--perfetto", str(trace)])
    assert done.exit_code == 1 and f"page written to {page}" in done.output and str(trace) in done.output
    text = page.read_text()
    assert "R12: no sentinel" in text and "Ends with: leak" in text and "Ends well" in text
    assert json.loads(trace.read_text())["otherData"]["design"] == "v1"


@pytest.mark.parametrize(
    "text, said",
    [("{}", "is not a schedule"), ("[", "is not a schedule"), (None, "cannot be read")],
)
def test_a_file_that_is_no_schedule(tmp_path, text, said):
    path = tmp_path / "x.json"
    if text is not None:
        path.write_text(text)
    done = runner.invoke(app, ["replay", str(path)])
    assert done.exit_code == 2 and said in done.stderr


def test_another_format_is_refused(found):
    path, _ = found
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 3}))
    done = runner.invoke(app, ["replay", str(path)])
    assert done.exit_code == 2 and "format 3" in done.stderr


def test_nothing_found_says_how_far_the_search_got():
    done = runner.invoke(
        app, ["explore", "R8", "--design", "v3+F_NRP", "--preemptions", "1", "--budget", str(PATIENCE)]
    )
    assert done.exit_code == 0 and "exhaustive for at most 1 preemptions" in done.stdout
    done = runner.invoke(app, ["explore", "R8", "--design", "v3+F_NRP", "--schedules", "3"])
    assert done.exit_code == 0 and "no pass" in done.stdout
    done = runner.invoke(
        app, ["explore", "R8", "--design", "v3+F_NRP", "--strategy", "pct", "--schedules", "3", "--jobs", "1"]
    )
    assert done.exit_code == 0 and "no pass" in done.stdout


@pytest.mark.parametrize("strategy", ["random", "pct"])
def test_random_strategies_find_and_shrink(strategy, tmp_path):
    done = runner.invoke(app, ["explore", "R8", "--strategy", strategy, "--jobs", "2", "--out", str(tmp_path / "s")])
    assert done.exit_code == 1 and "found: leak, 1 preemptions" in done.stdout


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["explore"], "name a model"),
        (["explore", "R99"], "MODEL 'R99' is not known"),
        (["explore", "R1", "--all"], "--all"),
        (["explore", "--all", "--page", "x.html"], "--page and --perfetto are of one schedule"),
        (["explore", "R1", "--page", "nowhere/x.html"], "--page nowhere/x.html"),
        (["explore", "R1", "--perfetto", "nowhere/x.json"], "--perfetto nowhere/x.json"),
        (["explore", "--all", "--format", "markdown", "--out", "races"], "--out races: name a file"),
        (["explore", "R1", "--design", "v9"], "unknown design 'v9'"),
        (["explore", "R1", "--allocator", "slab"], "--allocator slab"),
        (["explore", "reaper-vs-destroy", "--allocator", "slub"], "--allocator slub"),
    ],
)
def test_bad_usage(arguments, said):
    done = runner.invoke(app, arguments)
    assert done.exit_code == 2 and said in done.stderr


def test_races_are_listed():
    done = runner.invoke(app, ["list", "races"])
    assert done.exit_code == 0
    assert [line.split()[0] for line in done.stdout.splitlines() if line[0] != " "][:3] == ["R1", "R1b", "R2"]
