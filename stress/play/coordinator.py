"""The coordinator: prepares a run, has its blocks played, and gathers what they measured.

    options -> workload -> arena -> compiled code -> workers
        warm-up block of each design
        counted pass of each design    (statistics on)      -> Census
    -> launches: worlds side by side, by turns (statistics off) -> Block, Turns
    -> RunRecord

All designs are played by the same workers, from the same tapes, each pass from a fresh boot. Whatever ends a run
early (Ctrl-C, a killed worker, a hang) is said in the record, which then holds everything gathered until that moment.

SLAB_STRESS_HANG_SECONDS: after so many seconds in which nothing moves a block has hung, and the run
ends (default 60).
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator

from allocators.designs import parse_design
from allocators.sheaf_settings import room_for
from scenarios.tape import Workload
from shm.code_cache import model_hash
from stress.judge.looks import Plan
from stress.measure.records import RunRecord
from stress.play.arena import STEP_NS, Arena, BlockSettings
from stress.play.options import DEFAULT_MEMORY, MAX_PROCESSES, RunOptions
from stress.play.parallel import play_in_parallel
from stress.play.passes import Passes, room
from stress.play.stage import Stage
from stress.play.worker import Lost
from stress.play.workload import build_workload
from stress.process import host
from stress.process.usage import within
from stress.show.progress import Progress

log = logging.getLogger(__name__)

SERIAL_CPUS = 4  # serial play depends on no machine, so it has a number of its own


def run(options: RunOptions, progress: Progress, looked_at: Passes | None = None) -> RunRecord:
    """Do one run. looked_at: takes what is done in its counted passes.

    Raises UsageError for input that cannot be run; see the module's text otherwise.
    """
    began = time.monotonic()
    record = _empty_record(options)
    with _breakdowns(record):
        stage = _prepare(options, record, progress, looked_at)
        with contextlib.closing(stage.arena):
            if options.measuring.serial:
                from stress.play.serial import play_serially

                play_serially(stage)
            else:
                play_in_parallel(stage)
    record.seconds = time.monotonic() - began
    log.info("%d blocks and %d censuses in %.1f s", len(record.blocks), len(record.censuses), record.seconds)
    return record


def _empty_record(options: RunOptions) -> RunRecord:
    """What is known of a run before anything of it was done."""
    world, measuring = options.world, options.measuring
    designs = [parse_design(name) for name in (options.before, *options.after)]
    return RunRecord(
        scenario=options.scenario,
        parameters={"time_scale": world.pace},
        allocator=world.allocator,
        seed=measuring.seed,
        cpus=world.cpus or (SERIAL_CPUS if measuring.serial else min(len(host.available_cpus()), MAX_PROCESSES)),
        nodes=world.nodes,
        serial=measuring.serial,
        baseline=options.before,
        switches={d.name: d.ordered_switches() for d in designs},
        settings={d.name: dict(d.settings) for d in designs},
        blocks=[],
        censuses=[],
        command=options.command,
        machine=host.describe_machine() | {"sources": model_hash()},
        margin=measuring.margin,
        looks=Plan(measuring.seconds) if measuring.until_sure else None,
    )


def _prepare(options: RunOptions, record: RunRecord, progress: Progress, looked_at: Passes | None) -> Stage:
    """The workload and the arena; says in the record what they turned out to be. Raises UsageError."""
    world, serial = options.world, options.measuring.serial
    replay = None
    if options.trace is not None:
        from stress.play.replay import Replay

        replay = Replay(options, options.trace, progress)
        load, record.trace = replay.load, replay.summary
    else:
        load, parameters = build_workload(options.scenario, options.settings, record.cpus, record.seed)
        record.parameters = parameters | record.parameters
    record.parameters |= world.shaped
    record.cpus = load.cpus
    record.oversubscribed = not serial and load.cpus > len(host.available_cpus())
    within("--nodes", world.nodes, 1, load.cpus, "a node needs a CPU (--cpus)")
    parsed = {name: parse_design(name) for name in record.switches}
    designs = {name: design.features(world.allocator) for name, design in parsed.items()}
    sheaves = {name: design.sheaves(world.sheaves) for name, design in parsed.items()}
    arena = Arena(
        load,
        world.allocator,
        features=frozenset().union(*designs.values()),
        **world.shape | {"sheaves": room_for(sheaves.values())},
        memory=world.memory or DEFAULT_MEMORY,
        serial=serial,
        outcomes=replay is not None and serial,
        notes=0 if looked_at is None else room(load.cpus),
    )
    record.parameters |= options.failing.parameters()
    log.info(
        "%s: %d operations on %d CPUs, seed %d; an arena of %d MiB",
        options.scenario, load.operations(), load.cpus, record.seed, arena.segment.bytes >> 20,
    )  # fmt: skip
    settings = BlockSettings(
        seed=record.seed,
        step_ns=max(1, round(STEP_NS * world.pace)),
        fail_shrink_alloc=options.failing.shrink_alloc,
        fail_page_alloc=options.failing.page_alloc,
    )

    def compare(design: str) -> None:
        if replay is not None:
            replay.compare(arena, design)

    def tapes(launch: int) -> Workload:
        if replay is not None:
            return replay.recorded
        return build_workload(options.scenario, options.settings, record.cpus, record.seed + launch)[0]

    return Stage(arena, designs, sheaves, options, settings, record, progress, compare, tapes, looked_at)


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
