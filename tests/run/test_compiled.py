"""Compilation in helper processes: shared out, survivable, interruptible."""

import os
import signal
import threading
import time

import psutil
import pytest
from until import until

from stress.play import compiled
from stress.process import ending
from stress.process.errors import UsageError


class Program:
    """Stands for an entry point: compiling it takes a while, and what is done is a file."""

    def __init__(self, folder, name: str) -> None:
        self.path = folder / name
        self.name = name

    def is_cached(self, kernel, features) -> bool:
        return self.path.exists()

    def compile(self, kernel, features) -> None:
        if not self.is_cached(kernel, features):
            time.sleep(0.2)
            self.path.write_text(str(os.getpid()))


class Broken(Program):
    def compile(self, kernel, features) -> None:
        raise TypeError("no such operand")


class Endless(Program):
    """Leaves a file when it begins."""

    def compile(self, kernel, features) -> None:
        self.path.with_suffix(".begun").touch()
        while True:
            signal.pause()


class Victim(Program):
    """Kills the first process that compiles it."""

    def compile(self, kernel, features) -> None:
        first = self.path.with_suffix(".first")
        if not first.exists():
            first.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        super().compile(kernel, features)


def targets(*programs):
    return [(program, "slub", frozenset()) for program in programs]


def test_helpers_compile_and_this_process_does_not(tmp_path):
    programs = [Program(tmp_path, f"p{i}") for i in range(5)]
    said: list[str] = []
    assert compiled.ready(targets(*programs), lambda text, state: said.append(text)) > 0
    assert all(int(program.path.read_text()) != os.getpid() for program in programs)
    assert said[0].startswith("compiling: 0 of 5 programs")
    said.clear()
    compiled.ready(targets(*programs), lambda text, state: said.append(text))
    assert said == []


def test_a_killed_helper_is_replaced(tmp_path):
    programs = [Victim(tmp_path, "victim"), *(Program(tmp_path, f"p{i}") for i in range(3))]
    compiled.ready(targets(*programs))
    assert all(int(program.path.read_text()) != os.getpid() for program in programs)


def test_what_cannot_be_compiled_is_shown(tmp_path):
    with pytest.raises(TypeError, match="no such operand"):
        compiled.ready(targets(Broken(tmp_path, "broken"), Program(tmp_path, "fine")))


def test_ctrl_c_leaves_no_helper(tmp_path):
    def interrupt():
        until(lambda: list(tmp_path.glob("*.begun")))
        os.kill(os.getpid(), signal.SIGINT)

    before = set(psutil.Process().children())
    handlers = {number: signal.getsignal(number) for number in ending.SIGNALS}
    with ending.interruptible():
        interrupter = threading.Thread(target=interrupt)
        interrupter.start()
        with pytest.raises(KeyboardInterrupt, match="SIGINT"):
            compiled.ready(targets(*(Endless(tmp_path, f"p{i}") for i in range(4))))
        interrupter.join()
    for number, handler in handlers.items():
        signal.signal(number, handler)
    assert set(psutil.Process().children()) <= before


def test_a_cache_that_cannot_be_written(monkeypatch):
    def refuse():
        raise PermissionError(13, "Permission denied", "/cache")

    monkeypatch.setattr(compiled, "cache_folder", refuse)
    with pytest.raises(UsageError, match="SLAB_STRESS_CACHE"):
        compiled.ready([])
