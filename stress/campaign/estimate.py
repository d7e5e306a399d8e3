"""What a study will take, before anything of it runs: from results of its kind in the store, else from operations."""

from __future__ import annotations

from pathlib import Path

import msgspec

from stress.campaign import jobs
from stress.campaign.plan import Checker, Planned, Skipped
from stress.campaign.store import have, seconds_by_kind
from stress.campaign.study import Study

# Without any results: what two cores of an EPYC played, and bytes of a result on disk.
_OPERATIONS_PER_SECOND = {"serial": 7e5, "simulate": 1.5e5}
_SECONDS_EACH = {"serial": 0.015, "simulate": 0.1, "explore": 5.0, "timed": 8.0}
_BYTES = {"serial": 2500.0, "simulate": 6000.0, "explore": 2000.0, "timed": 12000.0}
_ROW_BYTES = 700.0  # of a job in the catalogue and in Parquet


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """jobs: that there are. done: of which results are in the store. seconds: of one worker, for those that are not.

    measured: results that it rests on, 0 for a guess.
    """

    jobs: int
    done: int
    seconds: float
    bytes: float
    measured: int
    skipped: dict[str, int]


class Estimator:
    """Takes a plan as it comes, and keeps no job of it."""

    def __init__(self, study: Study) -> None:
        self._study = study
        self._checker = Checker(study.kind)
        self._keys: list[str] = []
        self._seconds = 0.0
        self.skipped: dict[str, int] = {}

    def take(self, one: Planned | Skipped) -> None:
        if isinstance(one, Skipped):
            self.skipped[one.why] = self.skipped.get(one.why, 0) + 1
            return
        self._keys.append(one.key)
        job, kind = one.job, self._study.kind
        self._seconds += _SECONDS_EACH[kind]
        if isinstance(job, jobs.Timed):
            self._seconds += job.seconds
        elif not isinstance(job, jobs.Explore):
            self._seconds += self._checker.parameters(job).planned_operations(job.cpus) / _OPERATIONS_PER_SECOND[kind]

    def estimate(self, store: Path) -> Estimate:
        """store: of the results."""
        known = seconds_by_kind(store, self._study.kind)
        total, done = len(self._keys), have(store, self._keys)
        share = (total - done) / total if total else 0.0
        seconds, each = self._seconds * share, _BYTES[self._study.kind]
        if known is not None:
            each = known[1]
            if self._study.kind == "explore":
                seconds = known[0] * total * share
        return Estimate(
            jobs=total, done=done, seconds=seconds, bytes=(total - done) * each + total * _ROW_BYTES,
            measured=known[2] if known is not None and self._study.kind == "explore" else 0, skipped=self.skipped,
        )  # fmt: skip
