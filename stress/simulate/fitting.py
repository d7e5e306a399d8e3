"""Prices that no probe finds alone, fitted to how some scenarios run on the machine; the others tell how good they are.

What a probe measures is a price by itself: a load that waits for the one before, a line in huge pages. Among the
allocators' instructions an access that hits costs less, and one that misses may miss the TLB too.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from stress.profiles.profile import Profile, out_of_order
from stress.simulate.native import Measured

Play = Callable[[Sequence[Measured], Profile], Iterable[dict[str, float]]]

# What is looked at, which says nothing of how near the rest comes. remote-dead takes pages that nobody has used since
# the boot: without it nothing tells what a translation costs.
SCENARIOS = ("pairs", "remote-free", "dead-free", "remote-dead", "offline-storm")
# On one CPU time is linear in these prices: no one waits for anybody.
ALONE = ("access", "this_cpu", "locked", "l2", "llc", "tlb", "branch")
MORE = 1_000  # ps: how much dearer a price is made, to see how often it is paid
DEAREST = 8.0  # times what the profile says, or that part of it
UNKNOWN_PS = 20_000  # what a price that the profile has as 0 is taken for
PRIOR = 0.02  # nearness to the measured price counts too, so little that it decides where the cells do not
USUAL = 0.1  # the logarithm by which a good cell is off; what is off by far more counts less than by its square
OVERLAPS = (1.5, 2.0, 3.0, 4.0, 6.0)
WAYS = np.linspace(0.5, 1.5, 21)  # of what a line of another core costs; played are two of them, the others lie between
PLAYED = (0.6, 1.0)
PLAYS = 1 + len(ALONE) + len(OVERLAPS) * len(PLAYED)  # of what is looked at, in a fit


def _priced(profile: Profile, **ps: int) -> Profile:
    return dataclasses.replace(profile, ps=dataclasses.replace(profile.ps, **ps))


def _fitted(native: Sequence[Measured], cpus: int) -> list[Measured]:
    return [one for one in native if one.scenario in SCENARIOS and one.cpus == cpus]


def _cells(runs: Sequence[Measured], profile: Profile, play: Play) -> np.ndarray:
    """ns of all their cells, simulated."""
    return np.array([found[kind] for one, found in zip(runs, play(runs, profile), strict=True) for kind in one.ns])


def alone(profile: Profile, native: Sequence[Measured], play: Play) -> Profile:
    """The profile with the prices of ALONE as one CPU pays them: the logarithms by which cells are off are least.

    A line of the own last level cache costs no more than one of another core, which a probe finds well.
    Its sources say which prices ended where the fit may go no further: something is missing that they stand for.
    """
    from scipy.optimize import least_squares

    runs = _fitted(native, 1)
    real = np.array([ns for one in runs for ns in one.ns.values()])
    known = np.array([getattr(profile.ps, name) or UNKNOWN_PS for name in ALONE])
    profile = _priced(profile, **dict(zip(ALONE, known.tolist())))
    base = _cells(runs, profile, play)
    slopes = [_cells(runs, _priced(profile, **{name: ps + MORE}), play) - base for name, ps in zip(ALONE, known)]
    paid = np.array(slopes).T / MORE

    def off(logs: np.ndarray) -> np.ndarray:
        cells = base + paid @ (known * (np.exp(logs) - 1))
        return np.append(np.log(np.maximum(cells, 0.01) / real), PRIOR * logs)

    far = np.log(DEAREST)
    dearest = np.full(len(ALONE), far)
    llc = ALONE.index("llc")
    dearest[llc] = min(far, np.log(max(profile.ps.complex, known[llc] + MORE) / known[llc]))
    best = least_squares(off, np.zeros(len(ALONE)), bounds=(-far, dearest), loss="soft_l1", f_scale=USUAL)
    ends = [name for name, log in zip(ALONE, best.x) if abs(log) > 0.99 * far]
    if ends:
        said = f"{', '.join(ends)}: as far from what was measured as a fit may go, {DEAREST:g} times"
        profile = dataclasses.replace(profile, sources=(*profile.sources, said))
    return _ordered(profile, {name: int(ps) for name, ps in zip(ALONE, known * np.exp(best.x))})


def _ordered(profile: Profile, found: dict[str, int]) -> Profile:
    """With these prices, and what comes from further away no cheaper than what is nearer."""
    prices = dataclasses.asdict(profile.ps) | found
    for dearer, cheaper in out_of_order(prices):
        prices[dearer] = prices[cheaper]
    return _priced(profile, **prices)


def together(profile: Profile, native: Sequence[Measured], play: Play) -> Profile:
    """The profile with how many misses overlap, and how dear lines of other cores are, as two CPUs find them.

    What overlaps is cheaper by that, so prices that one CPU pays are kept as they come out; but for a line of the last
    level cache, which costs no more than one of another core: one CPU has a say in how dear that is.
    """
    runs = [*_fitted(native, 1), *_fitted(native, 2)]
    real = np.array([ns for one in runs for ns in one.ns.values()])

    def changed(overlap: float, way: float) -> Profile:
        part = overlap / profile.cache.overlap
        kept = {name: int(getattr(profile.ps, name) * part) for name in ("memory_near", "memory_far")}
        lines = {name: int(getattr(profile.ps, name) * way) for name in ("complex", "node", "remote")}
        kept["llc"] = min(int(profile.ps.llc * part), lines["complex"])
        cache = dataclasses.replace(profile.cache, overlap=overlap)
        return _ordered(dataclasses.replace(profile, cache=cache), kept | lines)

    best = (np.inf, 0.0, 0.0)
    for overlap in OVERLAPS:
        less, more = (_cells(runs, changed(overlap, way), play) for way in PLAYED)
        for way in WAYS:
            cells = less + (more - less) * (way - PLAYED[0]) / (PLAYED[1] - PLAYED[0])
            off = np.abs(np.log(np.maximum(cells, 0.01) / real)).sum()
            best = min(best, (float(off), overlap, float(way)))
    return changed(*best[1:])


def fit(profile: Profile, native: Sequence[Measured], play: Play) -> Profile:
    """Both, for as many CPUs as were measured; its sources say what was fitted to what."""
    found = alone(profile, native, play)
    if _fitted(native, 2):
        found = together(found, native, play)
    said = (
        f"{', '.join(ALONE)}, overlap, and what lines of other cores cost: fitted to {', '.join(SCENARIOS)} "
        "as they run here (stress.simulate.validate --fit)"
    )
    return dataclasses.replace(found, sources=(said, *profile.sources))
