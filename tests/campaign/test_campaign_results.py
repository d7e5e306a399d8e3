"""Results: written once, shared between studies, the same bytes whoever played them when; and read by others."""

import contextlib
import itertools
import json
import sqlite3
import subprocess
import sys

import pytest
from campaigns import SMALL, create, play_all, reply, searched
from cluster import data
from running import ROOT

from stress.campaign import jobs, plan, study, table
from stress.campaign.command import exit_status, write_data
from stress.campaign.identity import here
from stress.campaign.outcome import Reply
from stress.campaign.status import status
from stress.campaign.store import Campaign, FullDisk
from stress.process.errors import UsageError
from stress.result.data import Violation

SEARCHES = """
name = "searches"
kind = "explore"
[cross]
model = ["R1", "R12"]
preemptions = [0, 1, 2]
[[stop]]
over = "preemptions"
found = true
"""


def test_a_job_is_played_once_whatever_study_asks_for_it(tmp_path):
    first, wanted = create(tmp_path / "first")
    assert play_all(first, "serial") == 6
    again, _ = create(tmp_path / "again", SMALL.replace('"small"', '"again"').replace("count = 3", "count = 4"))
    assert play_all(again, "serial") == 2
    write_data(first, wanted)
    files = data(tmp_path / "first")
    assert set(files) == {"design=linux-3.16/part.parquet", "design=v3/part.parquet"}
    with contextlib.closing(Campaign.open(tmp_path / "first")) as reopened:
        assert next(reopened.to_do(), None) is None
        write_data(reopened, wanted)
    assert data(tmp_path / "first") == files


def test_the_command_of_a_job_repeats_its_figures(tmp_path):
    """As the report prints it: `run --serial` of the same job has the same counts."""
    campaign, wanted = create(tmp_path / "one", SMALL.replace("count = 3", "count = 1"))
    play_all(campaign, "serial")
    for row in table.rows(campaign, wanted):
        words = row.job.command().split()[1:]
        done = subprocess.run(
            [sys.executable, *words, "--quiet", "--format", "json", "--out", str(tmp_path / "results")],
            cwd=ROOT, capture_output=True, text=True, check=True,
        )  # fmt: skip
        design = json.loads(done.stdout)["designs"][row.point["design"]]
        assert (row.figures["dead_left"], row.figures["pages_left"], row.figures["frees"]) == (
            design["dead_caches"]["left"], design["pages_left"], design["frees"],
        )  # fmt: skip
        assert row.figures["list_lock_per_dead_free"] == design["per_dead_free"]["list_lock"]


def test_others_read_the_data_set(tmp_path):
    """In one line each; a design that is edited has a plus in its name, which is one in a folder's too."""
    duckdb = pytest.importorskip("duckdb")
    polars = pytest.importorskip("polars")
    text = SMALL.replace('"v3"]', '"v3", "v1+F_ALLCPU"]').replace("count = 3", "count = 1")
    campaign, wanted = create(tmp_path / "one", text)
    whole = {"designs": {"d": {
        "dead_caches": {"offlined": 4, "destroyed": 1, "left": 3},
        "lifetime_seconds": {"p50": 1, "p99": None, "max": 2},
        **dict.fromkeys(("slabs_left", "pages_left", "cgroups_pinned", "frees", "dead_frees", "allocations"), 7),
        "failed_allocations": 0, "per_live_free": None, "per_dead_free": {"list_lock": 0.5},
    }}, "ratios": {}, "baseline": "d"}  # fmt: skip
    campaign.keep([reply(key, whole) for _, key, _, _ in campaign.to_do()], "serial")
    write_data(campaign, wanted)
    rows = duckdb.sql(f"select design, dead_left, lifetime_p50_ms from '{tmp_path}/one/data/**/*.parquet' order by all")
    assert rows.fetchall() == [("linux-3.16", 3, 1000.0), ("v1+F_ALLCPU", 3, 1000.0), ("v3", 3, 1000.0)]
    read = polars.read_parquet(tmp_path / "one" / "data")
    assert sorted(read["design"].to_list()) == ["linux-3.16", "v1+F_ALLCPU", "v3"] and set(read["dead_left"]) == {3}


def test_early_stops_do_not_depend_on_the_order_of_results(tmp_path):
    """R12 is found with one preemption: the search with two is not shown, although one came back, whenever it did."""
    shown = set()
    for number, order in enumerate(itertools.permutations(range(6))):
        if number % 180:
            continue
        campaign, wanted = create(tmp_path / f"{number}", SEARCHES, store=tmp_path / f"{number}.sqlite")
        todo = list(campaign.to_do())
        for at in order:
            _, key, job, point = todo[at]
            of = jobs.decode(job)
            found = "crash" if of.model == "R12" and of.preemptions else ""
            campaign.keep([reply(key, searched(found, 1))], "explore")
        write_data(campaign, wanted)
        shown.add(tuple(data(tmp_path / f"{number}").values()))
        rows = table.rows(campaign, wanted)
        assert [(row.point["model"], row.point["preemptions"]) for row in rows] == [
            ("R1", 0), ("R12", 0), ("R1", 1), ("R12", 1), ("R1", 2),
        ]  # fmt: skip
    assert len(shown) == 1


def test_needless_jobs_are_neither_played_nor_missed(tmp_path):
    campaign, wanted = create(tmp_path / "one", SEARCHES)
    for _, key, _, point in list(campaign.to_do()):
        if not (point["model"] == "R12" and point["preemptions"] == 2):
            campaign.keep([reply(key, searched("crash" if point["model"] == "R12" else "", 1))], "explore")
    found = status(campaign, wanted, working=False)
    assert (found.left, found.needless) == (0, 1) and exit_status(found.counts, found.left) == 0


def test_failures_are_tried_again_and_violations_are_results(tmp_path):
    campaign, wanted = create(tmp_path / "one", SEARCHES)
    todo = list(campaign.to_do())
    violation = Violation(invariant="slab counts", design="v3", description="slab 7 has -1 objects")
    campaign.keep(
        [reply(todo[0][1], searched(), [violation]), Reply(key=todo[1][1], status="lost", text="gone")], "explore"
    )
    found = status(campaign, wanted, working=False)
    assert (found.counts["violated"], found.counts["lost"], found.left) == (1, 1, 4)
    assert [(one.status, one.command.split()[3]) for one in found.failures] == [("lost", "explore")]
    assert exit_status(found.counts, 0) == 1 and exit_status({"all": 2, "lost": 1, "done": 1}, 0) == 3
    assert campaign.forget_failures() == 1 and len(list(campaign.to_do())) == 5
    row = table.rows(campaign, wanted)[0]
    assert row.status == "violated"


def test_a_full_disk_ends_it_with_what_is_done(tmp_path):
    campaign, wanted = create(tmp_path / "one", SEARCHES)
    todo = list(campaign.to_do())
    campaign.keep([reply(todo[0][1], searched())], "explore")
    pages = campaign._db.execute("PRAGMA store.page_count").fetchone()[0]
    campaign._db.execute(f"PRAGMA store.max_page_count = {pages}")  # as if there were no room for more
    large = searched() | {"noise": [hash((n, "x")) for n in range(20_000)]}
    with pytest.raises(FullDisk, match="campaign resume"):
        campaign.keep([reply(todo[1][1], searched()), reply(todo[2][1], large)], "explore")
    campaign.close()
    with contextlib.closing(Campaign.open(tmp_path / "one")) as again:
        assert again.counts() == {"all": 6, "done": 1}, "a transaction is there as a whole or not at all"
        again.keep([reply(todo[2][1], large)], "explore")
        assert again.counts()["done"] == 2


def test_a_campaign_is_there_as_a_whole_or_not_at_all(tmp_path):
    """Killed while it was made, it is none, and can be made again."""

    class Killed(BaseException):
        pass

    def dying(planned):
        yield planned[0]
        raise Killed

    made, wanted = create(tmp_path / "other")
    planned = list(plan.plan(wanted, here()))
    with pytest.raises(Killed):
        Campaign.create(tmp_path / "one", tmp_path / "results.sqlite", SMALL.encode(), dying(planned), {})
    with pytest.raises(UsageError, match="there is no campaign"):
        Campaign.open(tmp_path / "one")
    create(tmp_path / "one")[0].close()
    with pytest.raises(UsageError, match="has a campaign already"):
        create(tmp_path / "one")


def test_a_result_is_written_once(tmp_path):
    campaign, _ = create(tmp_path / "one", SEARCHES)
    key = next(campaign.to_do())[1]
    campaign.keep([reply(key, searched("first", 1))], "explore")
    campaign.keep([reply(key, searched("second", 1))], "explore")
    with sqlite3.connect(tmp_path / "results.sqlite") as db:
        assert db.execute("SELECT count(*) FROM results").fetchone() == (1,)
    assert b"first" in next(campaign.kept()).body


def test_columns_that_would_collide_have_names_of_their_own():
    text = 'name="a"\nkind="simulate"\n[cross]\noperations=[1000,2000]\n[cross.set]\noperations=[64,128]\n'
    wanted = study.parse(text.encode(), "s")
    assert table.column_names(wanted) == {"operations": "axis_operations", "set.operations": "axis_set_operations"}
