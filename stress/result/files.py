"""Results as files: written whole or not at all, read back with an error that says what is wrong.

`encode` also serves everything else that commands write or print as JSON.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import os
import re
from pathlib import Path

import msgspec

from stress.process.errors import UsageError
from stress.process.files import read_input, write_atomically
from stress.process.streams import printable
from stress.result.data import SCHEMA_VERSION, Result

FILE_NAME = "result.json"
# What decoding a file raises that is not what it should be; nested a thousand deep, it is too deep for the decoder.
BAD_JSON = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def plain_value(value: object) -> object:
    """What msgspec does not know: paths, and the scalars and arrays of NumPy."""
    if isinstance(value, os.PathLike):
        return printable(os.fspath(value))
    if hasattr(value, "tolist"):
        return value.tolist()
    return str(value)


def encode(data: msgspec.Struct) -> bytes:
    """What a command writes or prints as JSON: indented, with a newline at its end.

    Fields come in the order of the struct, but a result's schema_version first.
    """
    plain = msgspec.to_builtins(data, enc_hook=plain_value)
    if isinstance(data, Result):
        plain = {"schema_version": plain.pop("schema_version"), **plain}
    return msgspec.json.format(msgspec.json.encode(plain), indent=2) + b"\n"


def write_result(result: Result, out: Path, now: datetime.datetime | None = None) -> tuple[Result, Path]:
    """Write `out/<run id>/result.json` whole or not at all; return the result with its id, and the path.

    The run id is made here and names a new folder; an existing one is never touched.
    Raises OSError when the folder cannot be made or written.
    """
    now = now or datetime.datetime.now().astimezone()
    digest = hashlib.sha256(encode(result) + now.isoformat().encode()).hexdigest()
    folder = _new_folder(out, f"{now:%Y%m%d-%H%M%S}-{_slug(result.scenario)}-{digest[:4]}")
    created = now.astimezone(datetime.UTC).isoformat(timespec="seconds")
    result = msgspec.structs.replace(result, run_id=folder.name, created=created)
    path = folder / FILE_NAME
    try:
        write_atomically(path, encode(result))
    except BaseException:
        with contextlib.suppress(OSError):
            folder.rmdir()  # a run without a result is none
        raise
    return result, path


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "run"


def _new_folder(out: Path, name: str) -> Path:
    out.mkdir(parents=True, exist_ok=True)
    attempt = 1
    while True:
        folder = out / (name if attempt == 1 else f"{name}-{attempt}")
        try:
            folder.mkdir()
            return folder
        except FileExistsError:
            attempt += 1


def read_result(path: Path) -> Result:
    """Read a result file, or the one in a run's folder.

    Raises UsageError when there is none, it is no JSON, of another schema, or lacks a field.
    """
    path = Path(path)
    if path.is_dir():
        path = path / FILE_NAME
    data = read_input(path)
    try:
        version = msgspec.json.decode(data).get("schema_version")
    except (*BAD_JSON, AttributeError) as error:
        raise UsageError(f"{path}: is not a result of this program ({error})") from None
    if version != SCHEMA_VERSION:
        raise UsageError(f"{path}: has schema_version {version!r}, this program reads {SCHEMA_VERSION!r}")
    try:
        return msgspec.json.decode(data, type=Result)
    except BAD_JSON as error:
        raise UsageError(f"{path}: {error}") from None
