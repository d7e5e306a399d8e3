"""One result in one format. What a format needs is imported when it is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import TextIO

from stress.result.data import Result

FORMATS = ("text", "markdown", "json", "csv", "benchstat", "mmtests")  # those that go to a stream; html and parquet are files beside the result


def write(result: Result, path: Path, format: str, stream: TextIO, page: Path | None = None) -> None:
    """Write the result at `path` to the stream in one of `FORMATS`; json is the content of that file.

    page: where the result's page is, for formats that say so.
    """
    if format == "json":
        from stress.result.files import encode

        stream.write(encode(result).decode())
    elif format == "markdown":
        from stress.report import markdown

        stream.write(markdown.render(result, path))
    elif format == "csv":
        from stress.report import export

        stream.write(export.samples_csv(result))
    elif format == "benchstat":
        from stress.report import export

        stream.write(export.benchstat(result))
    elif format == "mmtests":
        from stress.report import mmtests

        stream.write(mmtests.compare_columns(result))
    else:
        from stress.report import text

        text.print_report(result, stream, path, page)
