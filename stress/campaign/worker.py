"""What Dask calls on a worker: bytes of JSON in, bytes of JSON out. Only this function's name is pickled."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import tempfile
import threading
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import msgspec

from stress.campaign import jobs, outcome, play
from stress.campaign.identity import Identity, here
from stress.campaign.outcome import Hung, Reply
from stress.process.errors import StressError

GRACE = 30.0  # seconds beyond a job's limit and a half, after which a worker that does not come back ends itself
_one_at_a_time = threading.Lock()  # a worker of several threads plays one job after the other


class Refused(Exception):
    """This worker has other sources or versions than the study."""


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """A job as it travels. job: the bytes of `jobs.encode` as JSON.

    limit: seconds. plugins: files that the study needs.
    """

    key: str
    job: msgspec.Raw
    limit: float
    identity: Identity
    plugins: list[str] = []


def describe(plugins: list[str]) -> bytes:
    """Who this worker is, with these plugins. Raises UsageError for one that it cannot load."""
    load(plugins)
    return msgspec.json.encode(here())


def run_job(data: bytes) -> bytes:
    """Play a job; the reply says what came of it, a failure of the job included.

    Raises Refused, and OSError or MemoryError for what may go well elsewhere: Dask tries those again.
    """
    task = msgspec.json.decode(data, type=Task)
    load(task.plugins)
    differs = here().differs(task.identity)
    if differs:
        raise Refused(f"this worker has {differs}: install the study's version there, or plan the study anew")
    with _one_at_a_time:
        return msgspec.json.encode(_reply(task))


def load(plugins: list[str]) -> None:
    """Those that are installed, those of the working folder, and these files, each once."""
    from stress.plugins.load import load_all

    with _one_at_a_time:
        load_all([Path(path) for path in plugins])


def _reply(task: Task) -> Reply:
    job = jobs.decode(bytes(task.job))
    hung = _where_it_hung(task.key)
    if hung:
        return Reply(key=task.key, status="hung", text=hung, pid=os.getpid())
    play.warm(job)  # is not the job's time: on a busy machine it takes longer than many a job's limit
    with _watched(task.key, task.limit):
        began = time.monotonic()
        try:
            found = play.play(job, task.limit)
        except Hung as error:
            return Reply(key=task.key, status="hung", text=str(error), pid=os.getpid())
        except StressError as error:
            return Reply(key=task.key, status="failed", text=str(error), pid=os.getpid())
        except (OSError, MemoryError):
            raise
        except Exception:
            return Reply(key=task.key, status="failed", text=traceback.format_exc(), pid=os.getpid())
    from stress.process.host import describe_machine

    host = {name: value for name, value in describe_machine().items() if name != "load_average"}
    host["name"] = os.uname().nodename
    return Reply(
        key=task.key,
        status=found.status,
        body=outcome.encode(found),
        host=host,
        seconds=round(time.monotonic() - began, 4),
        pid=os.getpid(),
    )


def _mark(key: str) -> Path:
    folder = Path(tempfile.gettempdir()) / f"slab-stress-hung-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder / key


def _where_it_hung(key: str) -> str:
    """What `_watched` wrote of the job when it hung on this host before, in a sentence, once; else nothing."""
    path = _mark(key)
    said = path.read_text(errors="replace") if path.exists() else ""
    if not said:
        return ""
    path.unlink()
    return f"hung and was ended; it was at\n{said}"


@contextlib.contextmanager
def _watched(key: str, limit: float) -> Iterator[None]:
    """Within it a job that does not even look at its deadline ends this process, after it has written where it hung.

    Dask then gives the job to another worker, and there, if it is on the same host, `_where_it_hung` finds what was
    written: the job is not played again. On another host it hangs again, until Dask gives it up. faulthandler's own
    thread needs no GIL, so compiled code that never returns is ended too.
    """
    path = _mark(key)
    with path.open("w") as file:
        _arm(1.5 * limit + GRACE, file)
        try:
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()
            path.unlink(missing_ok=True)


def _arm(seconds: float, file: IO[str]) -> None:
    faulthandler.dump_traceback_later(seconds, exit=True, file=file)
