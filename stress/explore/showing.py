"""Files to look at a schedule with: its page, and its trace for the Perfetto viewer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from stress.explore.found.schedule import Schedule
from stress.explore.page import html, perfetto
from stress.explore.page.beside import Pair
from stress.process.errors import UsageError
from stress.process.files import write_atomically
from stress.process.usage import check_file


class Files(NamedTuple):
    """Where they go; None: not wanted."""

    page: Path | None = None
    perfetto: Path | None = None

    def __bool__(self) -> bool:
        return self.page is not None or self.perfetto is not None

    def check(self) -> None:
        """UsageError when one cannot be written."""
        for option, path in (("--page", self.page), ("--perfetto", self.perfetto)):
            if path is not None:
                check_file(option, path)


NO_FILES = Files()


def write(files: Files, title: str, kept: Schedule, story: Sequence[str], pair: Pair) -> list[str]:
    """Write what is wanted; returns what to tell. UsageError when a file cannot be written."""
    facts = [
        (name, text)
        for name, text in (
            ("allocator", kept.allocator), ("design", kept.design), ("memory model", kept.memory_model.upper()),
            ("CPUs beside the kworker's", str(kept.cpus) if kept.allocator else ""),
            ("preemptions", str(kept.preemptions)),
            ("sources", kept.sources), ("written under", kept.python),
        )
        if text
    ]  # fmt: skip
    told = []
    if files.page is not None:
        _write("--page", files.page, html.render(title, facts, story, pair))
        told.append(f"page written to {files.page}")
    if files.perfetto is not None:
        _write("--perfetto", files.perfetto, perfetto.encode(pair, {"title": title, **dict(facts)}))
        told.append(f"trace written to {files.perfetto}; open it at https://ui.perfetto.dev")
    return told


def _write(option: str, path: Path, data: bytes) -> None:
    try:
        write_atomically(path, data)
    except OSError as error:
        raise UsageError(f"{option} {path}: cannot be written: {error.strerror}; name another file") from None
