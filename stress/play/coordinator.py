"""The coordinator: prepares a run, has its blocks played, and gathers what they measured.

    options -> workload -> arena -> compiled code -> workers
        warm-up block of each design
        counted block of each design   (statistics on)      -> Census
        timed blocks in pairs, ABBA    (statistics off)     -> Block
    -> RunRecord

All designs are played by the same workers, from the same tapes, in the same memory, each block from
a fresh boot. Whatever ends a run early (Ctrl-C, a killed worker, a hang) is said in the record, which
then holds everything gathered until that moment.

SLAB_STRESS_HANG_SECONDS: after so many seconds in which nothing moves a block has hung, and the run
ends (default 60).
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator

from allocators.designs import parse_design
from shm.code_cache import source_hash
from stress.judge.looks import Plan
from stress.measure.records import RunRecord
from stress.play.arena import DEFAULT_MEMORY, STEP_NS, Arena
from stress.play.options import RunOptions
from stress.play.parallel import play_in_parallel
from stress.play.worker import Lost
from stress.play.workload import build_workload
from stress.process import host
from stress.process.usage import within
from stress.show.progress import Progress

log = logging.getLogger(__name__)

SERIAL_CPUS = 4  # serial play depends on no machine, so it has a number of its own


def run(options: RunOptions, progress: Progress) -> RunRecord:
    """Do one run. Raises UsageError for input that cannot be run; see the module's text otherwise."""
    began = time.monotonic()
    designs = [parse_design(name) for name in (options.before, *options.after)]
    available = len(host.available_cpus())
    cpus = options.cpus or (SERIAL_CPUS if options.serial else available)
    record = RunRecord(
        scenario=options.scenario,
        parameters={"time_scale": options.time_scale},
        allocator=options.allocator,
        seed=options.seed,
        cpus=cpus,
        nodes=options.nodes,
        serial=options.serial,
        baseline=options.before,
        switches={d.name: d.ordered_switches() for d in designs},
        blocks=[],
        censuses=[],
        command=options.command,
        machine=host.describe_machine() | {"sources": source_hash()},
        margin=options.margin,
        looks=Plan(options.seconds) if options.until_sure else None,
    )
    with _breakdowns(record):
        if options.trace is not None:
            from stress.play.replay import Replay

            replay = Replay(options, progress)
            load, record.trace = replay.load, replay.summary
        else:
            replay = None
            load, parameters = build_workload(options.scenario, options.settings, cpus, options.seed)
            record.parameters = parameters | record.parameters
        record.cpus = load.cpus
        record.oversubscribed = not options.serial and load.cpus > available
        within("--nodes", options.nodes, 1, load.cpus, "a node needs a CPU (--cpus)")
        arena = Arena(
            load,
            options.allocator,
            nodes=options.nodes,
            memory=options.memory or DEFAULT_MEMORY,
            serial=options.serial,
            outcomes=replay is not None and options.serial,
            step_ns=max(1, round(STEP_NS * options.time_scale)),
            owners=any("F_OBJCG" in d.features(options.allocator) for d in designs),
            sheaves=any("F_SHEAF" in d.features(options.allocator) for d in designs),
        )
        arena.fail_shrink_alloc, arena.fail_page_alloc = options.fail_shrink_alloc, options.fail_page_alloc
        record.parameters |= options.failures()
        log.info(
            "%s: %d operations on %d CPUs, seed %d; an arena of %d MiB",
            options.scenario, load.operations(), load.cpus, options.seed, arena.segment.bytes >> 20,
        )  # fmt: skip

        def counted(design: str) -> None:
            if replay is not None:
                replay.compare(arena, design)

        play: Callable[..., None] = play_in_parallel
        if options.serial:
            from stress.play.serial import play_serially as play
        with contextlib.closing(arena):
            play(arena, designs, options, record, progress, counted)
    record.seconds = time.monotonic() - began
    log.info("%d blocks and %d censuses in %.1f s", len(record.blocks), len(record.censuses), record.seconds)
    return record


@contextlib.contextmanager
def _breakdowns(record: RunRecord) -> Iterator[None]:
    """Turn what breaks the run into a sentence of the record."""
    try:
        yield
    except KeyboardInterrupt as signal:
        record.interrupted = True
        log.info("ended by %s", signal.args[0] if signal.args else "SIGINT")
    except (Lost, TimeoutError) as error:
        record.damage = f"{error}; the run ended there"
        log.error("%s", record.damage)
