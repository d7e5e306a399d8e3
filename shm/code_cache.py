"""Where compiled code is kept, under a hash of the sources; only what is surely ours is ever deleted."""

from __future__ import annotations

import functools
import logging
import os
import shutil
import stat
import sys
import time
from pathlib import Path

import llvmlite
import numba

from shm import hooks
from shm.numba_internals import PLAIN
from shm.sources import COMPILED, DIGEST, source_digest

log = logging.getLogger(__name__)


KEPT_FOLDERS = 6  # of compiled code, the newest, that in use among them


KEPT_SECONDS = 24 * 3600  # a folder that was used within them is not pruned


PRUNE_LOCK = ".slab-stress-prune.lock"


# The marker by which a folder is known as ours to delete: https://bford.info/cachedir/
_TAG = "CACHEDIR.TAG"


_TAG_TEXT = """\
Signature: 8a477f597d28d172789f06886806bc55
# Made by slab-stress: compiled code, made again when it is missing. slab-stress deletes such folders when they are old.
"""


def source_hash() -> str:
    """Hash of every source file compiled code can come from, of Numba's, llvmlite's and Python's version, and of the
    pipeline.
    """
    versions = f"{numba.__version__} {llvmlite.__version__} {sys.version_info[:3]}"
    return source_digest(*COMPILED, prefix=f"{versions} {'plain' if PLAIN else 'lean'}")


def model_hash() -> str:
    """`source_hash`, and behind it the digest of the plugins that are loaded: what a result was made from."""
    plugins = hooks.digest()
    return f"{source_hash()}+{plugins}" if plugins else source_hash()


@functools.cache
def cache_folder() -> Path:
    """The folder of compiled code for exactly these sources; made if missing, old ones are pruned.

    SLAB_STRESS_CACHE overrides the parent folder (default: the user's cache folder). Raises OSError when
    the folder cannot be made or written. Its mtime says when a process last began to use it.
    """
    import platformdirs

    parent = Path(os.environ.get("SLAB_STRESS_CACHE") or platformdirs.user_cache_dir("slab-stress"))
    folder = parent / source_hash()
    folder.mkdir(parents=True, exist_ok=True)
    if not _is_ours(folder):
        new = folder / f"{_TAG}.{os.getpid()}"  # replaced as a whole: half a marker is none
        new.write_text(_TAG_TEXT)
        new.replace(folder / _TAG)
    os.utime(folder)
    _prune(parent)
    return folder


def _prune(parent: Path) -> None:
    """Delete the folders of compiled code below `parent` that are neither among the newest nor used lately.

    `parent` is the user's, who may keep other things there: only a folder that `_is_ours` goes. What versions
    before the marker made bears none and stays.
    """
    import filelock

    try:
        if not _pruneable(parent):
            return
        # Whoever has the lock prunes for all; there is no need to wait.
        with filelock.FileLock(parent / PRUNE_LOCK, timeout=0):
            for folder in _pruneable(parent):
                _delete(folder)
    except filelock.Timeout:
        pass
    except OSError as error:  # an old folder more is no reason not to run
        log.debug("%s is not pruned: %s", parent, error)


def _pruneable(parent: Path) -> list[Path]:
    used = {folder: folder.lstat().st_mtime for folder in parent.iterdir() if _is_ours(folder)}
    beyond = sorted(used, key=used.__getitem__, reverse=True)[KEPT_FOLDERS:]
    return [folder for folder in beyond if time.time() - used[folder] > KEPT_SECONDS]


def _is_ours(folder: Path) -> bool:
    """Did `cache_folder` make it? Neither it nor its marker may be a link."""
    tag = folder / _TAG
    try:
        return bool(
            DIGEST.fullmatch(folder.name)
            and stat.S_ISDIR(folder.lstat().st_mode)
            and stat.S_ISREG(tag.lstat().st_mode)
            and tag.read_bytes() == _TAG_TEXT.encode()
        )
    except OSError:  # no marker, or none that can be read
        return False


def _delete(folder: Path) -> None:
    """Delete a folder of ours; what cannot be deleted is left, and logged. No link is followed.

    The marker goes last: what is left of a removal that breaks off is still known as ours.
    """
    try:
        for path in folder.iterdir():
            if path.name == _TAG:
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
        (folder / _TAG).unlink()
        folder.rmdir()
    except OSError as error:
        log.debug("old compiled code stays: %s", error)
