"""What must hold of a case, however it was disturbed."""

from __future__ import annotations

import re
import signal

from stress.result.files import read_result
from tests.storms.case import STATUSES, Case, Limits
from tests.storms.kills import COMMANDS
from tests.storms.stage import ROOT, Ended
from tests.storms.world import World

# What only a fault of the program prints, its processes' too.
_FAULTS = re.compile(
    r"Traceback \(most recent call last\)|Exception ignored|Fatal Python error|Segmentation fault|resource_tracker:|"
    r"of the storm itself|Exception in thread|never awaited|core dumped"
)
# Python's tracker of semaphores was killed, and the next one, which knows of none, is told that each is gone.
_TRACKER = re.compile(
    r'Traceback \(most recent call last\):\n  File "[^"]*/multiprocessing/resource_tracker\.py", .*\n(?: {4}.*\n)+'
    r"KeyError: .*"
)
_OURS = re.compile(rf'File "{re.escape(str(ROOT))}/(?:stress|allocators|shm|scenarios)/')
TAIL = 1500  # letters of what was printed before a fault


def tail(said: str) -> str:
    """The end of what was printed, without trailing lines that are no part of a fault in it."""
    return said.strip()[-TAIL:]


def faults(case: Case, ended: list[Ended], left: list[str], world: World) -> list[str]:
    """What did not hold, a line each."""
    found = list(left)
    gone = False  # a first process was ended before it could clean up
    for one in ended:
        signalled = {name for name, first in one.hit if first}
        if one.status is None:
            continue
        died = -one.status if one.status < 0 else 0
        if died and signal.Signals(died).name in signalled & {"SIGKILL", "SIGTERM", "SIGHUP"}:
            gone = True
        elif died and case.limits.memory >= 0:
            gone = True  # LLVM aborts where memory is short
        elif _early(case, one):
            continue
        elif one.status not in STATUSES:
            found.append(f"exit status {one.status}")
        if one.status == 1 and not case.work and case.usual < 0 and len(case.lines) == 1:
            found.append("exit status 1, though nothing was played")
        said = one.said
        if died or any(name == "SIGKILL" for name, _ in one.hit):
            # It cleans up after a killed process, and tells of it; of its own end too.
            said = _TRACKER.sub("", said.replace("resource_tracker:", ""))
        if _FAULTS.search(said) and not (died and case.limits.memory >= 0):
            found.append("a traceback")
        if one.status == 1 and case.usual >= 0 and 1 not in COMMANDS[case.usual].statuses and len(case.lines) == 1:
            found.append("exit status 1, of a violated invariant")
        if not case.signals and case.limits == Limits() and case.usual >= 0 and len(case.lines) == 1:
            if one.status not in COMMANDS[case.usual].statuses:
                found.append(f"exit status {one.status} of an undisturbed command")
    if not gone:
        found += [] if "tmp" in case.limits.full else world.left()
        found += world.half()
    else:
        found += [wrong for wrong in world.left() if "/dev/shm" in wrong]
    if not case.files:
        found += half_results(world)
    return found


def _early(case: Case, one: Ended) -> bool:
    """Was an interpreter ended before it had come to our code?"""
    interrupted = any(name == "SIGINT" for name, _ in one.hit) and (case.fresh or one.status == 130)
    limited = case.fresh and case.limits != Limits()
    return (interrupted or limited) and one.status not in STATUSES - {1} and not _OURS.search(one.said)


def half_results(world: World) -> list[str]:
    """Results that cannot be read, and folders of runs without one."""
    found = []
    for folder in sorted((world.path / "results").glob("*/")):
        path = folder / "result.json"
        if not path.exists():
            if any(folder.glob("*.json")):  # of other commands
                continue
            found.append(f"a folder without a result: {sorted(one.name for one in folder.iterdir())}")
            continue
        try:
            read_result(path)
        except Exception as error:
            found.append(f"half a result: {error}")
    return found
