"""The tapes of offline-storm.

A round of a tape: ROUND, WAIT for the events of the round before; then steps of one burst of
allocations, a burst of frees of surely live objects, and the frees that race with an offline of this
round (not timed); at its end the frees whose cgroup is surely offline.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from scenarios import tape, writer
from scenarios.workloads.offline_storm import OfflineStorm
from scenarios.workloads.offline_storm.cgroup_churn import Churn
from scenarios.workloads.offline_storm.kernel_caches import KERNEL_CACHES, KernelCache

REMOTE_ROUNDS = 2  # a remote free lies this many rounds after the allocation, or more
WITHIN_BITS = 20
RATE_BITS = 14
ODD = 0x9E3779B1  # spreads groups over the table of rates


@dataclasses.dataclass(frozen=True, slots=True)
class _Objects:
    """One CPU's objects, in the order of their allocation.

    `segment` places the free: (round - 1) * (2 * steps + 1) + 2 * step for surely live ones, one
    more for those that race, and last of the round, at 2 * steps, the surely dead. `within` orders
    the frees of a segment (0 to 2**WITHIN_BITS - 1).
    """

    cache: np.ndarray
    cgroup: np.ndarray
    freer: np.ndarray
    segment: np.ndarray
    within: np.ndarray


@dataclasses.dataclass(frozen=True, slots=True)
class _Shape:
    """Rounds 1..allocating allocate, all `rounds` free; step bounds cut a CPU's `objects` into bursts."""

    cpus: int
    objects: int
    rounds: int
    allocating: int
    steps: int

    @property
    def segments_per_round(self) -> int:
        return 2 * self.steps + 1

    @property
    def step_bounds(self) -> np.ndarray:
        return writer.deal(self.objects, self.allocating * self.steps)


def build(params: OfflineStorm, cpus: int, seed: int) -> tape.Workload:
    return build_of("offline-storm", params, [KERNEL_CACHES[name] for name in params.caches], cpus, seed)


def build_of(name: str, params: OfflineStorm, kinds: Sequence[KernelCache], cpus: int, seed: int) -> tape.Workload:
    """The storm on these caches, which may be others than a kernel's."""
    rng = writer.generator(seed)
    n, allocating = params.allocations(cpus), params.rounds - params.drain_rounds
    shape = _Shape(cpus, n, params.rounds, allocating, max(1, round(n / allocating / params.burst)))
    churn = Churn(params, cpus, allocating, rng)
    schedule = churn.schedule
    for r in range(1, params.rounds):
        schedule.barrier(r)
    objects = [_draw(params, kinds, shape, churn, cpu, rng) for cpu in range(cpus)]
    frees = _frees_of(objects, shape)
    slots, n_slots = _assign_slots(objects, frees, shape)
    flat = np.concatenate(slots)
    tapes = tuple(_write(objects[cpu], frees[cpu], slots[cpu], flat, shape, schedule) for cpu in range(cpus))
    return writer.workload(
        name,
        tuple(kind.spec for kind in kinds),
        schedule,
        tapes,
        slots=n_slots,
        cgroups=params.cgroups,
    )


def _draw(
    params: OfflineStorm,
    kinds: Sequence[KernelCache],
    shape: _Shape,
    churn: Churn,
    cpu: int,
    rng: np.random.Generator,
) -> _Objects:
    """Choose cache, cgroup, life and freeing CPU of all objects one CPU allocates."""
    n, steps, cpus = shape.objects, shape.steps, shape.cpus
    cumulated = np.cumsum([kind.weight for kind in kinds])
    cache = np.searchsorted(cumulated, rng.random(n) * cumulated[-1], side="right")
    step = np.repeat(np.arange(shape.allocating * steps), np.diff(shape.step_bounds))
    round_ = 1 + step // steps
    cgroup = churn.draw(cpu, round_, rng)

    # A Pareto (Lomax) life is an exponential one whose rate is Gamma-distributed. What a cgroup
    # allocates from one cache in one round shares its rate: files are created together and stay, or
    # buffers come and go, and so whole slabs live long or not at all.
    scale = params.lifetime * np.array([kind.life for kind in kinds]) / (2.0 ** (1.0 / params.tail) - 1.0)
    rates = np.maximum(rng.standard_gamma(params.tail, 1 << RATE_BITS), 1e-9)
    group = (round_ * (params.cgroups + 1) + cgroup) * len(kinds) + cache
    life = scale[cache] * rng.standard_exponential(n) / rates[(group * ODD) >> 20 & (1 << RATE_BITS) - 1]
    born = 1.0 + np.arange(n) * (shape.allocating / n)
    shares = np.array([params.remote_share if kind.remote_share is None else kind.remote_share for kind in kinds])
    remote = rng.random(n) < shares[cache] if cpus > 1 else np.zeros(n, dtype=bool)
    freer = np.full(n, cpu)
    freer[remote] = (cpu + rng.integers(1, cpus, np.count_nonzero(remote))) % cpus

    due = np.minimum(born + life, 2.0 * shape.rounds)
    due[remote] = np.maximum(due[remote], round_[remote] + REMOTE_ROUNDS + rng.random(np.count_nonzero(remote)))
    late = due >= shape.rounds + 1
    first = shape.allocating + REMOTE_ROUNDS
    due[late] = first + rng.random(np.count_nonzero(late)) * (shape.rounds + 1 - first)

    due_step = np.maximum(((due - 1.0) * steps).astype(np.int64), step)
    due_step = np.minimum(due_step, shape.rounds * steps - 1)
    due_round = 1 + due_step // steps
    offline = churn.offline_round[cgroup]
    dead, racing = offline < due_round, offline == due_round
    # A dead cgroup has no tasks left: reclaim and strangers free for it, on any CPU. (That is at least
    # REMOTE_ROUNDS after the allocation.)
    freer[dead] = rng.integers(cpus, size=np.count_nonzero(dead))
    place = np.where(dead, 2 * steps, 2 * (due_step % steps) + racing)
    segment = (due_round - 1) * shape.segments_per_round + place
    scaled = due * np.where(dead, 1, steps)
    within = ((scaled - np.floor(scaled)) * (1 << WITHIN_BITS)).astype(np.int64)
    return _Objects(cache, cgroup, freer, segment, within)


@dataclasses.dataclass(frozen=True, slots=True)
class _Frees:
    """What one CPU frees, in order: object `index` of CPU `home`; bounds[s] is where segment s begins."""

    home: np.ndarray
    index: np.ndarray
    bounds: np.ndarray


def _frees_of(objects: list[_Objects], shape: _Shape) -> list[_Frees]:
    """What each CPU frees. All objects are dealt at once: with many CPUs each frees a few of each other one's."""
    freer = np.concatenate([of_home.freer for of_home in objects])
    place = np.concatenate([of_home.segment << WITHIN_BITS | of_home.within for of_home in objects])
    dealt = _stable_order(freer)
    ends = np.cumsum(np.bincount(freer, minlength=shape.cpus))
    frees = []
    for mine in np.split(dealt, ends[:-1]):
        mine = mine[_stable_order(place[mine])]
        home, index = np.divmod(mine, shape.objects)
        frees.append(_Frees(home, index, _bounds(place[mine] >> WITHIN_BITS, shape)))
    return frees


def _stable_order(keys: np.ndarray) -> np.ndarray:
    """np.argsort(keys, kind="stable"), by sorting the keys with their places below them, which takes a tenth of the
    time. A storm has up to 2^17 segments and 2^26 objects: they fit a word together."""
    bits = max(1, int(len(keys) - 1).bit_length()) if len(keys) else 1
    if len(keys) and int(keys.max()) >> (63 - bits):
        return np.argsort(keys, kind="stable")
    return np.sort(keys << bits | np.arange(len(keys))) & (1 << bits) - 1


def _bounds(segment: np.ndarray, shape: _Shape) -> np.ndarray:
    """Where each segment begins among operations sorted by segment, and where the last one ends."""
    counts = np.bincount(segment, minlength=shape.rounds * shape.segments_per_round)
    return np.concatenate([[0], np.cumsum(counts)])


def _assign_slots(objects: list[_Objects], frees: list[_Frees], shape: _Shape) -> tuple[list[np.ndarray], int]:
    """(slot of each object by CPU, number of slots).

    A slot stays with the CPU that allocates into it. Freed there, it is taken again at once; freed
    elsewhere in round r, from round r + 2 on, when that free is surely over.
    """
    slots, sizes = [], []
    for cpu in range(shape.cpus):
        slot = np.empty(shape.objects, dtype=np.int64)
        pool = writer.SlotPool()
        local_mask = frees[cpu].home == cpu
        local = frees[cpu].index[local_mask]
        local_at = np.concatenate([[0], np.cumsum(local_mask)])[frees[cpu].bounds]
        away = np.flatnonzero(objects[cpu].freer != cpu)
        away_round = 1 + objects[cpu].segment[away] // shape.segments_per_round
        away = away[np.argsort(away_round, kind="stable")]
        away_at = np.searchsorted(np.sort(away_round), np.arange(shape.rounds + 2))
        steps = shape.step_bounds
        for r in range(1, shape.allocating + 1):
            if r > 2:
                pool.give(slot[away[away_at[r - 2] : away_at[r - 1]]])
            segment = (r - 1) * shape.segments_per_round
            for s in range(shape.steps):
                begin, end = steps[(r - 1) * shape.steps + s : (r - 1) * shape.steps + s + 2]
                slot[begin:end] = pool.take(end - begin)
                pool.give(slot[local[local_at[segment] : local_at[segment + 2]]])
                segment += 2
            pool.give(slot[local[local_at[segment] : local_at[segment + 1]]])
        slots.append(slot)
        sizes.append(pool.size)
    bases, total = writer.slot_bases(sizes)
    return [slot + base for slot, base in zip(slots, bases)], total


def _write(
    objects: _Objects, frees: _Frees, slots: np.ndarray, flat: np.ndarray, shape: _Shape, schedule: writer.Schedule
) -> np.ndarray:
    """Put one CPU's tape together. slots: of its objects; flat: of all CPUs'."""
    allocs = tape.op(tape.OP_ALLOC, a=objects.cache, b=objects.cgroup, c=slots)
    free_words = tape.op(tape.OP_FREE, c=flat[frees.home * shape.objects + frees.index])
    steps, at = shape.step_bounds, frees.bounds
    out = writer.Tape()
    segment = 0
    for r in range(1, shape.rounds + 1):
        out.round(r, schedule.done_by(r - 1))
        for s in range(shape.steps):
            if r <= shape.allocating:
                begin, end = steps[(r - 1) * shape.steps + s : (r - 1) * shape.steps + s + 2]
                out.section(tape.SECTION_ALLOC, allocs[begin:end])
            out.section(tape.SECTION_LIVE_FREE, free_words[at[segment] : at[segment + 1]])
            out.plain(free_words[at[segment + 1] : at[segment + 2]])
            segment += 2
        out.section(tape.SECTION_DEAD_FREE, free_words[at[segment] : at[segment + 1]])
        segment += 1
    return out.finish()
