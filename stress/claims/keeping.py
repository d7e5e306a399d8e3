"""Where the claims' commands leave what they found."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Mapping
from pathlib import Path

from stress.process.errors import UsageError
from stress.process.files import write_atomically


def keep(out: Path, now: datetime.datetime, name: str, files: Mapping[str, bytes]) -> Path:
    """Write files, by their names, into a new folder of `out`; the folder.

    name: how the folder's name ends, behind the time. Raises UsageError when it cannot be written.
    """
    folder = out / f"{now:%Y%m%d-%H%M%S-%f}-{name}"
    written: list[Path] = []
    try:
        folder.mkdir(parents=True)
        for file, content in files.items():
            write_atomically(folder / file, content)
            written.append(folder / file)
    except OSError as error:
        with contextlib.suppress(OSError):  # half of it would be no report
            for path in written:
                path.unlink()
            folder.rmdir()
        raise UsageError(f"--out {out}: {error.strerror}; choose another folder") from None
    return folder
