"""`python -m tests.storms.no_work WORDS`: `python -m stress WORDS`, which ends where its work would begin."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

# Where the work begins: what is typed has been checked by then, and storms of lines do not do it.
WORK = (
    "stress.commands.run.run_job", "stress.simulate.command.main", "stress.calibrate.command.main", "stress.bench.main",
    "stress.machine.command.main", "stress.claims.command.main", "stress.claims.reports.command.main",
    "stress.explore.command.in_parallel", "stress.explore.like.in_parallel", "stress.explore.command.follow",
    "stress.play.conform.conform", "stress.play.predict.predict", "stress.check.command.main",
    "stress.campaign.command._go", "stress.recordings.record.main",
)  # fmt: skip


@contextlib.contextmanager
def no_work() -> Iterator[None]:
    """Within it commands end where their work would begin."""
    with contextlib.ExitStack() as stack:
        for name in WORK:
            import_and_patch(stack, name)
        yield


def import_and_patch(stack: contextlib.ExitStack, name: str) -> None:
    raises = any(part in name for part in ("in_parallel", "follow", "conform.conform", "predict.predict"))
    result: Callable[..., Any] = _nothing_found if raises else _done
    stack.enter_context(mock.patch(name, result))


class NoWork(BaseException):
    """Raised where the work would begin and its result could not be made up."""


def _done(*_: Any, **__: Any) -> int:
    return 0


def _nothing_found(*_: Any, **__: Any) -> Any:
    raise NoWork


if __name__ == "__main__":
    from stress.__main__ import main

    with no_work(), contextlib.suppress(NoWork):
        main("python -m stress")
