"""One result in one format, written to a stream."""

from __future__ import annotations

from pathlib import Path
from typing import TextIO

from stress.result import Result


def write(result: Result, path: Path, format: str, stream: TextIO) -> None:
    """Write the report of the result at `path` as text, markdown or json; json is the content of that file."""
    if format == "json":
        from stress.result import encode

        stream.write(encode(result).decode())
    elif format == "markdown":
        from stress.report import markdown

        stream.write(markdown.render(result, path))
    else:
        from stress.report import text

        text.print_report(result, stream, path)
