"""The benchmark from end to end."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from allocators.catalogue import DEFAULT
from allocators.designs import DESIGNS
from stress.bench import programs
from stress.bench.peers.goals import peer_goals
from stress.bench.peers.measure import Plan, measure_peers, targets
from stress.bench.reference import NoCompiler, compile_reference
from stress.bench.result import Bench, goals, judge
from stress.bench.scaling import STATS, measure_scaling
from stress.bench.speed import differing_words, measure_speed
from stress.engine import counting_main, cpu_main
from stress.play.compiled import ready
from stress.process import host
from stress.process.errors import DamagedRun

DESIGN = "linux-3.16"
KERNEL = DEFAULT
HELP_RUNS = 7


def measure(progress: Callable[..., None], plan: Plan | None = None) -> Bench:
    """Everything, in some ten seconds once the programs are compiled, and the comparison of `plan` with other
    allocators.
    """
    features = DESIGNS[DESIGN].features(KERNEL)
    no_reference = reference = None
    try:
        reference = compile_reference()
    except NoCompiler as error:
        no_reference = str(error)
    ready(
        [
            (cpu_main, KERNEL, features),
            (counting_main, KERNEL, features | STATS),
            (programs.malloc_main, KERNEL, features),
            (programs.idle_main, KERNEL, features),
            *(targets(plan) if plan else ()),
        ],
        progress,
    )
    # First what forks: this process has no threads yet.
    scaled = measure_scaling(features, progress)
    differing = None
    if reference is not None:
        progress("comparing memory after ours and C have played the same tape")
        differing = differing_words(1024, 1 << 16, features, reference, shuffle=1)
    speed, disturbed = measure_speed(features, reference, progress)
    peers = None
    disturbances = [disturbed]
    if plan is not None:
        peers, disturbed = measure_peers(plan, progress)
        disturbances.append(disturbed)
    progress("starting `python -m stress --help`")
    scaling = scaled[0] if scaled else None
    if scaled:
        disturbances.append(scaled[1])
    return Bench(
        machine=host.describe_machine(),
        design=DESIGN,
        no_reference=no_reference,
        differing_words=differing,
        goals=goals(speed, no_reference, scaling, help_seconds()) + (peer_goals(peers) if peers else []),
        speed=speed,
        scaling=scaling,
        peers=peers,
        disturbances=disturbances,
        trust=judge(speed, scaling, disturbances),
    )


def help_seconds() -> float:
    """Median wall time of `python -m stress --help`, from this checkout, once it is in the page cache."""
    root = Path(__file__).resolve().parents[2]
    times = []
    for _ in range(HELP_RUNS + 1):
        began = time.monotonic()
        done = subprocess.run([sys.executable, "-m", "stress", "--help"], cwd=root, stdout=subprocess.DEVNULL)
        if done.returncode:
            raise DamagedRun(f"`python -m stress --help` ended with status {done.returncode}")
        times.append(time.monotonic() - began)
    return median(times[1:])
