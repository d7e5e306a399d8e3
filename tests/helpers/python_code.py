"""Code in a process of its own, which has to import Numba and the machine anew."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

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
