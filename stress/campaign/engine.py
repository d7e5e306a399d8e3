"""Dask: a cluster of our own or somebody's, and the loop that hands jobs out and keeps what comes back.

What is lost with a worker Dask gives to another, three times; who works where, and when, is Dask's affair. Here is only
how many jobs it is given at a time, so that neither it nor we hold 100,000 of them, and that results are on disk, a
transaction for all that came together, before they are forgotten.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import tempfile
import time
from collections.abc import Iterator
from multiprocessing import resource_tracker
from typing import TYPE_CHECKING, Any

import msgspec

from stress.campaign import figures, outcome
from stress.campaign.identity import Identity, here
from stress.campaign.outcome import KEPT, Reply
from stress.campaign.stopping import Stops
from stress.campaign.store import Campaign
from stress.campaign.study import Study
from stress.campaign.worker import Refused, Task, describe, run_job
from stress.process import ending
from stress.process.errors import DamagedRun, UsageError
from stress.show import units
from stress.show.progress import Progress

if TYPE_CHECKING:
    from distributed import Client, LocalCluster

log = logging.getLogger(__name__)

RETRIES = 3
WINDOW = 32  # jobs that Dask has for each thread of its workers
QUIET = "quiet"  # the resource of a worker that may measure
CONNECT_SECONDS = 15
START_SECONDS = 120  # that the workers of this machine have to start, however busy it is
EXTRA = "campaigns need Dask and pyarrow, which are not installed: pip install 'slab-stress[campaign]'"


def need_dask() -> None:
    """Raises UsageError, with the command that installs it, where Dask or pyarrow is missing."""
    try:
        import distributed  # noqa: F401
        import pyarrow.parquet  # noqa: F401
    except ImportError as error:
        raise UsageError(f"{EXTRA} ({error})") from None


@contextlib.contextmanager
def connect(scheduler: str | None, workers: int, timed: bool) -> Iterator[Client]:
    """A client of the scheduler at this address, or of a cluster of processes on this machine that ends with it.

    Raises UsageError when there is no scheduler, or its workers cannot play this study.
    """
    import dask
    from distributed import Client, LocalCluster

    settings = {
        "distributed.scheduler.allowed-failures": RETRIES,
        "distributed.comm.timeouts.connect": f"{CONNECT_SECONDS}s",
    }
    with dask.config.set(settings):
        if scheduler is not None:
            try:
                client = Client(scheduler, timeout=CONNECT_SECONDS, set_as_default=False)
            except (OSError, TimeoutError, ValueError) as error:
                raise UsageError(f"--scheduler {scheduler}: no scheduler answers there ({error})") from None
            try:
                yield client
            finally:
                with contextlib.suppress(Exception):
                    client.close(timeout=5)
            return
        logging.getLogger("distributed").setLevel(logging.CRITICAL)
        resource_tracker.ensure_running()  # started by the loop's thread it would undo `_leave_ctrl_c`
        with (
            tempfile.TemporaryDirectory(prefix="slab-stress-campaign-", ignore_cleanup_errors=True) as folder,
            dask.config.set({"temporary-directory": folder}),
            LocalCluster(
                n_workers=0,
                threads_per_worker=1,
                memory_limit=1 / workers,
                env={"TMPDIR": folder},  # what killed workers leave goes with it
                processes=True,
                dashboard_address=":0",
                resources={QUIET: 1} if timed else {},
                silence_logs=logging.CRITICAL,
            ) as cluster,
            Client(cluster, set_as_default=False) as client,
        ):
            cluster.sync(_leave_ctrl_c)
            cluster.scale(workers)
            _wait_for(workers, cluster, client)
            yield client


def _wait_for(workers: int, cluster: LocalCluster, client: Client) -> None:
    """Until so many have started. Dask has a worker that dies later begin anew, but not one that dies while it starts.

    Raises DamagedRun when they take too long, or die again and again.
    """
    from distributed.core import Status

    until, lost = time.monotonic() + START_SECONDS, 0
    while True:
        with contextlib.suppress(TimeoutError):
            client.wait_for_workers(workers, timeout=1)
            return
        dead = [name for name, one in cluster.workers.items() if one.status in (Status.failed, Status.closed)]
        lost += len(dead)
        if lost > RETRIES * workers:
            raise DamagedRun("workers die while they start, perhaps of too little memory; try fewer: --workers 1")
        if time.monotonic() > until:
            raise DamagedRun(f"workers have not started within {START_SECONDS} s; try fewer: --workers 1")
        if dead:
            cluster.sync(cluster.scale_down, dead)
            cluster.scale(workers)


async def _leave_ctrl_c() -> None:
    """In the loop's thread, which starts workers: they inherit that SIGINT waits, and a terminal sends it to all.

    A worker that is ended while it imports would leave a traceback; as it is, the client ends them.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})


def has_dashboard() -> bool:
    """Dask draws its dashboard with Bokeh, which it does not need for anything else."""
    import importlib.util

    return importlib.util.find_spec("bokeh") is not None


def check_workers(client: Client, identity: Identity, timed: bool, plugins: list[str]) -> None:
    """Raises UsageError for workers that would refuse the study's jobs, or measure beside each other.

    A worker that is gone before it answers stops nobody: who comes in its place refuses jobs that are not for it.
    """
    with contextlib.suppress(TimeoutError):
        client.wait_for_workers(1, timeout=CONNECT_SECONDS)
    info = client.scheduler_info(n_workers=-1)["workers"]
    if not info:
        raise UsageError("the scheduler has no workers; start some: `dask worker ADDRESS --nthreads 1`")
    for address, answer in sorted(client.run(describe, plugins, on_error="return").items()):
        if isinstance(answer, OSError):
            log.info("worker %s did not answer: %s", address, answer)
            continue
        if isinstance(answer, ModuleNotFoundError):
            raise UsageError(f"worker {address} lacks slab-stress ({answer}): install the same version there")
        if isinstance(answer, Exception):
            raise answer
        differs = msgspec.json.decode(answer, type=Identity).differs(identity)
        if differs:
            raise UsageError(
                f"worker {address} has {differs}: its results would be of another study; install the same version there"
            )
    if not timed:
        return
    hosts = [worker["host"] for worker in info.values() if worker["resources"].get(QUIET)]
    if not hosts:
        raise UsageError(
            f"no worker may measure: start one on each quiet host with `dask worker … --resources {QUIET}=1`"
        )
    twice = sorted({host for host in hosts if hosts.count(host) > 1})
    if twice:
        raise UsageError(
            f"{twice[0]}: has {hosts.count(twice[0])} workers with the resource {QUIET}, which would measure beside "
            "each other; leave it to one"
        )


def plugin_files() -> list[str]:
    """Files that this process has loaded as plugins; those of packages are where the package is."""
    from stress.plugins.registered import LOADED

    return [where for where in LOADED if os.path.isabs(where)]


class Run:
    """One go at a study: what is left of it is played, until it is done, the budget is spent or something breaks."""

    def __init__(self, campaign: Campaign, study: Study, client: Client, progress: Progress) -> None:
        self.campaign, self.study, self.client, self.progress = campaign, study, client, progress
        self.identity, self.plugins = here(), plugin_files()
        self.stops = Stops(study)
        self.played = self.needless = 0
        self.spent = False
        self._flying: dict[str, tuple[Any, dict[str, Any]]] = {}
        self._began = time.monotonic()
        self._before = 0
        self._all = campaign.counts()["all"]

    def go(self) -> None:
        """Raises DamagedRun when the scheduler is gone or the disk is full; what came back before is kept."""
        from distributed import as_completed

        if self.stops:
            for kept in self.campaign.kept():
                self.stops.heard(kept.point, figures.figures(self.study.kind, outcome.decode(kept.body)))
        counts = self.campaign.counts()
        self._before = sum(number for name, number in counts.items() if name != "all")
        left = self.campaign.to_do()
        seen: set[str] = set()
        waiting = as_completed([], with_results=True, raise_errors=False, loop=self.client.loop)
        try:
            self._hand_out(waiting, left, seen)
            while self._flying:
                batch = waiting.next_batch(block=True)
                ending.check()
                self._keep(batch)
                self._hand_out(waiting, left, seen)
                self._tell()
        except OSError as error:  # of Dask's connections: the store says its own errors itself
            raise self._gone(str(error)) from None

    def _gone(self, why: str) -> DamagedRun:
        return DamagedRun(
            f"the scheduler is gone ({why}); what is done is kept: "
            f"`python -m stress campaign resume {self.campaign.folder}`"
        )

    def _hand_out(self, waiting: Any, left: Iterator[tuple[int, str, bytes, dict[str, Any]]], seen: set[str]) -> None:
        room = WINDOW * max(1, sum(self.client.nthreads().values())) - len(self._flying)
        if self.study.kind == "timed":
            room = min(room, 4 - len(self._flying))  # they wait for one host; later ones may be stopped early
        self.spent = self.study.budget is not None and time.monotonic() - self._began > self.study.budget
        while room > 0 and not self.spent:
            found = next(left, None)
            if found is None:
                return
            _, key, job, point = found
            if key in seen:
                continue
            if self.stops.needless(point):
                self.needless += 1
                continue
            seen.add(key)
            task = Task(
                key=key, job=msgspec.Raw(job), limit=self.study.limit, identity=self.identity, plugins=self.plugins
            )
            future = self.client.submit(
                run_job,
                msgspec.json.encode(task),
                key=f"{self.study.kind}-{key}",
                retries=RETRIES,
                resources={QUIET: 1} if self.study.kind == "timed" else None,
            )
            self._flying[key] = (future, point)
            waiting.add(future)
            room -= 1

    def _keep(self, batch: list[tuple[Any, Any]]) -> None:
        replies = [self._reply(future, result) for future, result in batch]
        self.campaign.keep(replies, self.study.kind)
        for reply in replies:
            future, point = self._flying.pop(reply.key)
            future.release()
            self.played += 1
            if self.stops and reply.status in KEPT:
                self.stops.heard(point, figures.figures(self.study.kind, outcome.decode(reply.body)))

    def _reply(self, future: Any, result: Any) -> Reply:
        from distributed.scheduler import KilledWorker

        key = future.key.partition("-")[2]
        if future.status == "finished":
            return msgspec.json.decode(result, type=Reply)
        if future.status in ("cancelled", "lost"):
            raise self._gone(f"a job is {future.status}")
        error = result[1] if isinstance(result, tuple) else result
        if isinstance(error, Refused):
            return Reply(key=key, status="refused", text=str(error))
        if isinstance(error, KilledWorker):
            return Reply(key=key, status="lost", text=f"{RETRIES + 1} workers were lost while they played it")
        short = "out of memory: " if isinstance(error, MemoryError) else ""
        return Reply(key=key, status="failed", text=f"{short}{type(error).__name__}: {error}")

    def _tell(self) -> None:
        seconds = max(1e-9, time.monotonic() - self._began)
        done = self._before + self.played + self.needless
        rate = units.per_unit(60 * self.played / seconds)
        self.progress.advance(done / max(1, self._all), f"{done:,} of {self._all:,} jobs, {rate} a minute")
