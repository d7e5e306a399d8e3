"""What the system refuses becomes a sentence, in one place.

Every name, number and file that a user gives reaches the system somewhere, and there it can fail in ways that no check
foresees: a name too long for a folder, a loop of links, a file that goes away, a full disk, no memory, no process left.
Whoever knows more (the option, what to do instead) says so itself; what nobody has caught ends here.
"""

from __future__ import annotations

import errno
import sys

from stress.process.errors import DamagedRun, StressError, UsageError

MOST_LETTERS = 100  # of a name in a sentence
# What is wrong with a name that was given, and not with the system under it.
_NAMES = frozenset(
    {
        errno.ENAMETOOLONG, errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ELOOP, errno.EACCES,
        errno.EPERM, errno.EROFS, errno.ENXIO, errno.EINVAL, errno.EILSEQ, errno.ENODEV,
    }
)  # fmt: skip


def as_stress_error(error: BaseException) -> StressError | None:
    """The error as one with a text and an exit status: bad usage if a name is to blame, a damaged run otherwise.

    None for what only a fault of this program can raise.
    """
    if isinstance(error, StressError):
        return error
    if isinstance(error, OSError):
        named = shortened(error.filename) if error.filename is not None else ""
        why = error.strerror or str(error) or type(error).__name__
        kind = UsageError if named and error.errno in _NAMES else DamagedRun
        return kind(f"{named}: {why}" if named else f"the system refused: {why}")
    if isinstance(error, MemoryError) or (isinstance(error, ImportError) and "failed to map segment" in str(error)):
        return DamagedRun(
            "memory is short here; ask for less: fewer CPUs or jobs, a smaller --memory, a smaller workload"
        )
    if isinstance(error, UnicodeError):
        return UsageError(f"a name or a text is not UTF-8: {error}")
    if isinstance(error, ValueError) and "null byte" in str(error):
        return UsageError("a name holds a null byte, which no file's name can")
    if isinstance(error, ValueError) and "integer string conversion" in str(error):
        return UsageError(f"a number has too many digits; Python reads up to {sys.get_int_max_str_digits():,}")
    if isinstance(error, RecursionError):
        return UsageError("a file nests deeper than Python can follow")
    if isinstance(error, RuntimeError) and "can't start new thread" in str(error):
        return DamagedRun("the system refused another thread; allow more (`ulimit -u`, `ulimit -v`)")
    return None


def shortened(name: object) -> str:
    """A file's name for a sentence: its beginning and end if it is long, in letters that can be printed."""
    text = name.decode("utf-8", "backslashreplace") if isinstance(name, bytes) else str(name)
    if len(text) > MOST_LETTERS:
        text = f"{text[: MOST_LETTERS // 2]}…{text[-MOST_LETTERS // 2 :]} ({len(text)} letters)"
    return text if text.isprintable() else repr(text)[1:-1]
