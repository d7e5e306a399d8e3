"""Where cases are played: a folder, temporary files and shared memory of their own, whatever else the machine does.

Where mounts are allowed (root, or a container that has them), a player has a mount namespace of its own: a /dev/shm of
its own, a disk that is full, one that is read-only, and / itself read-only. Elsewhere folders do, without a full disk,
and nobody looks at /dev/shm.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import tempfile
from pathlib import Path

from shm.code_cache import cache_folder

_NEWNS, _RDONLY, _REMOUNT, _BIND, _REC, _PRIVATE = 0x20000, 1, 32, 4096, 16384, 1 << 18
_DETACH = 2
_libc = ctypes.CDLL(None, use_errno=True)


def _mount(kind: str, path: Path, flags: int, data: str = "", source: str = "storm") -> None:
    if _libc.mount(source.encode(), os.fsencode(path), kind.encode(), flags, data.encode()):
        raise OSError(ctypes.get_errno(), f"mount {path}: {os.strerror(ctypes.get_errno())}")


class World:
    """A player's. path: where commands are; made anew for every case by `renew`."""

    def __init__(self, base: Path, kept: tuple[Path, ...]) -> None:
        """base: a new folder for all that is the player's. kept: folders elsewhere that stay writable."""
        self.base = base
        self.path, self.temporary, self.home = base / "world", base / "tmp", base / "home"
        self.full, self.readonly, self.cold = base / "full", base / "readonly", base / "cold"
        for folder in (self.path, self.temporary, self.home, self.full, self.readonly, self.cold):
            folder.mkdir(parents=True)
        self.mounted = self._mount(kept)
        if not self.mounted:
            self.readonly.chmod(0o500)

    def _mount(self, kept: tuple[Path, ...]) -> bool:
        if _libc.unshare(_NEWNS):
            return False
        try:
            _mount("", Path("/"), _REC | _PRIVATE)
            _mount("tmpfs", self.base, 0, "size=1g")
            for folder in (self.path, self.temporary, self.home, self.full, self.readonly, self.cold):
                folder.mkdir(parents=True)
            _mount("tmpfs", Path("/dev/shm"), 0, "size=1g")
            _mount("tmpfs", self.full, 0, "size=64k")
            _mount("tmpfs", self.readonly, _RDONLY, "size=64k")
            for folder in kept:
                _mount("", folder, _BIND, source=str(folder))
            _mount("", Path("/"), _REMOUNT | _BIND | _RDONLY)
        except OSError:
            return False
        return True

    def renew(self, files: dict[str, bytes], full: tuple[str, ...] = ()) -> None:
        """Empty everything, and lay out files; folders named in `full` lie on the full disk."""
        for folder in (self.path, self.temporary, self.home, self.cold, self.full):
            _empty(folder)
        if self.mounted:
            with contextlib.suppress(OSError), (self.full / "filler").open("wb", buffering=0) as filler:
                while filler.write(bytes(4096)):
                    pass
            _empty(Path("/dev/shm"))
        for name, data in files.items():
            path = self.path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        for name in full:
            if name == "tmp" or (self.path / name).exists():
                continue
            (self.path / name).symlink_to(self.full)

    def traps(self) -> None:
        """What command lines name and is no plain file: a pipe, a loop of links, a device, folders of all kinds."""
        os.mkfifo(self.path / "pipe")
        (self.path / "loop").symlink_to("loop")
        (self.path / "device").symlink_to("/dev/zero")
        (self.path / "full").symlink_to(self.full)
        (self.path / "readonly").symlink_to(self.readonly)
        (self.path / "locked").mkdir(exist_ok=True)
        (self.path / "locked").chmod(0)
        (self.path / "empty").write_bytes(b"")

    def left(self) -> list[str]:
        """What nobody may leave: temporary files, and names in /dev/shm where that is the player's own."""
        found = [f"left in the temporary folder: {path.name}" for path in self.temporary.iterdir()]
        if self.mounted:
            found += [f"left in /dev/shm: {name}" for name in sorted(os.listdir("/dev/shm"))]
        return found

    def half(self) -> list[str]:
        """Files that were not written to their end."""
        return [f"half a file: {path.relative_to(self.path)}" for path in self.path.rglob(".new-*")]


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o700)
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def compile_cache() -> Path:
    """The folder that SLAB_STRESS_CACHE means, which cases share; made if it is missing."""
    parent = cache_folder().parent
    os.environ["SLAB_STRESS_CACHE"] = str(parent)
    return parent


def base_folder() -> Path:
    """A new folder for the worlds of all players."""
    return Path(tempfile.mkdtemp(prefix="storms-"))
