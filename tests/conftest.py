"""What all tests share: a folder of compiled code apart from the user's own; a seed; recordings; published schemas."""

import functools
import gc
import json
import os
import random
import signal
import sys

import pytest
import typer.testing
from recordings import pytest_terminal_summary, recorded
from until import SEED

__all__ = ["pytest_terminal_summary", "recorded"]

LONGEST = "test_two_engines.py"
LONG = {
    "test_one_allocator_compiled.py",
    "test_two_engines.py",
    "test_exact.py",
    "test_traces_recorded.py",
    "test_claims_real.py",
    "test_run_serial.py",
    "test_pages.py",
}

# Four fifths of what `CliRunner.invoke` does is to build all commands anew.
if hasattr(typer.testing, "_get_command"):
    typer.testing._get_command = functools.cache(typer.testing._get_command)


def pytest_configure(config: pytest.Config) -> None:
    """All workers of a session, and copies of the suite, compile each program once: file locks keep them apart.

    Set before anything is imported that asks for the folder, and inherited by the processes that tests start.

    Bytecode likewise, even where PYTHONDONTWRITEBYTECODE is set, as in many a container: some hundred processes import
    the same, and those of pytest rewrite all of Hypothesis's modules and ours, which takes seconds.

    A shell starts what it puts into the background with SIGINT ignored; tests send it.
    """
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False
    same_examples()
    os.environ.setdefault(
        SEED, str(random.SystemRandom().randrange(1 << 32))
    )  # before workers are started: one for all
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if getattr(config, "cache", None) is not None:
        os.environ.setdefault("SLAB_STRESS_CACHE", str(config.cache.mkdir("compiled")))
    share_rewriting(config)


def share_rewriting(config: pytest.Config) -> None:
    """Each worker begins to collect at another place of the suite, and finds what others have rewritten by then.

    Otherwise all of them rewrite all tests at the same time, four seconds each, where there is no bytecode yet.
    """
    own = getattr(config, "workerinput", None)
    if own is not None and config.args == config.getini("testpaths"):
        files = sorted(str(path) for folder in config.args for path in (config.rootpath / folder).rglob("test_*.py"))
        begin = len(files) * int(own["workerid"].removeprefix("gw")) // own["workercount"]
        config.args = files[begin:] + files[:begin]


def pytest_collection_finish() -> None:
    """Garbage is looked for in what tests make, not in what all share, and seldom: it was 3 % of the suite's time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 10, 10)


def same_examples() -> None:
    """Everywhere and every time, however slow the machine is."""
    import hypothesis  # when bytecode is kept

    hypothesis.settings.register_profile(
        "suite",
        derandomize=True,
        database=None,
        deadline=None,
        print_blob=True,
        suppress_health_check=[hypothesis.HealthCheck.too_slow],
    )
    hypothesis.settings.load_profile("suite")


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """Half as many again as there are CPUs: a fifth of the suite waits, for processes that it started or killed."""
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None
    cpus = len(os.sched_getaffinity(0))
    return cpus + (cpus + 1) // 2


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Large groups first, then long tests, so that no worker ends alone with one; and xdist's groups.

    "compiles" begins, with programs that count, which others need: who has compiled one has half of the next. Beside
    it goes the explorer, which compiles nothing, and then "cpus", tests that want all CPUs: sooner they would compile
    the same programs in processes that have nothing of the next.

    xdist 3.8 tells its scheduler of groups by a suffix of node ids, which it can no longer set since pytest 9.2:
    tests of a group then run anywhere, two that want all CPUs at the same time.
    """

    def group_of(item: pytest.Item) -> str:
        marker = item.get_closest_marker("xdist_group")
        return marker.args[0] if marker is not None else ""

    first = ("compiles", "explore", "cpus")

    def turn_of(item: pytest.Item) -> tuple[int, bool, bool, str]:
        what = group_of(item) or item.path.parent.name
        turn = first.index(what) if what in first else len(first)
        return turn, item.path.name != LONGEST, item.path.name not in LONG, str(item.path)

    items.sort(key=turn_of)
    if config.getoption("loadgroup", False):
        for item in items:
            group = group_of(item)
            if group and hasattr(item, "_id") and "@" not in item.nodeid.rpartition("]")[2]:
                item._id = type(item._id).parse(f"{item.nodeid}@{group}")


def pytest_report_header() -> str:
    return f"{SEED}={os.environ[SEED]}"


@pytest.fixture
def interpreted(monkeypatch):
    """Serial play that compiles nothing: for designs that are not worth it. Those that other tests have compiled are
    played by that, which leaves the same words.
    """
    from stress.engine import counting_main, serial_seeded
    from stress.engine.serial import play_seeded
    from stress.play import serial

    def seeded(m, run, bursts):
        play = serial_seeded if counting_main.is_cached(m.kernel, m.features) else play_seeded
        return play(m, run, bursts)

    monkeypatch.setattr(serial, "ready", lambda *_: 0.0)
    monkeypatch.setattr(serial, "serial_seeded", seeded)


@pytest.fixture(scope="session")
def valid():
    """The data of a command's JSON, by the name of the published schema that it must keep to."""
    import jsonschema

    from stress import schema

    def check(name: str, data: str | bytes) -> dict:
        published = json.loads(schema.path(name).read_text())
        jsonschema.Draft202012Validator.check_schema(published)
        decoded = json.loads(data)
        jsonschema.validate(decoded, published)
        return decoded

    return check
