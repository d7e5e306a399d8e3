"""One search in several processes finds what it finds in one."""

from __future__ import annotations

import multiprocessing

import pytest

from shm.atomics import fetch_add, read_once, write_once
from stress.explore.exploring import Request, explore
from stress.explore.search import search as searching
from stress.explore.search.depth_first import DepthFirst, Seen
from stress.explore.search.search import Budget, search
from stress.explore.search.shards import SharedSeen
from stress.explore.space.space import Space
from stress.explore.space.violation import Violation
from stress.explore.world.bare import bare_space


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    """Shard from the first execution on."""
    monkeypatch.setattr(searching, "ALONE", 0.0)
    yield
    assert not multiprocessing.active_children()


def count(m, b):
    for word in range(3):
        fetch_add(m, b + word, 1)


def lose(m, b):
    for _ in range(3):
        fetch_add(m, b + 1, 1)
    write_once(m, b, read_once(m, b) + 1)


def lost(space: Space) -> None:
    if space.mem[-16] != 3:
        raise Violation("leak", f"an update is lost: {space.mem[-16]}")


def test_no_state_is_lost_when_work_is_handed_over(monkeypatch, tmp_path):
    """Without sleep sets, whose states depend on the order, all searches enter the same ones; perhaps two at once."""
    plain = DepthFirst._come_from
    monkeypatch.setattr(DepthFirst, "_come_from", lambda self, node: (plain(self, node)[0], {}))
    path = tmp_path / "entered"

    def entered(programs, bound: int, jobs: int) -> set[bytes]:
        path.unlink(missing_ok=True)
        with path.open("ab", buffering=0) as file, monkeypatch.context() as patch:
            for table in (Seen, SharedSeen):
                enter = table.enter

                def noted(self, key, asleep, left, enter=enter):
                    new = enter(self, key, asleep, left)
                    if new:
                        file.write(key.to_bytes(8, "little", signed=True))
                    return new

                patch.setattr(table, "enter", noted)
            search(bare_space(programs)[0], bound=bound, jobs=jobs)
        data = path.read_bytes()
        return {data[at : at + 8] for at in range(0, len(data), 8)}

    for programs in ([count] * 3, [mixed] * 3, [mixed, count], [count, mixed, lose]):
        for bound in (1, 2):
            alone = entered(programs, bound, 1)
            assert len(alone) > 10 and entered(programs, bound, 3) == alone


def mixed(m, b):
    write_once(m, b, read_once(m, b + 1) + 1)
    fetch_add(m, b + 1, 1)
    read_once(m, b)


@pytest.mark.parametrize("tso", [False, True])
def test_the_same_final_states(tso, tmp_path):
    """Many more than one process sees before it gives work away."""

    def ends(jobs: int) -> set[bytes]:
        path = tmp_path / str(jobs)
        with path.open("ab", buffering=0) as file:
            space, _ = bare_space(
                [mixed] * 3, tso=tso, end=lambda space: file.write(space.key(None).to_bytes(8, "little", signed=True))
            )
            found = search(space, bound=2, jobs=jobs)
            assert found.exhaustive and found.bound == 2
        data = path.read_bytes()
        return {data[at : at + 8] for at in range(0, len(data), 8)}

    alone = ends(1)
    assert len(alone) > 100 and ends(3) == alone


def test_what_is_wrong_is_found_with_the_fewest_preemptions():
    found = search(bare_space([lose] * 3, end=lost)[0], jobs=3)
    assert found.outcome.kind == "leak" and found.outcome.preemptions == 1


def test_a_limit_is_a_limit():
    found = search(bare_space([count] * 4)[0], budget=Budget(0, 200), jobs=2)
    assert found.outcome is None and not found.exhaustive and found.limit == "200 schedules" and found.schedules >= 200


def test_a_process_that_fails_is_not_a_pass():
    def fail(m, b):
        if multiprocessing.parent_process() is not None:
            raise ValueError("planted")
        count(m, b)

    with pytest.raises(RuntimeError, match="planted"):
        search(bare_space([fail] * 3)[0], jobs=2)


def test_a_model_of_the_allocators():
    request = Request("R7", "slub", "v3+F_NRP", "sc", 1, preemptions=2, seconds=0)
    alone, together = explore(request), explore(request._replace(jobs=2))
    assert (
        alone.outcome is None
        and together.outcome is None
        and together.found.exhaustive
        and together.found.bound == alone.found.bound
    )
    assert explore(request._replace(design="v3+F_NRP-F_OBO", jobs=2)).outcome.kind == "leak"


def test_a_table_without_room_forgets_and_never_skips():
    seen = SharedSeen(Seen())
    assert seen.enter(5, 0, 1) and not seen.enter(5, 0, 1) and not seen.enter(5, 1, 0)
    assert seen.enter(5, 0, 2) and not seen.enter(5, 0, 1)
    for i in range(80):
        seen.enter(5 | i + 1 << 40, 0, 1)  # all want the same place
    assert seen.enter(5 | 79 << 40, 0, 1) and seen.enter(5 | 79 << 40, 0, 1)
