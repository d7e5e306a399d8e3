"""The wheel is whole: it holds every file of the checkout's floors, and works where no checkout is."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from shm import code_cache

ROOT = Path(__file__).resolve().parents[2]
FLOORS = ("shm", "allocators", "scenarios", "stress")

pytestmark = pytest.mark.xdist_group("wheel")  # built once

# Runs before anything else in a process: no file of the checkout is opened, and no program started on one.
GUARD = f"""
import os, sys
FOREIGN = tuple(os.path.join({str(ROOT)!r}, name) + os.sep for name in {(*FLOORS, "tests")!r})

def guard(event, arguments):
    if event in ("open", "subprocess.Popen", "os.exec"):
        for said in arguments[:3]:
            for word in said if isinstance(said, (list, tuple)) else (said,):
                if isinstance(word, (str, bytes)) and os.fsdecode(word).startswith(FOREIGN):
                    raise AssertionError(f"{{event}} of {{word}}")

sys.addaudithook(guard)
"""

IMPORT_ALL = """
import importlib, pathlib

home = pathlib.Path(sys.argv[1])
for path in sorted(home.glob("*/**/*.py")):
    if path.stem == "__main__":
        continue
    name = ".".join(path.relative_to(home).with_suffix("").parts).removesuffix(".__init__")
    module = importlib.import_module(name)
    assert pathlib.Path(module.__file__) == path, (name, module.__file__)
    print(name)
"""

# Whoever reads a file that is no module reads it once.
READ_DATA = """
import shutil
from shm.code_cache import source_hash
from stress import schema
from stress.bench.reference import compile_reference
from stress.claims import recorded
from stress.explore.found.schedule import source_hash as explorer_hash
from stress.profiles import load
from stress.show import html

print(source_hash(), explorer_hash())
assert all(recorded.recorded(scenario) for scenario in ("remote", "leak", "churn"))
assert b"--" in html.document("a page", html.el("body"))  # its style has variables
assert all(schema.path(name).read_bytes() == schema.encode_schema(name) for name in schema.SCHEMAS)
assert "xeon-2014" in load.shipped() and all(load.load(name) for name in load.shipped())
assert shutil.which("cc") is None or compile_reference()
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """The folder that a wheel of this checkout was installed into, as `pip` does it, from copies of its sources."""
    place = tmp_path_factory.mktemp("wheel")
    source = place / "source"
    for floor in FLOORS:  # not in place: what an earlier build left in build/ would be packed too
        shutil.copytree(ROOT / floor, source / floor, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.cfg", "pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, source)
    command = (
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-index",
        "--no-deps",
        "--no-build-isolation",
        "--no-compile",
    )
    done = subprocess.run([*command, "--target", place / "home", source], capture_output=True, text=True, check=False)
    assert done.returncode == 0, (
        f"the wheel is built by setuptools, see `[options.extras_require] test`:\n{done.stderr}"
    )
    shutil.rmtree(source)
    return place / "home"


@pytest.fixture
def installed(home, tmp_path):
    """Run Python code in an empty folder, with the guard, only the installed wheel on its path; returns what it prints.

    `status` is the exit status it must have. Programs are compiled anew, as they go by their sources' paths; functions
    that others compiled from sources with the same content are taken.
    """

    def run(code: str, *arguments: str, status: int = 0) -> str:
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "COV"))}
        environment |= {"PYTHONPATH": str(home), "PYTHONDONTWRITEBYTECODE": "1"}
        command = (sys.executable, "-c", GUARD + code, *arguments)
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == status and "Traceback" not in done.stderr, done.stderr
        return done.stdout

    return run


def stress(installed, *arguments: str, status: int = 0) -> str:
    """Run a command of it; returns what it prints."""
    code = "import runpy\nsys.argv[0] = 'stress'\nrunpy.run_module('stress', run_name='__main__', alter_sys=True)"
    return installed(code, *arguments, status=status)


def files(root: Path) -> set[str]:
    """Every file of the floors below a folder."""
    return {
        str(path.relative_to(root))
        for floor in FLOORS
        for path in (root / floor).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def tracked() -> set[str]:
    """The floors' files that belong to the project: what git has or would add; all there are where this is no clone."""
    command = ("git", "ls-files", "-co", "--exclude-standard", "--", *FLOORS)
    listing = (
        subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False) if shutil.which("git") else None
    )
    if listing is None or listing.returncode:
        return files(ROOT)
    return {name for name in listing.stdout.splitlines() if (ROOT / name).exists()}


def test_the_wheel_has_every_file_of_the_floors_and_nothing_else(home):
    assert files(home) == tracked()
    assert {path.name for path in home.iterdir() if not path.name.endswith(".dist-info")} - {"bin"} == set(FLOORS)


def test_every_module_can_be_imported_from_it_and_what_they_read_is_there(home, installed):
    from stress.explore.found import schedule

    *imported, compiled_from, explored = installed(IMPORT_ALL + READ_DATA, str(home)).split()
    assert len(imported) > 200 and {"allocators", "allocators.slub.free", "stress.play.coordinator"} <= set(imported)
    assert [compiled_from, explored] == [code_cache.source_hash(), schedule.source_hash()], (
        "of the project's sources, and of no others"
    )


def test_its_commands_work_in_an_empty_folder(installed):
    assert "explore" in stress(installed, "--help")
    assert "linux-3.16" in stress(installed, "list")
    found = json.loads(stress(installed, "explore", "R1", "--format", "json", status=1))
    assert found["found"]["kind"] and found["schedule"], found
    where = {step["where"] for step in found["found"]["trace"]} - {""}
    assert where and all(" allocators/" in place or " shm/" in place for place in where), (
        "sources are named from the floor on"
    )


def test_a_run_compiles_and_reports(installed, tmp_path):
    """SLOB's counting loop is the smallest program there is, and a serial run needs no other."""
    smallest = (
        "--serial",
        "--cpus",
        "1",
        "--allocator",
        "slob",
        "--after",
        "v1",
        "--scenario",
        "pairs",
        "--seconds",
        "0.1",
    )
    printed = stress(installed, "run", *smallest, "--quiet")
    assert "Speed was not measured" in printed
    (run,) = (tmp_path / "results").iterdir()
    assert {path.name for path in run.iterdir()} == {"result.json", "report.html"}
