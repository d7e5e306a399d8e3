"""A study's results as a table: a row per job that counts, with its axes and its figures."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from stress.campaign import figures, outcome
from stress.campaign.figures import Figure
from stress.campaign.jobs import Job
from stress.campaign.stopping import Point, Stops
from stress.campaign.store import Campaign
from stress.campaign.study import Study


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One job. counts: only where they were asked for. host: number of the machine, of a timed job."""

    number: int
    key: str
    job: Job
    point: Point
    status: str
    figures: dict[str, Figure]
    counts: dict[str, int] = {}
    host: int = 0


def rows(campaign: Campaign, study: Study, counts: bool = False) -> list[Row]:
    """In the study's order. Results beyond an early stop are left out: whether there are any is chance."""
    stops = Stops(study)
    found = list(_all(campaign, study, counts))
    for row in found:
        stops.heard(row.point, row.figures)
    return [row for row in found if not stops.needless(row.point)]


def _all(campaign: Campaign, study: Study, counts: bool) -> Iterator[Row]:
    for kept in campaign.kept():
        of = outcome.decode(kept.body)
        yield Row(
            number=kept.number,
            key=kept.key,
            job=kept.job,
            point=kept.point,
            status=kept.status,
            figures=figures.figures(study.kind, of),
            counts=figures.counts(study.kind, of) if counts else {},
            host=kept.host,
        )


def column_names(study: Study) -> dict[str, str]:
    """The column of each axis: `set.object_size` is `object_size`, unless that is a figure or another axis."""
    taken = {"key", "status", "host", *figures.columns_of(study.kind)}
    names: dict[str, str] = {}
    for axis in study.axes:
        short, whole = axis.removeprefix("set."), axis.replace(".", "_")
        names[axis] = next(
            name
            for name in (short, f"axis_{short}", f"axis_{whole}")
            if name not in taken and name not in names.values()
        )
    return names
