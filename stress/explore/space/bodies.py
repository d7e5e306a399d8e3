"""Running the bodies of tasks, in greenlets that are kept from execution to execution: making one costs more than an
execution.
"""

from __future__ import annotations

from typing import NoReturn

from greenlet import GreenletExit, getcurrent


class Unwound(BaseException):
    """The execution is over; not for bodies to catch."""


def over(task, on: bool) -> NoReturn:
    """Stands for `Space.decide` when an execution is over."""
    raise Unwound


def run_bodies() -> None:
    """What a task's greenlet runs: its body, once for each execution. Between two it knows nothing of the task."""
    hub = getcurrent().parent
    while True:
        task = hub.switch()
        space = task.space
        try:
            task.run()
        except Unwound:
            pass
        except GreenletExit:
            raise
        except BaseException as error:
            space.failure = error
        task.midway = False
        task = space = None
