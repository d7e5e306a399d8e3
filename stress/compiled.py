"""Which compiled code a run needs, and having it ready: from the cache, or compiled with progress.

Compiling is the longest part of a first run, so it is shared by as many processes as there are CPUs;
they only fill the cache on disk, from which this process then loads. Workers are forked afterwards
and never compile.
"""

from __future__ import annotations

import logging
import multiprocessing
import multiprocessing.connection
import os
import time
from typing import Callable, Iterable

from shm.compiler import Entry, cache_folder

log = logging.getLogger(__name__)

Target = tuple[Entry, str, frozenset[str]]  # entry point, kernel, features


def _fill_cache(targets: list[Target]) -> None:
    for entry, kernel, features in targets:
        entry.compile(kernel, features)


def ready(targets: Iterable[Target], progress: Callable[[str], None] = lambda text: None) -> float:
    """Have every target callable in this process; returns the seconds it took.

    progress: called with a line of text while compiling. Compilation in a helper that fails is
    repeated here, so its error shows.
    """
    targets = list(dict.fromkeys(targets))
    began = time.monotonic()
    missing = [t for t in targets if not t[0].is_cached(*t[1:])]
    if len(missing) > 1:
        shares = min(len(os.sched_getaffinity(0)), len(missing))
        context = multiprocessing.get_context("fork")
        helpers = [context.Process(target=_fill_cache, args=(missing[i::shares],), daemon=True) for i in range(shares)]
        for helper in helpers:
            helper.start()
        try:
            while any(h.is_alive() for h in helpers):
                done = sum(entry.is_cached(*kind) for entry, *kind in missing)
                progress(f"compiling: {done} of {len(missing)} programs, {time.monotonic() - began:.0f} s (once; kept in {cache_folder().parent})")
                multiprocessing.connection.wait([h.sentinel for h in helpers if h.is_alive()], timeout=1.0)
        finally:
            for helper in helpers:
                helper.kill() if helper.is_alive() else helper.join()
    for entry, kernel, features in targets:
        entry.compile(kernel, features)
    seconds = time.monotonic() - began
    log.info("%d programs ready after %.1f s, %d of them compiled now", len(targets), seconds, len(missing))
    return seconds
