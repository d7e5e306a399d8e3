"""A pytest plugin: a test of code written on `shm` is explored, in every interleaving, by the fixture
`stress_explorer`.

    @pytest.mark.stress_explore(preemptions=2, memory_model="tso")
    def test_counter(stress_explorer):
        count = stress_explorer.word("count")
        ...

Options of the marker: see `stress.explore.testing.Options`. `pytest --stress-replay FILE` runs one test
under one schedule. Loaded by every pytest of an environment with this package, so nothing of the
laboratory is imported before a test asks for the fixture.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from stress.explore.testing import Explorer

MARKER = "stress_explore"
REPLAY = "--stress-replay"
_KEPT: pytest.StashKey = pytest.StashKey()  # the schedule to be replayed


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--stress-replay FILE`."""
    group = parser.getgroup("stress", "interleavings of code written on shm")
    group.addoption(
        REPLAY, metavar="FILE", default=None, help="Run only the test that wrote this schedule, and only under it."
    )


def pytest_configure(config: pytest.Config) -> None:
    """The marker; and a schedule that is to be replayed is read, so that a wrong file is said at once."""
    config.addinivalue_line(
        "markers",
        f"{MARKER}(strategy='dfs', preemptions=3, memory_model='sc', seconds=10, schedules=0, seed=1, features=(), "
        "incomplete=None): "
        "how the fixture stress_explorer explores this test.",
    )
    name = config.getoption(REPLAY)
    if name is None:
        return
    from stress.explore import testing
    from stress.process.errors import UsageError

    try:
        kept = testing.read(config.invocation_params.dir / name)
    except UsageError as error:
        raise pytest.UsageError(f"{REPLAY}: {error}") from None
    config.stash[_KEPT] = kept


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A replay is of one test."""
    kept = config.stash.get(_KEPT, None)
    if kept is None:
        return
    from stress.explore import testing

    chosen = [item for item in items if testing.is_test(kept, _name_of(item))]
    if not chosen:
        raise pytest.UsageError(
            f"{REPLAY}: the schedule is of {testing.test_of(kept)}, which is not among the tests collected; name its "
            "file, or explore again"
        )
    config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
    items[:] = chosen


def _name_of(item: pytest.Item) -> str:
    """The test's id; pytest-xdist appends a test's group to it."""
    for mark in item.iter_markers("xdist_group"):
        group = mark.args[0] if mark.args else mark.kwargs.get("name", "default")
        return item.nodeid.removesuffix(f"@{group}")
    return item.nodeid


@pytest.fixture
def stress_explorer(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Explorer]:
    """Words and tasks of a test, and `run()`, which explores their interleavings (see docs/tutorial.md)."""
    from stress.explore.testing import Explorer, Options
    from stress.process.errors import UsageError

    options, wrong = Options(), ""
    try:
        options = Options.of([(mark.args, mark.kwargs) for mark in reversed(list(request.node.iter_markers(MARKER)))])
    except UsageError as error:
        wrong = str(error)
    if wrong:
        pytest.fail(f"@pytest.mark.{MARKER}: {wrong}", pytrace=False)
    explorer = Explorer(
        options,
        test=_name_of(request.node),
        source=request.node.path,
        folder=tmp_path,
        report=lambda text: request.node.add_report_section("call", "interleavings", text),
        kept=request.config.stash.get(_KEPT, None),
    )
    yield explorer
    if explorer.forgotten:
        pytest.fail("the test has tasks that were never run: end it with stress_explorer.run()", pytrace=False)
