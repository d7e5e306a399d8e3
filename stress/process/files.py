"""Files that are there whole or not at all, and files that a user names to be read."""

from __future__ import annotations

import errno
import os
import select
import stat
import tempfile
from pathlib import Path
from typing import BinaryIO

from stress.process.errors import UsageError
from stress.process.failures import as_stress_error, shortened

MOST_BYTES = 1 << 30  # of a file that is read whole
WRITER_S = 2.0  # seconds that a pipe is given to be opened by whoever writes into it


def read_input(path: Path, option: str = "", hint: str = "") -> bytes:
    """All of a file that a user named. Raises UsageError, which names the option too.

    Only plain files are read: a pipe would keep us waiting, a device never ends.
    """
    named = f"{option} {shortened(path)}".strip()
    end = f"; {hint}" if hint else ""
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as stream:
            status = os.fstat(stream.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise UsageError(f"{named}: cannot be read: is not a plain file{end}")
            if status.st_size > MOST_BYTES:
                raise UsageError(
                    f"{named}: is larger than {MOST_BYTES >> 20} MiB, so it is not what is needed here{end}"
                )
            return stream.read()
    except (OSError, ValueError, MemoryError) as error:
        why = error.strerror if isinstance(error, OSError) else as_stress_error(error)
        raise UsageError(f"{named}: cannot be read: {why}{end}") from None


def open_input(path: Path) -> BinaryIO:
    """A file to be read from its beginning, or a pipe; its writer may come a little later. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if stat.S_ISFIFO(os.fstat(descriptor).st_mode) and not _is_written(descriptor):
            raise OSError(errno.ENODATA, f"nobody has begun to write into this pipe for {WRITER_S:g} s", str(path))
        os.set_blocking(descriptor, True)
    except BaseException:
        os.close(descriptor)
        raise
    return open(descriptor, "rb")


def _is_written(pipe: int) -> bool:
    """Is or was there a writer? Waits a little for one. Read at once, a pipe that has none yet is at its end."""
    poll = select.poll()
    poll.register(pipe, select.POLLIN)
    if poll.poll(1000 * WRITER_S):
        return True
    try:
        os.read(pipe, 1)
        return False
    except BlockingIOError:  # somebody has it open and has written nothing yet
        return True


def write_atomically(path: Path, data: bytes) -> None:
    """Replace the file so that a reader sees the old or the new content, even after a power cut.

    What is there and is no plain file, such as /dev/null, is written to and stays what it is. Raises OSError.
    """
    if path.exists() and not path.is_file():
        with open(os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC), "wb") as stream:
            stream.write(data)
        return
    handle, temporary = tempfile.mkstemp(prefix=".new-", dir=path.parent)  # the name itself may be as long as names get
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fchmod(stream.fileno(), 0o644)
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
