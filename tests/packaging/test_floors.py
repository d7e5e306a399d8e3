"""The floors hold: nothing imports from a floor above or in a circle, and the contracts that say so can break."""

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FLOORS = ("shm", "allocators", "scenarios", "stress")
# Where something is added, what, and what the linter then says: late imports and those for types count.
PLANTED = {
    "shm/clock.py": ("def late():\n    import allocators.designs\n", "shm.clock -> allocators.designs"),
    "allocators/core/bugs.py": (
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from allocators.slub.free import slab_free\n",
        "allocators.core.bugs -> allocators.slub.free",
    ),
    "stress/explore/space/bodies.py": (
        "from stress.explore.races import MODELS\n",
        "stress.explore.space.bodies -> stress.explore.races",
    ),
    "stress/process/errors.py": ("import stress.process.ending\n", ""),
    "stress/process/ending.py": ("import stress.process.errors\n", "No cycles are allowed in stress.process"),
}


def lint(folder: Path) -> subprocess.CompletedProcess:
    """import-linter with the contracts of a folder's setup.cfg, on the packages in that folder."""
    code = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    command = (sys.executable, "-c", code, "--config", "setup.cfg", "--no-cache")
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_nothing_imports_from_a_floor_above_or_in_a_circle():
    done = lint(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


def test_the_contracts_can_break(tmp_path):
    for floor in FLOORS:
        shutil.copytree(ROOT / floor, tmp_path / floor, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "setup.cfg", tmp_path)
    for name, (text, _) in PLANTED.items():
        with (tmp_path / name).open("a") as stream:
            stream.write("\n" + text)
    done = lint(tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert all(expected in done.stdout for _, expected in PLANTED.values()), done.stdout
    assert "4 broken" in done.stdout
