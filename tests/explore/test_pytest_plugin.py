"""The pytest plugin: a planted race is found and replayed, a correct program passes, users who do not use it do not
notice.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from until import PATIENCE

# Before any pytest within this one forgets what it has imported: NumPy can be imported once a process.
import stress.explore.testing
from shm.atomics import fetch_add, read_once
from stress.explore.testing import Explorer, Options
from stress.process.errors import UsageError

pytest_plugins = ["pytester"]
ROOT = Path(stress.explore.testing.__file__).parents[2]

UNHURRIED = f"pytest.mark.stress_explore(seconds={PATIENCE})"  # on a slow machine the default of 10 s may be short
SPARE = (
    "-p",
    "no:cacheprovider",
    "-p",
    "no:unraisableexception",
    "-p",
    "no:hypothesispytest",
)  # collects garbage for seconds

COUNTER = """
import pytest
from shm.atomics import fetch_add, read_once, write_once

def increment(m, count):
    {increment}

@pytest.mark.stress_explore({options})
def test_counter(stress_explorer):
    count = stress_explorer.word("count")
    for cpu in range(2):
        stress_explorer.task(lambda m: increment(m, count), cpu=cpu)

    @stress_explorer.check
    def all_are_counted(read):
        assert read(count) == 2

    found = stress_explorer.run()
    assert found.exhaustive or {options!r}

def test_beside_it():
    pass

pytestmark = {unhurried}
"""
RACY = "write_once(m, count, read_once(m, count) + 1)"
RIGHT = "fetch_add(m, count, 1)"
BUFFERED = """
import pytest
from shm.atomics import read_once, write_once, smp_mb

@pytest.mark.parametrize(
    "model", [pytest.param(m, marks=pytest.mark.stress_explore(memory_model=m)) for m in ("sc", "tso")]
)
@pytest.mark.parametrize("barrier", [smp_mb, lambda m: None], ids=["mb", "none"])
@pytest.mark.stress_explore(preemptions=9, seconds=0)
def test_store_buffering(stress_explorer, model, barrier):
    x, y, seen = stress_explorer.word("x"), stress_explorer.word("y"), {}

    def program(mine, other):
        def run(m):
            write_once(m, mine, 1)
            barrier(m)
            seen[mine] = read_once(m, other)
        return run

    stress_explorer.begin(seen.clear)
    stress_explorer.task(program(x, y))
    stress_explorer.task(program(y, x))

    @stress_explorer.check
    def one_sees_the_other(read):
        assert any(seen.values())

    assert stress_explorer.run().complete
"""


@pytest.fixture
def run(pytester, monkeypatch):
    """Pytest with this plugin and no other that is installed, each of which it would import anew every time."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")

    def with_plugin(*arguments):
        return pytester.runpytest_inprocess("-p", "stress.pytest_plugin", *SPARE, *arguments)

    return with_plugin


def counter(pytester, increment: str, options: str = "") -> None:
    pytester.makepyfile(test_it=COUNTER.format(increment=increment, options=options, unhurried=UNHURRIED))


def schedule_of(output: str) -> str:
    return re.search(r"schedule written to (\S+\.json)", output)[1]


def trace_of(output: str) -> str:
    return output[output.index("\ncpu0 ") : output.index("\n** ")]


@pytest.mark.parametrize("options", ["", "strategy='random', seed=3", "strategy='pct', schedules=900"])
def test_a_race_is_found_written_and_replayed(pytester, run, options):
    counter(pytester, RACY, options)
    done = run()
    done.assert_outcomes(failed=1, passed=1)
    text = done.stdout.str()
    assert "assertion: assert 1 == 2" in text and "1 preemptions" in text
    assert (
        "store count 0 -> 1" in text
        and "increment test_it.py:5" in text
        and "is preempted" in text
        and "where 1 = read(" in text
    )
    path = schedule_of(text)
    assert Path(path).parent.name.startswith("test_counter")
    page = Path(path).with_name("stress.html")
    assert f"page written to {page}" in text and "write_once(m, count, " in page.read_text()
    traces = set()
    for replay in (["--stress-replay", path], [f"--stress-replay={path}"]):
        again = run(*replay)
        again.assert_outcomes(failed=1, deselected=1)
        again.stdout.fnmatch_lines(["*replayed: it ends as it did*"])
        traces.add(trace_of(again.stdout.str()))
    assert traces == {trace_of(text)}


def test_a_correct_program_passes_as_exhaustive(pytester, run):
    counter(pytester, RIGHT)
    done = run("-rP")
    done.assert_outcomes(passed=2)
    done.stdout.fnmatch_lines(["*nothing found; exhaustive: no schedule was left out"])


def test_memory_models_and_parametrised_tests(pytester, run):
    pytester.makepyfile(test_it=BUFFERED)
    done = run()
    done.assert_outcomes(passed=3, failed=1)
    text = done.stdout.str()
    assert "test_store_buffering[none-tso]" in text and "flush" in text
    run("--stress-replay", schedule_of(text)).assert_outcomes(failed=1, deselected=3)


def test_a_limit_is_no_pass_unless_asked_for(pytester, run):
    counter(pytester, RIGHT, "schedules=1")
    done = run()
    done.assert_outcomes(failed=1, passed=1)
    done.stdout.fnmatch_lines(["*the limit of 1 schedules was reached, so this is no pass*incomplete='pass'*"])
    counter(pytester, RIGHT, "schedules=1, incomplete='pass'")
    run().assert_outcomes(passed=2)


def test_a_lock_and_a_deadlock(pytester, run):
    pytester.makepyfile(
        test_it="""
        import pytest
        from shm.atomics import read_once, write_once
        from shm.locks import LIST_LOCK, spin_lock, spin_unlock

        @pytest.mark.stress_explore(seconds=0)
        @pytest.mark.parametrize("crossed", [False, True])
        def test_locks(stress_explorer, crossed):
            a, b, n = stress_explorer.lock("a"), stress_explorer.lock("b"), stress_explorer.word("n")

            def program(first, second):
                def run(m):
                    spin_lock(m, first, LIST_LOCK)
                    spin_lock(m, second, LIST_LOCK)
                    write_once(m, n, read_once(m, n) + 1)
                    spin_unlock(m, second)
                    spin_unlock(m, first)
                return run

            stress_explorer.task(program(a, b), name="one")
            stress_explorer.task(program(b, a) if crossed else program(a, b), name="two")
            stress_explorer.check(lambda read: _two(read(n)))
            assert stress_explorer.run().complete

        def _two(n):
            assert n == 2
        """
    )
    done = run()
    done.assert_outcomes(passed=1, failed=1)
    assert re.search(r"deadlock: nothing can run and (one|two) has not ended \(.* waits for [ab]", done.stdout.str())


def test_a_world_of_the_allocators_is_explored(pytester, run):
    pytester.makepyfile(
        test_it="""
        import pytest
        from stress.explore.races import MODELS

        @pytest.mark.stress_explore(seconds=0)
        def test_r12(stress_explorer):
            stress_explorer.run(MODELS["R12"].build("v1", memory_model="sc", cpus=1))
        """
    )
    done = run()
    done.assert_outcomes(failed=1)
    assert "cache 1 cpu0 .partial" in done.stdout.str()
    run("--stress-replay", schedule_of(done.stdout.str())).assert_outcomes(failed=1)


@pytest.mark.parametrize(
    "options, said",
    [
        ({"preemption": 2}, "no option 'preemption'"),
        ({"strategy": "bfs"}, "strategy='bfs' is none of 'dfs'"),
        ({"memory_model": "arm"}, "memory_model='arm' is none of"),
        ({"preemptions": "x"}, "Expected `int`"),
        ({"preemptions": -1}, "preemptions=-1 is out of range"),
        ({"strategy": "pct", "seconds": 0}, "strategy='pct' never ends by itself"),
    ],
)
def test_wrong_options(options, said):
    with pytest.raises(UsageError, match=said):
        Options.of([((), options)])


def test_a_wrong_option_is_an_error_of_the_test(pytester, run):
    counter(pytester, RIGHT, "2")
    done = run()
    done.assert_outcomes(errors=1, passed=1)
    done.stdout.fnmatch_lines(["@pytest.mark.stress_explore: takes options by name, such as preemptions=2, not 2"])


def test_the_nearest_marker_wins():
    assert Options.of([((), {"seed": 2, "preemptions": 1}), ((), {"seed": 3})]) == Options(seed=3, preemptions=1)


def test_tasks_that_are_never_run_are_an_error(pytester, run):
    pytester.makepyfile(test_it="def test_it(stress_explorer):\n    stress_explorer.task(print)\n")
    done = run()
    done.assert_outcomes(passed=1, errors=1)
    done.stdout.fnmatch_lines(["*end it with stress_explorer.run()*"])


def test_what_cannot_be_replayed(pytester, run):
    counter(pytester, RACY)
    path = schedule_of(run().stdout.str())
    assert "cannot be read" in run("--stress-replay", "nothing.json").stderr.str()
    Path("x.json").write_text("{}")
    assert "is not a schedule" in run("--stress-replay", "x.json").stderr.str()
    counter(pytester, RIGHT)
    run(f"--stress-replay={path}").stdout.fnmatch_lines(["*no longer fits: the sources have changed*"])
    Path("test_it.py").write_text("def test_another(): pass\n")
    done = run("--stress-replay", path)
    assert done.ret == 4 and "not among the tests collected" in done.stderr.str()
    from typer.testing import CliRunner

    from stress.commands.app import app

    assert "pytest --stress-replay" in CliRunner().invoke(app, ["replay", path]).stderr


@pytest.mark.parametrize(
    "changed, said",
    [
        ({"history": "0" * 16}, "the test does something that is not in words"),
        ({"history": "0" * 16, "python": "cpython 3.99"}, "it was written under cpython 3.99, this is "),
        ({"text": "assert 1 == 3", "python": "cpython 3.99"}, "replayed: it ends as it did"),
    ],
)
def test_a_replay_blames_chance_only_under_the_same_python(pytester, run, changed, said):
    counter(pytester, RACY)
    path = Path(schedule_of(run().stdout.str()))
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))
    done = run(f"--stress-replay={path}")
    done.assert_outcomes(failed=1, deselected=1)
    done.stdout.fnmatch_lines([f"*{said}*"])


def test_the_example_of_the_tutorial(pytester, run):
    example = (ROOT / "docs" / "tutorial.md").read_text().split("```python\n")[1].split("```")[
        0
    ] + f"\nimport pytest\npytestmark = {UNHURRIED}\n"
    pytester.makepyfile(test_it=example)
    done = run()
    done.assert_outcomes(failed=1)
    assert "take_slot test_it.py:" in done.stdout.str() and "taker 0" in done.stdout.str()
    pytester.makepyfile(
        test_it=example.replace(
            "slot = read", "slot = -1\n    while cmpxchg(m, next_free, slot, slot + 1) != slot:\n        slot = read"
        ).replace("    write_once(m, next_free, slot + 1)", "    ")
    )
    run().assert_outcomes(passed=1)


def test_with_xdist_and_groups(pytester, run, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.delenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD")
    counter(pytester, RACY)
    source = (
        Path("test_it.py")
        .read_text()
        .replace("@pytest.mark.stress", "@pytest.mark.xdist_group('one')\n@pytest.mark.stress")
    )
    Path("test_it.py").write_text(source)
    done = run("-n", "1", "--dist", "loadgroup")
    done.assert_outcomes(failed=1, passed=1)
    run("-n", "0", "--stress-replay", schedule_of(done.stdout.str())).assert_outcomes(failed=1, deselected=1)


def test_loading_it_imports_nothing_of_the_laboratory():
    code = (
        "import sys, stress.pytest_plugin; print(*sorted({m.partition('.')[0] for m in sys.modules}"
        " & {'numpy', 'numba', 'greenlet', 'msgspec', 'shm', 'allocators'}),"
        " *[m for m in sys.modules if m.startswith('stress.')])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["stress.pytest_plugin"]


def test_a_test_may_have_hundreds_of_cpus(pytester, run):
    pytester.makepyfile(f"""
import pytest
from shm.atomics import fetch_add, this_cpu

@pytest.mark.stress_explore(strategy="random", schedules=3, seconds={PATIENCE})
@pytest.mark.parametrize("last", [8, 100, 511])
def test_far_apart(stress_explorer, last):
    before, seen, after = (stress_explorer.word(name) for name in ("before", "seen", "after"))
    for cpu in (0, last):
        stress_explorer.task(lambda m: fetch_add(m, seen, 1000 + this_cpu(m)), cpu=cpu)

    @stress_explorer.check
    def both_have_come(read):
        assert (read(before), read(seen), read(after)) == (0, 2000 + last, 0)

    stress_explorer.run()

def test_beyond(stress_explorer):
    with pytest.raises(ValueError, match="there are CPUs 0 to 511"):
        stress_explorer.task(print, cpu=512)
""")
    run().assert_outcomes(passed=4)


def wait_for_one(m, word):
    while read_once(m, word) != 1:
        pass


def count_on(m, word):
    while fetch_add(m, word, 1) >= 0:
        pass


@pytest.mark.parametrize("tasks", [(wait_for_one,), (wait_for_one,) * 2, (count_on, wait_for_one), (count_on,) * 2])
def test_a_wait_without_a_pause_is_found_and_never_waited_for(tmp_path, monkeypatch, tasks):
    """Whether others touch the word or not: the first task waits before the others have begun."""
    monkeypatch.setattr(stress.explore.testing._Space, "most", 500)
    explorer = Explorer(Options(seconds=PATIENCE), test="t", source=Path(__file__), folder=tmp_path, report=print)
    word = explorer.word("word")
    for cpu, run in enumerate(tasks):
        explorer.task(lambda m, run=run: run(m, word), cpu=cpu)
    with pytest.raises(pytest.fail.Exception, match="endless loop.* a wait without cpu_relax"):
        explorer.run()
