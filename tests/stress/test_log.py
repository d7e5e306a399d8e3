"""Logging from forked workers into one place. Each test is a process: the handlers are global."""

import subprocess
import sys
from pathlib import Path

import pytest
from until import PATIENCE

ROOT = Path(__file__).resolve().parents[2]

PROGRAM = """
import logging, multiprocessing, sys
from pathlib import Path
from stress.process.errors import UsageError
from stress.process.log import close_logging, setup_logging

def work(cpu):
    logging.getLogger("stress.play.worker").info("cpu %d is up", cpu)
    logging.getLogger("shm").warning("cpu %d has seen something", cpu)
    logging.getLogger("numba").info("noise of others")

if __name__ == "__main__":
    level, file = sys.argv[1], Path(sys.argv[2]) if len(sys.argv) > 2 else None
    try:
        setup_logging(level, file)
    except UsageError as error:
        sys.exit(str(error))
    assert multiprocessing.get_start_method() == "fork"
    workers = [multiprocessing.Process(target=work, args=(cpu,), name=f"cpu{cpu}") for cpu in range(2)]
    for worker in workers: worker.start()
    for worker in workers: worker.join()
    logging.getLogger("stress").debug("details")
    close_logging()
    assert not logging.getLogger().handlers
"""


def run(tmp_path, *arguments: str):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
    return subprocess.run(
        [sys.executable, str(program), *arguments], capture_output=True, text=True, timeout=PATIENCE, env=environment
    )


def test_records_of_workers_arrive_on_stderr(tmp_path):
    done = run(tmp_path, "info")
    assert done.returncode == 0, done.stderr
    for cpu in range(2):
        assert f"cpu {cpu} is up" in done.stderr and f"cpu{cpu}[" in done.stderr
    assert "noise of others" not in done.stderr and "details" not in done.stderr and done.stdout == ""


def test_a_file_gets_all_and_stderr_the_warnings(tmp_path):
    file = tmp_path / "log"
    done = run(tmp_path, "debug", str(file))
    assert done.returncode == 0, done.stderr
    assert "cpu 1 is up" in file.read_text() and "details" in file.read_text()
    assert "cpu 1 has seen something" in done.stderr and "is up" not in done.stderr


@pytest.mark.parametrize("where", ["/no/such/folder/log", "/"])
def test_a_file_that_cannot_be_written(tmp_path, where):
    done = run(tmp_path, "info", where)
    assert done.returncode == 1 and done.stderr.startswith(f"--log-file {where}: cannot be written")


KILLED = """
import logging, multiprocessing, os, sys, threading
from stress.process.log import close_logging, setup_logging

def take_the_lock(queue):
    queue._wlock.acquire()

def leave_a_record(queue):
    queue._sem.acquire()

def die(what, queues):
    for queue in queues:
        globals()[what](queue)
    os.kill(os.getpid(), 9)

class Thread(threading.Thread):
    waited = 0.0  # seconds that threads were given and did not end in

    def join(self, timeout=None):
        super().join(timeout)
        if self.is_alive():
            Thread.waited += timeout

if __name__ == "__main__":
    threading.Thread = Thread
    setup_logging("info")
    queues = [handler.queue for handler in logging.getLogger().handlers]
    worker = multiprocessing.Process(target=die, args=(sys.argv[1], queues))
    worker.start()
    worker.join()
    logging.getLogger("stress").info("the worker is dead")
    close_logging()
    print(Thread.waited)
"""


@pytest.mark.parametrize("what", ["take_the_lock", "leave_a_record"])
def test_a_worker_killed_in_the_middle_of_a_record_does_not_delay_the_end(tmp_path, what):
    program = tmp_path / "program.py"
    program.write_text(KILLED)
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [sys.executable, str(program), what], capture_output=True, text=True, timeout=PATIENCE, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) == 0, "the library would wait 5 s"
    assert ("the worker is dead" in done.stderr) == (what == "leave_a_record")
