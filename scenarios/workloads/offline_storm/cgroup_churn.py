"""Which cgroup is online when, how popular it is, and on which CPUs its tasks run.

A number of places are ordered by popularity; at any time each holds one cgroup. At random rounds the
cgroup of a place is taken offline and a new one, created the round before, takes over. So the
number of cgroups online and the shape of their popularity stay the same while the cgroups change.
"""

from __future__ import annotations

import numpy as np

from scenarios import writer
from scenarios.workloads.offline_storm import OfflineStorm

NEVER = np.iinfo(np.int64).max


class Churn:
    """The life of all cgroups of a workload.

    schedule: their events. offline_round[g]: the round of g's offline event, NEVER if g stays online
    (as the root, 0, does); g is allocated for in earlier rounds only.
    """

    def __init__(self, params: OfflineStorm, cpus: int, rounds: int, rng: np.random.Generator) -> None:
        """`rounds` is the number of the last round that allocates; it is params' to leave enough of them."""
        places = params.active
        self.schedule = writer.Schedule()
        self.offline_round = np.full(params.cgroups + 1, NEVER)
        self._occupant = np.zeros((places, rounds + 1), dtype=np.int64)
        bounds = writer.deal(params.cgroups, places)
        for place in range(places):
            cgroups = range(bounds[place] + 1, bounds[place + 1] + 1)
            changes = np.sort(rng.choice(rounds - 1, size=len(cgroups) - 1, replace=False)) + 2
            starts = [1, *changes.tolist(), rounds + 1]
            for g, start, end in zip(cgroups, starts, starts[1:]):
                self.schedule.create(g, start - 1)
                self._occupant[place, start:end] = g
                if end <= rounds:
                    self.schedule.offline(g, end)
                    self.offline_round[g] = end
        weight = 1.0 / np.arange(1, places + 1) ** params.zipf
        weight /= weight.sum()
        confined = rng.random(places) < params.cpuset_share
        home = rng.integers(cpus, size=places)
        self._root_share = params.root_share
        self._cumulated = np.empty((cpus, places))
        for cpu in range(cpus):
            self._cumulated[cpu] = np.cumsum(np.where(confined & (home != cpu), 0.0, weight))

    def draw(self, cpu: int, round_: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """A cgroup that is online for each allocation of a CPU, given their rounds; 0 is the root."""
        cumulated = self._cumulated[cpu]
        if cumulated[-1] == 0.0:
            return np.zeros(len(round_), dtype=np.int64)
        place = np.searchsorted(cumulated, rng.random(len(round_)) * cumulated[-1], side="right")
        charged = rng.random(len(round_)) >= self._root_share
        return np.where(charged, self._occupant[place, round_], 0)
