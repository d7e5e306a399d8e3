"""The programs that are compared, and where the libraries of three of them are looked for."""

from __future__ import annotations

import ctypes
import ctypes.util
import dataclasses
from typing import Literal

from allocators.catalogue import DEFAULT
from stress.process.errors import UsageError

Kind = Literal["ours", "C", "malloc", "nothing"]


class NotInstalled(Exception):
    """A library that is not there; the text says how to install it."""


@dataclasses.dataclass(frozen=True, slots=True)
class Library:
    """A malloc as a shared library. files: names the loader may know it by; package: of Debian and Ubuntu."""

    files: tuple[str, ...]
    package: str
    malloc: str = "malloc"
    free: str = "free"


@dataclasses.dataclass(frozen=True, slots=True)
class Program:
    """One row of the comparison. kernel and design are those of the compiled program, for "malloc" only of its
    engine.
    """

    name: str
    about: str
    kind: Kind
    kernel: str = DEFAULT
    design: str = "linux-3.16"
    library: Library | None = None


BASELINE = "glibc"

PROGRAMS: dict[str, Program] = {
    p.name: p
    for p in (
        Program("glibc", "the C library's malloc", "malloc"),
        Program("slub", "SLUB of Linux 3.16", "ours"),
        Program("slab", "SLAB of Linux 3.16", "ours", kernel="slab"),
        Program("slob", "SLOB of Linux 3.16", "ours", kernel="slob"),
        Program("linux-6.18", "SLUB of Linux 6.18, with sheaves", "ours", design="linux-6.18-F_SHEAFASK"),
        Program("linux-7.0", "SLUB of Linux 7.0, sheaves and no CPU slabs", "ours", design="linux-7.0"),
        Program(
            "mimalloc", "mimalloc", "malloc",
            library=Library(
                ("libmimalloc.so.2", "libmimalloc.so.3", "libmimalloc.so"), "libmimalloc2.0", "mi_malloc", "mi_free"
            ),
        ),
        Program(
            "jemalloc", "jemalloc", "malloc",
            library=Library(("libjemalloc.so.2", "libjemalloc.so"), "libjemalloc2"),
        ),
        Program(
            "tcmalloc", "tcmalloc of gperftools", "malloc",
            library=Library(
                ("libtcmalloc_minimal.so.4", "libtcmalloc.so.4", "libtcmalloc_minimal.so"),
                "libtcmalloc-minimal4", "tc_malloc", "tc_free",
            ),
        ),
        Program("slub in C", "the same SLUB, written by hand in C", "C"),
        Program("nothing", "the engine without an allocator", "nothing"),
    )
}  # fmt: skip


def load_library(program: Program, path: str | None = None) -> tuple[ctypes.CDLL, str]:
    """The program's library, loaded for itself, and the file it came from.

    path: take this file. Raises NotInstalled, or UsageError for a path that is no such library.
    """
    library = program.library
    if library is None:
        return ctypes.CDLL(None), "the C library of this process"
    refused = ""
    for name in [path] if path else library.files:
        try:
            found = ctypes.CDLL(name)
            getattr(found, library.malloc), getattr(found, library.free)
            return found, _file_of(name)
        except (OSError, AttributeError) as error:
            if path:
                raise UsageError(f"--library {program.name}={path}: {error}") from None
            if "cannot open shared object file" not in str(error):
                refused = str(error)
    if refused:
        raise NotInstalled(f"it is there but cannot be used: {refused}")
    raise NotInstalled(
        f"not installed: `apt install {library.package}`, or name its file with --library {program.name}=PATH"
    )


def _file_of(name: str) -> str:
    """The path of the loaded library that was asked for by this name, links followed; the name itself where the kernel
    does not tell.
    """
    stem = name.rpartition("/")[2].partition(".so")[0] + ".so"
    try:
        with open("/proc/self/maps", encoding="utf-8") as lines:
            paths = (line.split(maxsplit=5)[-1].strip() for line in lines)
            return next((path for path in paths if path.rpartition("/")[2].startswith(stem)), name)
    except OSError:
        return name
