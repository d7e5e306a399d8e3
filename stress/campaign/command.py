"""What the command `campaign` does: plan, run, go on, look.

Exit status: 0 done; 1 an invariant was violated; 2 bad usage; 3 jobs failed or are left to do.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import filelock
import msgspec

from stress.campaign import dataset, engine, estimate, plan, study, table
from stress.campaign.identity import Identity, here
from stress.campaign.outcome import KEPT
from stress.campaign.status import print_status, status
from stress.campaign.store import STORE, Campaign
from stress.process.errors import DamagedRun, UsageError
from stress.process.statuses import DAMAGED, DONE, VIOLATED
from stress.show import units
from stress.show.progress import Progress

LOCK = ".lock"
SHOWN = 5  # failures that are printed at the end of a run


def dry_run(path: Path, out: Path | None, store: Path | None, workers: int) -> int:
    """Say what the study would take, and write nothing."""
    wanted, _ = study.read(path)
    folder, results = _places(wanted, out, store)
    found = estimate.Estimator(wanted)
    for one in plan.plan(wanted, here()):
        found.take(one)
    of = found.estimate(results)
    at_once = 1 if wanted.kind == "timed" else workers
    by = (
        f"by {units.plural(of.measured, 'search', 'searches')} that are here"
        if of.measured
        else "a guess, by operations"
    )
    print(f"{wanted.name}: {units.plural(of.jobs, f'{wanted.kind} job')}, of which {of.done:,} are in {results}")
    print(f"axes: {', '.join(f'{axis} ({len(wanted.values(axis))})' for axis in wanted.axes) or 'none'}")
    print(f"time: about {_duration(of.seconds / at_once)} on {units.plural(at_once, 'worker')} ({by})")
    print(f"disk: about {_size(of.bytes)}, in {folder} and {results}")
    if wanted.budget is not None:
        print(f"budget: {_duration(wanted.budget)}; what is left then waits for `resume`")
    for why, points in sorted(of.skipped.items(), key=lambda item: -item[1])[:SHOWN]:
        print(f"left out: {units.plural(points, 'point')} that cannot be played: {why}")
    return DONE


def run(
    path: Path, out: Path | None, store: Path | None, scheduler: str | None, workers: int, quiet: bool, command: str
) -> int:
    """Make a campaign of a study, and play it."""
    engine.need_dask()
    wanted, text = study.read(path)
    folder, results = _places(wanted, out, store)
    skipped: dict[str, int] = {}

    def planned() -> Iterator[plan.Planned]:
        for one in plan.plan(wanted, here()):
            if isinstance(one, plan.Skipped):
                skipped[one.why] = skipped.get(one.why, 0) + 1
            else:
                yield one

    facts = {"identity": msgspec.json.encode(here()).decode(), "command": command, "where": str(path)}
    facts["plugins"] = msgspec.json.encode(engine.plugin_files()).decode()
    with _alone(folder):
        with contextlib.closing(Campaign.create(folder, results, text, planned(), facts)) as campaign:
            campaign.note_skipped(skipped)
            return _go(campaign, wanted, scheduler, workers, quiet)


def resume(folder: Path, scheduler: str | None, workers: int, quiet: bool, retry: bool = False) -> int:
    """Go on with a campaign; retry: with its failures too."""
    engine.need_dask()
    with _alone(folder), contextlib.closing(Campaign.open(folder)) as campaign:
        from stress.plugins.load import load_all

        load_all([Path(name) for name in campaign.noted("plugins", list[str], "[]")])
        wanted = study_of(campaign)
        differs = here().differs(campaign.noted("identity", Identity, ""))
        if differs:
            raise UsageError(
                f"{folder}: was planned by another version, and this one has {differs}; go back to that version, or "
                "begin anew with `campaign run STUDY --out ANOTHER`"
            )
        if retry:
            print(f"{units.plural(campaign.forget_failures(), 'failure')} to try again", file=sys.stderr)
        return _go(campaign, wanted, scheduler, workers, quiet)


def study_of(campaign: Campaign) -> study.Study:
    """The study that a campaign was made of."""
    return study.parse(campaign.fact("study").encode(), str(campaign.folder / "study.toml"))


def _go(campaign: Campaign, wanted: study.Study, scheduler: str | None, workers: int, quiet: bool) -> int:
    from stress.play.session import session
    from stress.process import ending

    timed = wanted.kind == "timed"
    if timed and scheduler is None:
        workers = 1  # a measurement has the host to itself
    broken = ""
    with session(quiet=quiet, log_level="error", intervals=False) as progress:
        try:
            if next(campaign.to_do(), None) is not None:
                if scheduler is None:
                    _compile(campaign, wanted, progress)
                progress.phase("starting workers")
                with engine.connect(scheduler, workers, timed) as client:
                    engine.check_workers(client, here(), timed, engine.plugin_files())
                    if scheduler is not None or engine.has_dashboard():
                        progress.phase(f"dashboard: {client.dashboard_link}")
                    campaign.note(dashboard=client.dashboard_link if engine.has_dashboard() else "")
                    engine.Run(campaign, wanted, client, progress).go()
        except KeyboardInterrupt:
            broken = "interrupted"
        except DamagedRun as error:
            broken = str(error)
        progress.close()
        ending.ignore_further()
    if broken:
        print(f"{broken}", file=sys.stderr)
    write_data(campaign, wanted)
    return finish(campaign, wanted)


def _compile(campaign: Campaign, wanted: study.Study, progress: Progress) -> None:
    """On this machine, by as many processes as there are CPUs; workers then load it."""
    if wanted.kind not in ("serial", "simulate"):
        return
    from stress.campaign.programs import programs
    from stress.play.compiled import ready

    ready(programs(wanted), progress.phase)


def write_data(campaign: Campaign, wanted: study.Study) -> list[table.Row]:
    """Renew the data set; returns its rows. Raises DamagedRun when there is no room."""
    rows = table.rows(campaign, wanted, wanted.keep.counts)
    try:
        dataset.write(wanted, rows, campaign.folder)
    except OSError as error:
        raise DamagedRun(
            f"{campaign.folder}: the data set cannot be written: {error.strerror}; results are kept"
        ) from None
    return rows


def finish(campaign: Campaign, wanted: study.Study) -> int:
    """Say how far it is; returns the exit status."""
    found = status(campaign, wanted, working=False)

    print_status(found, sys.stdout, SHOWN)
    return exit_status(found.counts, found.left)


def exit_status(counts: dict[str, int], left: int) -> int:
    """A violated invariant outweighs what failed or is left to do."""
    if counts.get("violated"):
        return VIOLATED
    failed = sum(number for name, number in counts.items() if name not in (*KEPT, "all"))
    return DAMAGED if failed or left else DONE


def _places(wanted: study.Study, out: Path | None, store: Path | None) -> tuple[Path, Path]:
    """The campaign's folder and the store of results: beside it, unless told otherwise."""
    folder = Path("campaigns") / wanted.name if out is None else out
    return folder, (folder.absolute().parent / STORE if store is None else store.absolute())


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One process at a time works on a campaign; the lock goes with its process, however that ends."""
    lock = filelock.FileLock(folder / LOCK, timeout=0)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except filelock.Timeout:
        raise UsageError(
            f"{folder}: another process is at work on it; `campaign status {folder}` shows how far it is"
        ) from None
    except OSError as error:
        raise UsageError(f"{folder}: cannot be written: {error.strerror or error}") from None
    try:
        yield
    finally:
        lock.release()


def at_work(folder: Path) -> bool:
    """Is a process working on it now?"""
    try:
        with filelock.FileLock(folder / LOCK, timeout=0):
            return False
    except filelock.Timeout:
        return True
    except OSError:
        return False


def default_workers() -> int:
    """The CPUs of this machine that we may use."""
    return len(os.sched_getaffinity(0))


def _duration(seconds: float) -> str:
    for size, unit in ((86400.0, "days"), (3600.0, "hours"), (60.0, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{max(1, round(seconds))} s"


def _size(size: float) -> str:
    for factor, unit in ((1 << 30, "GiB"), (1 << 20, "MiB")):
        if size >= factor:
            return f"{size / factor:.3g} {unit}"
    return f"{max(1, round(size / 1024))} KiB"
