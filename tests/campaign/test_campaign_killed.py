"""A study on a scheduler and two workers that are processes, with SIGKILLs: nothing is lost or played twice."""

import sqlite3

import pytest
from campaigns import SMALL, create, play_all
from cluster import Cluster, client, data, end, wait_until
from until import PATIENCE, until

from stress.campaign.command import write_data
from stress.campaign.store import Campaign

pytest.importorskip("distributed")
pytest.importorskip("pyarrow")
JOBS = 80


def finished(folder) -> dict[str, float]:
    """When each result came, by key."""
    try:
        with sqlite3.connect(f"file:{folder.parent / 'results.sqlite'}?mode=ro", uri=True, timeout=PATIENCE) as db:
            return dict(db.execute("SELECT key, at FROM results"))
    except sqlite3.OperationalError:  # there is none yet
        return {}


@pytest.mark.xdist_group("cpus")
def test_killed_worker_client_and_scheduler_lose_nothing(tmp_path):
    """The data set of the disturbed study is that of jobs that were played here, one after the other, byte for byte."""
    text = SMALL.replace("count = 3", f"count = {JOBS // 2}")
    study = tmp_path / "study.toml"
    study.write_text(text)
    folder = tmp_path / "killed" / "run"
    folder.parent.mkdir()
    with Cluster(tmp_path, 2) as cluster:
        at = ("--scheduler", cluster.address, "--quiet")
        with client(tmp_path, "run", str(study), "--out", str(folder), *at) as process:
            wait_until(lambda: len(finished(folder)) > JOBS // 6, process, cluster)
            cluster.kill("worker-0")
            wait_until(lambda: len(finished(folder)) > JOBS // 4, process, cluster)
            end(process)
        before = finished(folder)
        assert JOBS // 4 < len(before) < JOBS
        with client(tmp_path, "resume", str(folder), *at) as process:
            wait_until(lambda: len(finished(folder)) > len(before), process, cluster)
            cluster.kill("scheduler")
            assert process.wait() == 3 and "the scheduler is gone" in (tmp_path / "client.log").read_text()
        cluster.tend()
        with client(tmp_path, "resume", str(folder), *at) as process:
            until(lambda: process.poll() is not None, cluster.tend)
            assert process.returncode == 0, (tmp_path / "client.log").read_text()
        after = finished(folder)
    assert len(after) == JOBS and {key: after[key] for key in before} == before, "what was done was not done again"
    calm, wanted = create(tmp_path / "calm" / "run", text)
    assert play_all(calm, "serial") == JOBS
    write_data(calm, wanted)
    assert data(folder) == data(tmp_path / "calm" / "run")
    assert not Campaign.open(folder).failures()
