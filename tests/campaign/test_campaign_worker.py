"""What a worker does with a job that cannot be, that takes too long, or that is another version's."""

import asyncio
import contextlib
import os
import subprocess
import sys
from types import SimpleNamespace

import msgspec
import pytest
from campaigns import play
from running import ROOT

from stress.campaign import engine, jobs, worker
from stress.campaign.identity import Identity, here
from stress.campaign.jobs import Explore, Serial, Simulate, Timed
from stress.plugins import registered
from stress.process.errors import DamagedRun, UsageError

STORM = {"operations": "200000", "cgroups": "24", "active": "8", "rounds": "24", "burst": "64"}
HANGS = """
import sys, time
from campaigns import play
from stress.campaign import play as playing, worker
worker.GRACE = 0.2
playing.warm = lambda job: None
playing.play = lambda job, limit: time.sleep(600)
print(play("hangs", sys.argv[1].encode(), limit=0.1).status)
"""


def test_another_version_is_refused_by_name():
    other = Identity(sources="0" * 16, versions=here().versions | {"numba": "0.1"})
    with pytest.raises(worker.Refused) as error:
        play("k", jobs.encode(Serial()), identity=other)
    assert f"sources {here().sources} and not {'0' * 16}" in str(error.value) and "and not 0.1" in str(error.value)


def test_a_worker_that_dies_before_it_answers_stops_nobody():
    """What one says that cannot play does."""
    ours = msgspec.json.encode(here())
    other = msgspec.json.encode(Identity(sources="0" * 16, versions={}))

    def asked(**answers: object) -> None:
        client = SimpleNamespace(
            wait_for_workers=lambda *_, **__: None,
            scheduler_info=lambda **_: {"workers": answers},
            run=lambda function, plugins, on_error: answers,
        )
        engine.check_workers(client, here(), False, [])

    asked(gone=OSError("Timed out trying to connect"), there=ours)
    for wrong, said in (
        (ModuleNotFoundError("No module named 'stress'"), "worker b lacks slab-stress"),
        (other, "worker b has"),
    ):
        with pytest.raises(UsageError, match=said):
            asked(a=ours, b=wrong)
    with pytest.raises(ZeroDivisionError):
        asked(a=ZeroDivisionError())


def test_plugins_are_loaded_and_are_part_of_who_a_worker_is(tmp_path):
    file = tmp_path / "none.py"
    file.write_text("SWITCHES = ()\n")
    before = here()
    try:
        task = worker.Task(key="k", job=msgspec.Raw(b"{}"), limit=1.0, identity=before, plugins=[str(file)])
        with pytest.raises(worker.Refused, match="this worker has plugin none.py [0-9a-f]{8} and not none"):
            worker.run_job(msgspec.json.encode(task))
        assert list(here().plugins) == ["none.py"] and before.differs(here()).startswith("plugin none.py not at all")
    finally:
        registered.take_out(registered.LOADED[str(file)])
    assert here() == before


def test_a_job_ends_at_its_limit():
    reply = play("k", jobs.encode(Serial(set=STORM, memory="64M", cpus=2)), limit=1e-6)
    assert (reply.status, reply.body) == ("hung", b"") and "limit" in reply.text


def test_a_search_ends_at_its_limit():
    reply = play("k", jobs.encode(Explore(model="offline-vs-free", preemptions=9)), limit=0.05)
    assert reply.status == "hung" and "schedules" in reply.text


def test_a_job_that_does_not_look_at_its_limit_is_ended_and_marked(tmp_path):
    """Its worker goes, as if killed; the next one that is given the job says where it hung, and plays it no more."""
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT}/tests/helpers", "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-c", HANGS, jobs.encode(Serial()).decode()]
    first, second = (subprocess.run(command, env=environment, capture_output=True, text=True) for _ in range(2))
    assert first.returncode == 1 and first.stdout == "", first.stderr
    assert (second.returncode, second.stdout) == (0, "hung\n"), second.stderr
    assert not list(tmp_path.rglob("hangs"))


def test_a_job_without_room_fails_with_what_the_command_would_say():
    reply = play("k", jobs.encode(Serial(set=STORM, memory="1M", cpus=2)))
    assert reply.status == "failed" and "out of memory" in reply.text


def test_a_search_is_the_same_bytes_again():
    job = jobs.encode(Explore(model="R12", design="v1"))
    first, again = play("k", job), play("k", job)
    assert first.status == "done" and first.body == again.body
    assert msgspec.json.decode(first.body)["whole"]["found"]["kind"]


@pytest.mark.parametrize(
    "job",
    [
        Serial(
            set={"cgroups": "64"},
            fail=["shrink-alloc"],
            time_scale=2.0,
            settle=1.5,
            nodes=2,
            memoryless=1,
            sheaf_capacity=8,
        ),
        Simulate(set={"batch": "64"}, nodes=2, design="v3"),
        Explore(model="R12", design="v1", preemptions=1),
        Timed(seconds=1.5, launches=5, scenario="free-burst", design="linux-7.0:sheaf_capacity=64,barn_sheaves=20"),
    ],
    ids=lambda job: job.kind,
)
def test_commands_are_what_the_command_line_takes(job, monkeypatch):
    """Each is parsed by the program itself, up to the moment at which it would play."""
    import shlex

    from typer.testing import CliRunner

    from stress.commands.app import app

    class Reached(Exception):
        pass

    def reached(*_, **__):
        raise Reached

    monkeypatch.setattr("stress.commands.run.run_job", reached)
    monkeypatch.setattr("stress.simulate.command.main", reached)
    monkeypatch.setattr("stress.explore.command.in_parallel", reached)
    done = CliRunner().invoke(app, shlex.split(job.command())[3:])
    assert isinstance(done.exception, Reached), done.output


@pytest.mark.parametrize("lives", (True, False))
def test_workers_that_die_while_they_start_are_started_again(lives):
    """Dask itself begins only those anew that had started. When all die, waiting ends before its time is over."""
    status = pytest.importorskip("distributed.core").Status

    def begin() -> None:
        begun.append(2 - len(workers))
        for number in set(range(2)) - set(workers):
            workers[number] = SimpleNamespace(status=status.running if number or lives and begun[1:] else status.failed)

    async def end(names):
        for name in names:
            del workers[name]

    def wait(count: int, timeout: float) -> None:
        if any(one.status != status.running for one in workers.values()):
            raise TimeoutError

    workers: dict[int, SimpleNamespace] = {}
    begun: list[int] = []
    cluster = SimpleNamespace(workers=workers, sync=lambda do, *args: asyncio.run(do(*args)), scale_down=end)
    cluster.scale = lambda count: begin()
    begin()
    dies = contextlib.nullcontext() if lives else pytest.raises(DamagedRun, match="die while they start")
    with dies:
        engine._wait_for(2, cluster, SimpleNamespace(wait_for_workers=wait))
    assert begun == [2, 1] if lives else set(begun[1:]) == {1}
