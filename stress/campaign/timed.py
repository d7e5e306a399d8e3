"""A timed job: `python -m stress run` as a process of its own, which may fork, pin and be killed as a whole."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import sys
import tempfile

import msgspec

from stress.campaign.jobs import Timed
from stress.campaign.outcome import Hung, Outcome
from stress.process.errors import DamagedRun
from stress.result.data import Result

_TAIL = 2000  # letters of what a failed run said


def run(job: Timed, limit: float) -> Outcome:
    """Measure. Raises Hung at the limit, and DamagedRun for a run that has no whole result."""
    words = shlex.split(job.command())[1:]  # `python` is this one
    with tempfile.TemporaryDirectory(prefix="slab-stress-timed-") as out:
        command = [sys.executable, *words, "--format", "json", "--quiet", "--out", out]
        with subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
        ) as process:
            try:
                printed, said = process.communicate(timeout=limit)
            except subprocess.TimeoutExpired:
                raise Hung(f"took longer than its limit of {limit:g} s") from None
            finally:
                _end(process)
    try:
        result = msgspec.json.decode(printed, type=Result)
    except msgspec.DecodeError:
        text = said.decode(errors="replace").strip()[-_TAIL:]
        raise DamagedRun(f"the run ended with status {process.returncode}: {text}") from None
    if result.partial:
        raise DamagedRun(result.partial_reason or "the run is incomplete")
    return Outcome(violations=result.invariants.violated, whole=msgspec.json.decode(printed))


def _end(process: subprocess.Popen[bytes]) -> None:
    """Whatever is left of it: its workers live in its session, and die with their parent."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
