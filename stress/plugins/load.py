"""Where plugins come from, and how they are run: files that the user names, and packages that the user installed.

    --plugin FILE                   my_patch.py, or a scenario as TOML
    slab-stress.toml                `plugins = ["my_patch.py"]` in the working folder; only if it, and each file that it
                                    names, is the user's own and nobody else may write it
    entry points                    slab_stress.switches, .designs, .scenarios, .machines of installed packages

Nothing else is run. A file is read once: what is checked, hashed and run are the same bytes. Processes that a command
starts are forked, so they have what it has loaded.
"""

from __future__ import annotations

import hashlib
import os
import stat
import sys
import tomllib
import traceback
import types
from collections.abc import Iterable, Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from stress.plugins.registered import LISTS, LOADED, Plugin, take_in
from stress.process.errors import UsageError

CONFIG = "slab-stress.toml"
GROUPS = tuple(f"slab_stress.{name.lower()}" for name in LISTS)
MOST_BYTES = 1 << 20
PREFIX = "slab_stress_plugin_"


def load_all(files: Sequence[Path] = ()) -> list[Plugin]:
    """Load installed plugins, those of the working folder's `slab-stress.toml`, then these files; each once.

    What is loaded is said on stderr, once. Raises UsageError with the file and, where there is one, the line.
    """
    plugins = [*_installed(), *(load_file(path, own=True) for path in _configured()), *map(load_file, files)]
    return list({plugin.where: plugin for plugin in plugins}.values())


def load_file(path: Path, *, own: bool = False) -> Plugin:
    """Load one file, if it is not loaded yet. own: only if it is the user's. Raises UsageError."""
    path = Path(os.path.abspath(path))
    where = str(path)
    if where in LOADED:
        return LOADED[where]
    # Plugins import NumPy before a session begins: BLAS threads would be forked over (`stress.play.session`).
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    data = _read(path, own)
    digest = hashlib.sha256(data).hexdigest()
    if path.suffix == ".toml":
        from scenarios.own import OwnScenarioError, from_toml

        try:
            found: dict[str, Any] = {"SCENARIOS": [from_toml(data, shown(where))]}
        except OwnScenarioError as error:
            raise UsageError(str(error)) from None
    else:
        module = types.ModuleType(f"{PREFIX}{path.stem}_{digest[:8]}")
        module.__file__ = where
        with _blaming(where):
            code = compile(data, where, "exec")
        sys.modules[module.__name__] = module
        beside = set(sys.modules)
        with _blaming(where):
            exec(code, module.__dict__)
        digest = _with_helpers(digest, path.parent, set(sys.modules) - beside)
        found = vars(module)
    return _loaded(where, found, digest, f"plugin {shown(where)}")


def _loaded(where: str, found: dict[str, Any], digest: str, said: str) -> Plugin:
    from shm import hooks

    try:
        plugin = take_in(where, found, digest)
    finally:
        hooks.forget()  # what `take_in` did not apply
    LOADED[where] = plugin
    print(f"{said}: {', '.join(brought(plugin)) or 'nothing'}", file=sys.stderr)
    return plugin


def brought(plugin: Plugin) -> Iterator[str]:
    """What a plugin has, for a line on stderr."""
    for what, names in (
        ("switch", [switch.name for switch in plugin.switches]),
        ("design", [design.name for design in plugin.designs]),
        ("scenario", [scenario.name for scenario in plugin.scenarios]),
        ("machine", list(plugin.machines)),
        ("in the place of", list(dict.fromkeys(hook.function.__name__ for hook in plugin.hooks))),
    ):
        if names:
            yield f"{what} {' '.join(names)}"


def shown(where: str) -> str:
    """A file's name in messages: from the working folder on, where it lies in it."""
    path, here = Path(where), Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else where


def _read(path: Path, own: bool) -> bytes:
    """A regular file's bytes; own: UsageError unless it is the user's own and only the user may write it."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (os.O_NOFOLLOW if own else 0))
    except OSError as error:
        raise UsageError(f"--plugin {shown(str(path))}: {error.strerror}") from None
    with os.fdopen(descriptor, "rb") as stream:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise UsageError(f"--plugin {shown(str(path))}: is no file; give a .py file, or a scenario as .toml")
        if own and not _is_own(status):
            raise UsageError(
                f"{CONFIG} names {shown(str(path))}, which is not yours alone: it is run only if you own it and nobody "
                "else may write it; name it with --plugin if you mean it"
            )
        data = stream.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise UsageError(f"--plugin {shown(str(path))}: longer than {MOST_BYTES >> 20} MiB")
    return data


def _is_own(status: os.stat_result) -> bool:
    return status.st_uid == os.geteuid() and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _configured() -> list[Path]:
    """The files that the working folder's `slab-stress.toml` names, if it is the user's own."""
    path = Path(CONFIG)
    if not path.is_file():
        return []
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as stream:
            if not _is_own(os.fstat(stream.fileno())):
                print(f"{CONFIG} is left alone: it is not yours, or others may write it", file=sys.stderr)
                return []
            found = tomllib.loads(stream.read(MOST_BYTES).decode())
    except OSError as error:
        raise UsageError(f"{CONFIG}: {error.strerror}") from None
    except ValueError as error:
        raise UsageError(f"{CONFIG}: not TOML: {error}") from None
    plugins = found.pop("plugins", [])
    if found:
        raise UsageError(f"{CONFIG}: {next(iter(found))} is not known; allowed is plugins")
    if not isinstance(plugins, list) or not all(isinstance(name, str) and name for name in plugins):
        raise UsageError(f"{CONFIG}: plugins is a list of files, such as plugins = ['my_patch.py']")
    return [Path(name) for name in plugins]


def _installed() -> list[Plugin]:
    """Plugins of installed packages: all entry points of a package are one plugin."""
    packages: dict[str, list[metadata.EntryPoint]] = {}
    every = metadata.entry_points()
    for group in GROUPS:
        for point in every.select(group=group):
            os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
            packages.setdefault(point.dist.name if point.dist else point.module, []).append(point)
    plugins = []
    for package, points in sorted(packages.items()):
        if package in LOADED:
            plugins.append(LOADED[package])
            continue
        found: dict[str, Any] = {}
        files: set[Path] = set()
        for point in sorted(points, key=lambda point: (point.group, point.name)):
            with _blaming(f"{package}: entry point {point.name} = {point.value}"):
                thing = point.load()
            name = point.group.rpartition(".")[2].upper()
            if isinstance(thing, types.ModuleType):
                for key in ("BASE", "LIVE_UNCHANGED"):
                    if key in vars(thing):
                        found[key] = getattr(thing, key)
                thing = getattr(thing, name, ())
            many = isinstance(thing, Iterable) and not isinstance(thing, str)
            listed = found.setdefault(name, [])
            listed += [each for each in (thing if many else (thing,)) if each not in listed]
            files |= _files_of(point.module)
        digest = hashlib.sha256()
        for file in sorted(files):
            digest.update(file.name.encode() + b"\0" + file.read_bytes())
        plugins.append(_loaded(package, found, digest.hexdigest(), f"plugin {package} (installed)"))
    return plugins


def _files_of(module: str) -> set[Path]:
    """The sources of a module, or of all of its package."""
    top = sys.modules[module.partition(".")[0]]
    file = Path(top.__file__ or "")
    return set(file.parent.rglob("*.py")) if hasattr(top, "__path__") else {file}


def _with_helpers(digest: str, folder: Path, imported: set[str]) -> str:
    """The digest of a plugin together with the modules beside it that it imported."""
    whole = hashlib.sha256(digest.encode())
    for name in sorted(imported):
        file = getattr(sys.modules[name], "__file__", None)
        if file and Path(file).suffix == ".py" and Path(file).is_relative_to(folder) and "site-packages" not in file:
            whole.update(name.encode() + b"\0" + Path(file).read_bytes())
    return whole.hexdigest()


class _blaming:
    """Errors of a plugin's own code become one line, with its file and the line in it."""

    def __init__(self, where: str) -> None:
        self.where = where

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if error is None or isinstance(error, (UsageError, KeyboardInterrupt)):
            return
        from shm.hooks import HookError, forget

        forget()
        where, line = self.where, 0
        if isinstance(error, SyntaxError):
            line = error.lineno or 0
            text = f"{type(error).__name__}: {error.msg}"
        else:
            text = str(error) if isinstance(error, HookError) else f"{type(error).__name__}: {error}"
            frames = traceback.extract_tb(trace)
            lines = [frame.lineno for frame in frames if frame.filename == where]
            if isinstance(error, HookError) and error.file == where:
                line = error.line
            elif lines:
                line = lines[-1] or 0
        raise UsageError(f"{shown(where)}{f':{line}' if line else ''}: {text}") from None
