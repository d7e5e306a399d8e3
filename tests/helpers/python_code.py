"""Code in a process of its own, which has to import Numba and the machine anew, or at least has compiled nothing."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from forked import Forked
from until import PATIENCE

ROOT = Path(__file__).parents[2]


def python(code: str, cache: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
    """Run it. cache: of compiled code. Numba's own pipeline is only taken if `environment` says so."""
    kept = {name: value for name, value in os.environ.items() if name != "SLAB_STRESS_PLAIN_NUMBA"}
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        env=kept | {"SLAB_STRESS_CACHE": str(cache), "PYTHONPATH": os.pathsep.join(sys.path)} | environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )


def forked(code: str, cache: Path, *arguments: str) -> str:
    """Run it in a process that has imported much and compiled nothing; what it prints. cache: as for `python`."""
    environment = dict(os.environ) | {"SLAB_STRESS_CACHE": str(cache)}
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        process = Forked([code, *arguments], ROOT, environment, out, err, module="python_code")
        assert process.wait(PATIENCE) == 0, err.read_text()
        return out.read_text()


if __name__ == "__main__":
    sys.argv.pop(0)
    exec(compile(sys.argv[0], "<code>", "exec"), {"__name__": "__main__"})
