"""How near virtual time comes to this machine: `python -m stress.simulate.validate --machine PROFILE`.

The same tapes are played natively, a design alone at a time, and simulated with a profile that `python -m stress
machine` wrote on the same machine. A cell is a kind of section of a scenario under a design: ns of a CPU that an
operation takes. What was measured can be kept in a file (`--measure`), and simulated elsewhere (`--measured`).
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import itertools
import multiprocessing
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import msgspec

from scenarios.tape import Workload
from stress.engine import virtual_main
from stress.play.compiled import ready
from stress.play.options import DEFAULT_MEMORY
from stress.play.virtual import features_of
from stress.play.workload import build_workload
from stress.process.ending import live_with_parent
from stress.profiles.load import dump, load
from stress.profiles.profile import Profile
from stress.simulate import fitting
from stress.simulate.cells import again, compare, table, told
from stress.simulate.exact import numbers
from stress.simulate.fitting import Play
from stress.simulate.native import DESIGNS, Measured, measure
from stress.simulate.point import Job, play_point

TLB_ENTRIES = 2048  # of a core's second level, AMD since Zen 2 (software optimization guides)
MAILBOX_WAKEUP = 60_000_000  # ps: the kworker looks for work by itself, every NAP to LONGEST_NAP


def simulated(
    workload: Workload, allocator: str, profile: Profile, seed: int, design: str, step: str = "access"
) -> dict[str, float]:
    """The same in virtual time.

    Natively an interrupt is a word in a mailbox, and none are turned off; a grace period is over when all have
    answered; pages come from their zone, under its lock; spin locks are words that are tested and set; and the arena
    lies in small pages, unlike a kernel's linear map. Where workers have all CPUs, the kworker runs on theirs, and
    sleeps until it has its answers.
    """
    crowded = workload.cpus >= profile.topology.cpus
    mailbox = dataclasses.replace(
        profile.ps, irq=0, interrupt=0, ipi=profile.ps.complex, wakeup=min(profile.ps.wakeup, MAILBOX_WAKEUP)
    )
    answers = MAILBOX_WAKEUP if crowded else 2 * profile.ps.complex
    locks = profile.kernel.locks if step == "operation" else "unfair"
    kernel = dataclasses.replace(profile.kernel, grace_period=answers, locks=locks)
    cache = dataclasses.replace(profile.cache, tlb_entries=TLB_ENTRIES)
    profile = dataclasses.replace(profile, ps=mailbox, kernel=kernel, cache=cache)
    job = Job(
        design,
        allocator,
        workload.cpus,
        1,
        profile,
        DEFAULT_MEMORY,
        seed,
        0.0,
        workload,
        warm=True,
        page_lists=False,
        step=step,
        crowded=crowded,
    )
    return play_point(job, lambda share: None).ns


@contextlib.contextmanager
def playing(jobs: int, step: str, seed: int) -> Iterator[Play]:
    """What plays measured runs in virtual time with a profile, so many at a time."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max(1, jobs), context, live_with_parent, (os.getpid(),)) as pool:

        def play(runs: Sequence[Measured], profile: Profile) -> Iterable[dict[str, float]]:
            return pool.map(_of_run, runs, *map(itertools.repeat, (profile, seed, step)))

        yield play


def _telling(play: Play) -> Play:
    """The same, and says each time that it begins."""
    number = itertools.count(1)

    def telling(runs: Sequence[Measured], profile: Profile) -> Iterable[dict[str, float]]:
        print(f"fitting prices: {next(number)} of at most {fitting.PLAYS}", file=sys.stderr)
        return play(runs, profile)

    return telling


def _of_run(one: Measured, profile: Profile, seed: int, step: str) -> dict[str, float]:
    workload = build_workload(one.scenario, one.sizes, one.cpus, seed)[0]
    return simulated(workload, one.allocator, profile, seed, one.design, step)


def main(arguments: list[str]) -> int:
    from scenarios.registry import SCENARIOS

    parser = argparse.ArgumentParser(prog="python -m stress.simulate.validate", description=__doc__)
    parser.add_argument("--machine", metavar="FILE", help="profile that `machine --out` wrote on the same machine")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each native run")
    parser.add_argument("--rounds", type=int, default=1, help="all native runs, so many times; medians count")
    parser.add_argument("--scenario", action="append", choices=list(SCENARIOS), help="repeatable; all without")
    parser.add_argument("--allocator", action="append", choices=list(DESIGNS), help="repeatable; all without")
    parser.add_argument("--cpus", type=numbers, default=(1, 2), metavar="N,N", help="1,2 without")
    parser.add_argument("--step", choices=("access", "operation", "exact"), default="access")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)), help="simulations at a time")
    parser.add_argument("--measure", type=Path, metavar="FILE", help="only play natively; what is measured goes there")
    parser.add_argument("--measured", type=Path, metavar="FILE", help="take what was measured from there")
    parser.add_argument(
        "--fit",
        type=Path,
        metavar="FILE",
        help="fit prices first, see stress.simulate.fitting; the profile goes there",
    )
    parser.add_argument("--out", type=Path, help="write the cells there as JSON too")
    chosen = parser.parse_args(arguments)
    scenarios, allocators = chosen.scenario or list(SCENARIOS), chosen.allocator or list(DESIGNS)
    if chosen.measured:
        try:
            native = msgspec.json.decode(chosen.measured.read_bytes(), type=list[Measured])
        except (OSError, msgspec.MsgspecError) as error:
            parser.error(f"--measured {chosen.measured}: {error}; it is a file that --measure wrote")
    else:
        native = []
        for played, native in measure(scenarios, allocators, chosen.cpus, chosen.seconds, chosen.rounds):
            print(played, file=sys.stderr)
            if chosen.measure:
                chosen.measure.write_bytes(msgspec.json.encode(native))
    if chosen.measure:
        return 0
    if not chosen.machine:
        parser.error("--machine says whose profile it is: python -m stress machine --out FILE writes this one's")
    profile = load(chosen.machine)
    wanted = [one for one in native if one.scenario in scenarios and one.allocator in allocators]
    wanted = [one for one in wanted if one.cpus in chosen.cpus]
    pairs = {(one.allocator, one.design) for one in wanted}
    ready([(virtual_main, allocator, features_of(design, allocator)) for allocator, design in pairs])
    cells = []
    with playing(chosen.jobs, chosen.step, seed=1) as play:
        if chosen.fit:
            profile = fitting.fit(profile, native, _telling(play))
            chosen.fit.write_text(dump(profile))
        for cell in compare(wanted, play(wanted, profile)):
            cells.append(cell)
            print(f"{cell.scenario} {cell.allocator} {cell.design} {cell.cpus} {cell.kind}", file=sys.stderr)
    print(table(cells), end="\n\n")
    fresh = [cell for cell in cells if cell.scenario not in fitting.SCENARIOS]
    for line in (*told(fresh, "Scenarios that nothing was fitted to"), *told(again(wanted), "Measured again")):
        print(line)
    if chosen.out:
        chosen.out.write_bytes(msgspec.json.encode(cells))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        print("stopped; what --measure has written is kept", file=sys.stderr)
        sys.exit(3)
