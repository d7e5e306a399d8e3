"""What is wrong with a recorded trace, said so that a person can act on it."""

from __future__ import annotations

import os


class TraceError(ValueError):
    """A trace, its metadata or a table of steps cannot be used.

    path: the file at fault; line: its line, 1-based with the header as line 1, or 0 when the file
    as a whole is meant; problem: what is wrong; remedy: what to do about it.
    """

    def __init__(
        self, path: str | os.PathLike[str], line: int, problem: str, remedy: str = "fetch or record the file again"
    ) -> None:
        self.path = str(path)
        self.line = line
        self.problem = problem
        self.remedy = remedy
        place = f"{path}:{line}" if line else f"{path}"
        super().__init__(f"{place}: {problem} ({remedy})")


class RowError(ValueError):
    """A row is well-formed but contradicts the rows before it; readers add path and line."""
