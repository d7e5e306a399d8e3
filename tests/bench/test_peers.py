"""The comparison with other allocators: each program does the work it is said to do, what is missing is said, and slow
is seen.
"""

import ctypes
import dataclasses
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from until import PATIENCE

from scenarios import tape
from stress.bench.peers import crew, goals, measure, player, tables, tapes
from stress.bench.peers.catalogue import PROGRAMS, Library, NotInstalled, Program, load_library
from stress.bench.peers.measure import Plan
from stress.bench.peers.player import Player
from stress.bench.peers.result import Cell, Held, Peers
from stress.bench.peers.result import Player as Row
from stress.judge.ratio import Ratio
from stress.play.compiled import ready
from stress.process.errors import DamagedRun, StressError, UsageError

OURS = ("slub", "slab", "slob", "linux-6.18")  # linux-7.0 is one more timed program to compile, and of the same entry
SMALL = {"operations": 1 << 10, "slots": 600}

pytestmark = pytest.mark.xdist_group("bench")
needs_compiler = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
needs_two_cpus = pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="there are not two CPUs to pin to")


def started(name: str) -> Player:
    program = PROGRAMS[name]
    if name == "slab":  # as v3, which other tests have compiled
        program = dataclasses.replace(program, design="v3")
    ready(measure.targets(Plan(programs=[program])))
    home = os.sched_getaffinity(0)
    made = Player(program)
    os.sched_setaffinity(0, home)
    return made


@pytest.fixture
def play():
    """A player by name, closed at the end."""
    made = []

    def start(name: str) -> Player:
        made.append(started(name))
        return made[-1]

    yield start
    for one in made:
        one.unload()


def named(*names: str) -> list:
    return [pytest.param(name, marks=needs_compiler if "C" in name.split() else ()) for name in names]


# --- tapes


@pytest.mark.parametrize("cpus", [1, 2])
@pytest.mark.parametrize("workload", tapes.WORKLOADS)
def test_timed_parts_leave_the_slots_as_they_were(workload, cpus):
    made = tapes.cut(workload, 64, cpus, **SMALL)
    slots = np.zeros(made.load.slots, dtype=int)
    for part in ("fill", "block", "short", "drain"):
        ends = []
        before = slots.copy()
        for cpu in range(cpus):
            code, _, b, c = tape.decode(made.load.tapes[cpu][made.parts[part][cpu] :])
            end = int(np.argmax(code == tape.OP_END))
            code, c = code[:end], c[:end]
            assert not b.any(), "nobody is charged"
            np.add.at(slots, c[code == tape.OP_ALLOC], 1)
            np.add.at(slots, c[code == tape.OP_FREE], -1)
            timed = int(((code == tape.OP_ALLOC) | (code == tape.OP_FREE)).sum())
            ends.append((timed, c[code == tape.OP_SECTION_END].tolist()))
        if part in ("block", "short"):
            assert np.array_equal(slots, before)
            assert all(said == [timed] and timed for timed, said in ends)
        else:
            assert slots.sum() == (made.objects if part == "fill" else 0) and slots.max(initial=0) <= 1


def test_remote_frees_are_all_remote_and_short_is_shorter():
    made = tapes.cut("remote", 64, 2, operations=1 << 14, slots=8)
    allocated, freed = [], []
    for cpu in range(2):
        code, _, _, c = tape.decode(made.load.tapes[cpu])
        allocated.append(set(c[code == tape.OP_ALLOC].tolist()))
        freed.append(set(c[code == tape.OP_FREE].tolist()))
    assert allocated[0] == freed[1] and allocated[1] == freed[0] and not allocated[0] & allocated[1]
    sizes = np.diff([made.parts[name][0] for name in ("block", "short")] + [len(made.load.tapes[0])])
    assert sizes[0] > 8 * sizes[1]


def test_large_objects_get_fewer_slots():
    assert tapes.cut("random", 8192, 1, operations=2).objects == tapes.LARGEST // 8192
    assert tapes.cut("random", 64, 2, operations=2).objects == tapes.SLOTS


# --- players


@pytest.mark.parametrize("workload", ["pairs", "batches", "random"])
@pytest.mark.parametrize("name", named(*OURS, "glibc", "slub in C", "nothing"))
def test_every_program_does_the_work(play, name, workload):
    one = play(name)
    assert one.load(workload, 48, 1, **SMALL) == {"objects": 600 if workload == "random" else 0}
    one.play("fill")
    for _ in range(2):
        found = one.play("block")
        assert found["operations"] == [1 << 10] and found["cycles"][0] > 0
    objects = one.addresses()
    assert len(objects) == (600 if workload == "random" else 0)
    if name != "nothing":
        assert np.diff(objects).min(initial=48) >= 48, "objects overlap"
    one.play("drain")
    assert len(one.addresses()) == 0
    one.play("fill")


@needs_two_cpus
@pytest.mark.parametrize("name", named(*OURS, "glibc", "slub in C"))
def test_two_cpus_free_each_others_objects(play, name):
    one = play(name)
    one.load("remote", 64, 2, 1 << 12, 8)
    found = one.play("block")
    assert found["operations"] == [1 << 12] * 2 and min(found["cycles"]) > 0
    assert len(one.addresses()) == 0


IN_A_FRESH_PROCESS = """
import json
from test_peers import started
print(json.dumps(started("glibc").memory(512, 4000)))
"""


@pytest.mark.parametrize("name", [*OURS, "glibc"])
def test_memory_held_covers_what_was_asked_for(play, name):
    """glibc's is that of a process, as players are: one that ran tests has pages with room, which objects go to."""
    if name == "glibc":
        environment = os.environ | {"PYTHONPATH": os.pathsep.join([*sys.path, os.path.dirname(__file__)])}
        done = subprocess.run(
            [sys.executable, "-c", IN_A_FRESH_PROCESS],
            env=environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
    else:
        found = play(name).memory(512, 4000)
    assert found["asked"] == 4000 * 512
    assert 1.0 <= found["full"] / found["asked"] < 1.5
    assert 0 <= found["left"] <= found["full"] * 1.1


def test_overlapping_objects_are_told(play, monkeypatch):
    one = play("slub")
    monkeypatch.setattr(Player, "addresses", lambda self: np.arange(4000) * 256)
    with pytest.raises(StressError, match="slub handed out objects of 512 B that overlap"):
        one.memory(512, 4000)


# --- libraries


def test_a_library_that_is_not_there_is_said():
    program = Program("nomalloc", "", "malloc", library=Library(("libno-such-malloc.so.7",), "libnomalloc7"))
    with pytest.raises(
        NotInstalled, match="not installed: `apt install libnomalloc7`, or name its file with --library nomalloc=PATH"
    ):
        load_library(program)


def test_a_file_that_is_no_malloc_is_refused():
    program = Program("mine", "", "malloc", library=Library(("libm.so.6",), "libmine", "mi_malloc", "mi_free"))
    with pytest.raises(UsageError, match=r"--library mine=libm\.so\.6: .*mi_malloc"):
        load_library(program, "libm.so.6")


def test_a_library_with_its_own_names_is_found():
    library, _ = load_library(Program("libc", "", "malloc", library=Library(("libno-such.so", "libc.so.6"), "libc6")))
    assert isinstance(library, ctypes.CDLL)


SLOW = """
#include <stddef.h>
extern void *malloc(size_t);
extern void free(void *);
void *mi_malloc(size_t size) { for (volatile int i = 0; i < 3000; i++); return malloc(size); }
void mi_free(void *object) { free(object); }
"""


@needs_compiler
def test_the_whole_comparison_sees_a_slow_library(tmp_path):
    source, library = tmp_path / "slow.c", tmp_path / "libmimalloc.so.2"
    source.write_text(SLOW)
    subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-o", str(library), str(source)], check=True)
    plan = Plan(
        sizes=(64,), workloads=("pairs", "random"), programs=[PROGRAMS[n] for n in ("glibc", "linux-6.18", "mimalloc")],
        libraries={"mimalloc": str(library)}, cell_seconds=0.0, least_rounds=5, operations=1 << 12, slots=500,
    )  # fmt: skip
    ready(measure.targets(plan))
    found, _ = measure.measure_peers(plan, lambda text: None)
    assert [p.name for p in found.players] == ["glibc", "linux-6.18", "mimalloc"]
    assert found.players[2].file.endswith("libmimalloc.so.2")
    assert len(found.cells) == 2 * min(2, len(os.sched_getaffinity(0)))
    for cell in found.cells:
        slow = cell.ratios["mimalloc"]["glibc"]
        assert slow.pairs == 5 and slow.estimate > 2, "3,000 turns of a loop in each allocation: some 100 times as slow"
        assert cell.ratios["linux-6.18"]["mimalloc"].estimate < 1
    assert found.memory[0].full.keys() == {"glibc", "linux-6.18", "mimalloc"}
    judged = {goal.name.split(" (")[0]: goal for goal in goals.peer_goals(found)}
    assert judged["linux-6.18 / mimalloc: pairs, batches"].met
    assert judged["slub / glibc: batches"].met is None


# --- the crew


def test_a_missing_library_takes_its_player_away_only():
    with crew.Players([PROGRAMS["nothing"], PROGRAMS["mimalloc"]], {}) as players:
        both = [*players.members, *players.missing]
        assert {m.program.name for m in both} == {"nothing", "mimalloc"}
        for member in players.missing:
            assert "apt install libmimalloc2.0" in member.missing
        assert players.ask_all("unload") == [{}] * len(players.members)
    assert all(member.process.poll() is not None for member in both)


def test_a_player_that_dies_or_fails_ends_the_benchmark_in_words():
    with crew.Players([PROGRAMS["nothing"]], {}) as players:
        with pytest.raises(DamagedRun, match="was told to play before it was told what"):
            players.members[0].ask("play", "no such part")
        players.members[0].process.kill()
        with pytest.raises(DamagedRun, match="player of nothing died with status -9"):
            players.members[0].ask("unload")


def test_a_child_that_dies_is_told():
    with pytest.raises(StressError, match="died while its memory was measured"):
        player.in_child(lambda: os._exit(3))


# --- goals, tables


def cell(workload: str, size: int, cpus: int, **times: float) -> Cell:
    """A cell with these times; `linux` stands for linux-6.18."""
    named = {"linux-6.18" if name == "linux" else name: time for name, time in times.items()}

    def ratio(name: str, other: str) -> Ratio:
        value = named[name] / named[other]
        return Ratio(estimate=value, low=value, high=value, pairs=9)

    ratios = {
        name: {other: ratio(name, other) for other in goals.against(name) if other in named and other != name}
        for name in named
    }
    return Cell(workload=workload, size=size, cpus=cpus, objects=0, rounds=9, nanoseconds=named, ratios=ratios)


def peers(*cells, missing=()):
    names = list(dict.fromkeys(name for one in cells for name in one.nanoseconds))
    rows = [Row(name=n, about="") for n in names] + [
        Row(name=n, about="", missing=f"not installed: {n}") for n in missing
    ]
    held = [Held(size=64, asked=1 << 20, full={names[0]: 3 << 19}, left={names[0]: 1 << 19})]
    return Peers(baseline="glibc", players=rows, cells=list(cells), memory=held)


def test_a_promise_is_judged_by_its_worst_cell():
    found = peers(cell("batches", 8, 1, glibc=10.0, slub=5.0), cell("batches", 64, 2, glibc=10.0, slub=12.0))
    judged = next(goal for goal in goals.peer_goals(found) if goal.name.startswith("slub / glibc: batches"))
    assert (judged.value, judged.met) == (1.2, False)
    assert "64 B, 2 CPUs; within the limit in 1 of 2 cells" in judged.name


def test_the_best_is_the_best_of_the_mallocs_in_that_cell():
    found = peers(cell("random", 64, 1, glibc=10.0, jemalloc=5.0, slab=1.0, linux=5.5))
    judged = next(goal for goal in goals.peer_goals(found) if goal.name.startswith("linux-6.18 / the best"))
    assert judged.value == pytest.approx(1.1) and judged.met


def test_without_the_library_a_promise_says_why_it_is_not_judged():
    found = peers(cell("pairs", 64, 1, glibc=10.0, linux=5.0), missing=["mimalloc"])
    judged = next(goal for goal in goals.peer_goals(found) if goal.name.startswith("linux-6.18 / mimalloc"))
    assert (judged.met, judged.why) == (None, "not installed: mimalloc")


def test_tables_show_every_figure_and_who_is_missing():
    found = peers(cell("pairs", 64, 1, glibc=10.0, linux=5.0), missing=["mimalloc"])
    times, held, players = tables.tables(found)
    assert times.header == ("object size", "64 B") and "alloc+free pairs, one CPU" in times.title
    assert dict(times.rows) == {"glibc": "10.00", "linux-6.18": "5.00  0.50 [0.50, 0.50]", "mimalloc": "not installed"}
    assert held.rows[0] == ("glibc", "1.50  0.50") and held.rows[-1] == ("asked for", "1.0 MiB")
    assert players.rows[-1] == ("mimalloc", "", "not installed: mimalloc")


def test_the_page_draws_every_program_and_loads_nothing():
    from stress.bench.page import render, steps
    from stress.bench.result import Bench
    from stress.result.data import Trust

    found = peers(
        *(cell(w, size, 1, glibc=10.0, linux=size / 64, slub=7.0) for w in ("pairs", "random") for size in (64, 512))
    )
    bench = Bench(
        machine={"cpu": "<one>"}, design="", no_reference=None, differing_words=0,
        goals=goals.peer_goals(found), speed=[],
        scaling=None, peers=found, disturbances=[], trust=Trust(grade="good", findings=[]),
    )  # fmt: skip
    text = render(bench).decode()
    assert "&lt;one&gt;" in text and text.count("<script") == 1 and "https" not in text
    assert text.count('<svg viewBox="0 0 360') == 5  # two each, and the memory
    assert "linux-6.18, 512 B: 8" in text
    assert steps(0.9, 60) == [1, 2, 5, 10, 20, 50] and steps(1e-3, 1e5) == [10.0**p for p in range(-3, 6)]


# --- the command line


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--sizes", "48"], "--sizes: '48' is not one of 8, 16,"),
        (["--library", "malloc=/x"], "a NAME of mimalloc, jemalloc, tcmalloc"),
        (["--library", "mimalloc=/no/such/file"], "there is no such file"),
        (["--page", "/no/such/folder/page.html"], "a file in a folder that exists"),
        (["--no-peers", "--page", "page.html"], "leave --no-peers out"),
    ],
)
def test_usage_errors_name_the_option(options, said):
    from typer.testing import CliRunner

    from stress.commands.app import app

    done = CliRunner().invoke(app, ["bench", *options])
    assert done.exit_code == 2 and said in done.stderr and done.stdout == ""
