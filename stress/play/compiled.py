"""Which compiled code a run needs, and having it ready: from the cache, or compiled with progress.

Compiling is the longest part of a first run, so it is shared by as many processes as there are CPUs;
they only fill the cache on disk, from which this process then loads. Even a single program is
compiled in a helper: LLVM cannot be interrupted, a helper can be killed. Workers are forked
afterwards and never compile.
"""

from __future__ import annotations

import logging
import multiprocessing
import multiprocessing.connection
import os
import time
from collections.abc import Callable, Iterable

from shm.code_cache import cache_folder
from shm.entry import Entry
from stress.process import ending
from stress.process.errors import UsageError

log = logging.getLogger(__name__)

STATS = frozenset({"STATS"})
Target = tuple[Entry, str, frozenset[str]]  # entry point, kernel, features


def _shares(targets: list[Target], helpers: int) -> list[list[Target]]:
    """What one helper compiles after the other, the longest first: programs of one entry point have most functions in
    common, and if there is one such share for each helper, nobody compiles what another is at.
    """
    of_entry: dict[tuple[str, str], list[Target]] = {}
    for target in targets:
        of_entry.setdefault((target[0].name, target[1]), []).append(target)
    shares = list(of_entry.values()) if len(of_entry) >= helpers else [[target] for target in targets]
    return sorted(shares, key=lambda share: not share[0][2] >= STATS)


def _fill_cache(shares: list[list[Target]], queue: int, parent: int) -> None:
    """A helper: compile shares whose indices it takes, a byte each, from the pipe `queue` until that is empty."""
    ending.live_with_parent(parent)
    while index := os.read(queue, 1):
        for entry, kernel, features in shares[index[0]]:
            began = time.monotonic()
            try:
                entry.compile(kernel, features)
            except Exception:
                log.debug("a helper could not compile %s", entry.name, exc_info=True)
            log.debug("compiled %s for %s in %.1f s", entry.name, "+".join(sorted(features)), time.monotonic() - began)


def ready(
    targets: Iterable[Target],
    progress: Callable[[str, str], None] = lambda text, state: None,
    *,
    elsewhere: Iterable[Target] = (),
) -> float:
    """Have every target compiled, and callable in this process; returns the seconds it took.

    progress: called while compiling with how far it is, and for how long it has been going on. elsewhere: more of
    them, which the processes that will call them load from the cache. Compilation in a helper that fails is repeated
    here, so its error shows; what a killed helper left is compiled by others.
    Raises UsageError when the cache's folder cannot be written.
    """
    targets = list(dict.fromkeys(targets))
    every = list(dict.fromkeys([*targets, *elsewhere]))
    began = time.monotonic()
    try:
        cache_folder()
    except OSError as error:
        raise UsageError(
            f"compiled code cannot be kept: {error}; set SLAB_STRESS_CACHE to a folder that can be written"
        ) from None
    missing = _uncached(every)
    left = missing
    while left and _in_helpers(left, len(missing), began, progress):
        left = _uncached(missing)
    for entry, kernel, features in [*targets, *_uncached(every)]:
        entry.compile(kernel, features)
    seconds = time.monotonic() - began
    log.info("%d programs ready after %.1f s, %d of them compiled now", len(every), seconds, len(missing))
    return seconds


def _uncached(targets: Iterable[Target]) -> list[Target]:
    """Those that nobody has compiled yet."""
    return [(entry, kernel, features) for entry, kernel, features in targets if not entry.is_cached(kernel, features)]


def _in_helpers(missing: list[Target], total: int, began: float, progress: Callable[[str, str], None]) -> bool:
    """Compile in as many processes as there are CPUs; none is left, however this ends.

    Returns whether one of them was killed, so that trying again makes sense.
    """
    context = multiprocessing.get_context("fork")
    cpus = len(os.sched_getaffinity(0))
    shares = _shares(missing, cpus)
    take, put = os.pipe()
    os.write(put, bytes(range(len(shares))))
    os.close(put)
    helpers: list[multiprocessing.process.BaseProcess] = []
    told = (-1, -1)
    try:
        for i in range(min(cpus, len(shares))):
            with ending.held():
                helpers.append(
                    context.Process(
                        target=_fill_cache, args=(shares, take, os.getpid()), name=f"compiler-{i}", daemon=True
                    )
                )
                helpers[-1].start()
        while alive := [h.sentinel for h in helpers if h.is_alive()]:
            ending.check()
            done = total - len(_uncached(missing))
            seconds = int(time.monotonic() - began)
            if (done, seconds) != told:
                told = done, seconds
                progress(
                    f"compiling: {done} of {total} programs", f"{seconds} s (once; kept in {cache_folder().parent})"
                )
            multiprocessing.connection.wait(alive, timeout=0.2)
            time.sleep(0.02)  # a sentinel is ready a moment before its process is gone
        return any((h.exitcode or 0) < 0 for h in helpers)
    finally:
        os.close(take)
        for helper in helpers:
            helper.kill()
            helper.join()
