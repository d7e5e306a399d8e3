"""How far a campaign is: jobs, rate, time left, failures with their commands."""

from __future__ import annotations

from typing import Any, TextIO

import msgspec

from stress.campaign.outcome import KEPT
from stress.campaign.stopping import Stops
from stress.campaign.store import Campaign
from stress.campaign.study import Study
from stress.show import units

SCHEMA_VERSION = "1"
LATELY = 60.0  # seconds that a rate is of


class Failed(msgspec.Struct, frozen=True, kw_only=True):
    """A job without a result. command: plays the same without a campaign."""

    status: str
    text: str
    command: str
    key: str


class CampaignStatus(msgspec.Struct, frozen=True, kw_only=True):
    """counts: jobs by what became of them, and "all". left: to be played. needless: by an early stop.

    rate: jobs a minute in the last minute. seconds_left: at that rate. skipped: points that cannot be played, by why.
    working: a process is at work on it now. dashboard: Dask's, "" if there is none.
    hosts: machines that played jobs, by the number that the data set has.
    """

    schema_version: str = SCHEMA_VERSION
    name: str
    folder: str
    kind: str
    counts: dict[str, int]
    left: int
    needless: int
    working: bool
    rate: float | None
    seconds_left: float | None
    mean_seconds: float | None
    failures: list[Failed]
    skipped: dict[str, int]
    dashboard: str
    hosts: dict[int, dict[str, Any]]


def status(campaign: Campaign, study: Study, working: bool) -> CampaignStatus:
    """Read from the catalogue; a run may be under way."""
    from stress.campaign import figures, outcome

    counts = campaign.counts()
    left = counts["all"] - sum(number for name, number in counts.items() if name != "all")
    needless = 0
    stops = Stops(study)
    if stops and left:
        for kept in campaign.kept():
            stops.heard(kept.point, figures.figures(study.kind, outcome.decode(kept.body)))
        needless = sum(stops.needless(point) for _, _, _, point in campaign.to_do())
    came, seconds = campaign.lately(LATELY)
    rate = 60 * came / seconds if working and seconds > 1 else None
    return CampaignStatus(
        name=study.name,
        folder=str(campaign.folder),
        kind=study.kind,
        counts=counts,
        left=left - needless,
        needless=needless,
        working=working,
        rate=rate,
        seconds_left=60 * (left - needless) / rate if rate else None,
        mean_seconds=campaign.mean_seconds(),
        failures=[
            Failed(status=one.status, text=one.text, command=one.job.command(), key=one.key)
            for one in campaign.failures()
        ],
        skipped=campaign.skipped(),
        dashboard=campaign.fact("dashboard") if working else "",
        hosts=campaign.hosts(),
    )


def print_status(found: CampaignStatus, stream: TextIO, shown: int = 20) -> None:
    """A few lines."""
    done = sum(found.counts.get(name, 0) for name in KEPT)
    parts = [f"{done:,} of {units.plural(found.counts['all'], f'{found.kind} job')} done"]
    parts += [f"{n:,} {name}" for name, n in sorted(found.counts.items()) if name not in ("all", "done")]
    if found.needless:
        parts.append(f"{found.needless:,} needless after an early stop")
    parts.append(f"{found.left:,} to do")
    print(f"{found.name}: {', '.join(parts)}", file=stream)
    if found.mean_seconds is not None:
        print(f"a job took {units.seconds(found.mean_seconds)} on its worker", file=stream)
    if found.rate is not None:
        left = "" if found.seconds_left is None else f", about {units.seconds(found.seconds_left)} left"
        print(f"{units.per_unit(found.rate)} jobs a minute{left}", file=stream)
    if found.dashboard:
        print(f"dashboard: {found.dashboard}", file=stream)
    for why, points in list(found.skipped.items())[:shown]:
        print(f"left out: {units.plural(points, 'point')} that cannot be played: {why}", file=stream)
    for one in found.failures[:shown]:
        print(f"{one.status}: {one.text.strip().splitlines()[-1] if one.text.strip() else ''}", file=stream)
        print(f"  {one.command}", file=stream)
    if len(found.failures) > shown:
        print(f"and {len(found.failures) - shown:,} more (`campaign status {found.folder} --format json`)", file=stream)
    if found.failures:
        print(f"Next: python -m stress campaign retry {found.folder}", file=stream)
    elif found.left and not found.working:
        print(f"Next: python -m stress campaign resume {found.folder}", file=stream)
    elif not found.left:
        print(f"Next: python -m stress campaign report {found.folder}", file=stream)
