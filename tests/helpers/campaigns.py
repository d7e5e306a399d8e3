"""Campaigns without Dask: jobs are played here, one after the other, as a worker would."""

from __future__ import annotations

from pathlib import Path

import msgspec

from stress.campaign import outcome, plan, study, worker
from stress.campaign.identity import here
from stress.campaign.outcome import Outcome, Reply
from stress.campaign.store import Campaign

SMALL = """
name = "small"
kind = "serial"
[base]
scenario = "dead-free"
memory = "64M"
cpus = 2
[base.set]
slabs = 32
cgroups = 4
[cross]
design = ["linux-3.16", "v3"]
seed = { from = 1, count = 3 }
[keep]
partition = ["design"]
"""


def create(folder: Path, text: str = SMALL, store: Path | None = None) -> tuple[Campaign, study.Study]:
    """A campaign of a study's text, whose points can all be played."""
    wanted = study.parse(text.encode(), "study.toml")
    planned = [one for one in plan.plan(wanted, here()) if isinstance(one, plan.Planned)]
    made = Campaign.create(folder, store or folder.parent / "results.sqlite", text.encode(), planned, {})
    return made, wanted


def play(key: str, job: bytes, limit: float = 600.0, identity=None) -> Reply:
    """What a worker replies."""
    task = worker.Task(key=key, job=msgspec.Raw(job), limit=limit, identity=identity or here())
    return msgspec.json.decode(worker.run_job(msgspec.json.encode(task)), type=Reply)


def play_all(campaign: Campaign, kind: str) -> int:
    """Play what is left; how many that were."""
    replies = [play(key, job) for _, key, job, _ in campaign.to_do()]
    campaign.keep(replies, kind)
    return len(replies)


def reply(key: str, whole: dict, violations: list | None = None) -> Reply:
    """A made-up one."""
    found = Outcome(whole=whole, violations=violations or [])
    return Reply(key=key, status=found.status, body=outcome.encode(found), host={"name": "here"}, seconds=0.1)


def searched(found: str = "", preemptions: int = 0, schedules: int = 1) -> dict:
    """The whole of a search's result, as far as figures go."""
    of = {"kind": found, "text": "it", "preemptions": preemptions, "decisions": 3} if found else None
    end = {"states": 5, "bound": 1, "exhaustive": True, "complete": False, "limit": ""}
    return {"found": of, "schedules": schedules} | end
