"""`new switch|scenario NAME`: a plugin that works, with a test, for a start."""

from __future__ import annotations

import re
from pathlib import Path
from string import Template

from stress.process.errors import UsageError

SWITCH, SCENARIO = "switch", "scenario"
SWITCH_NAME = re.compile(r"[A-Z][A-Z0-9_]*[a-z0-9]*")  # as `shm.hooks.NAME`
SCENARIO_NAME = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")

_PATCH = '''\
"""$name: what the patch changes, and why.

    python -m stress run --serial --plugin $file.py --after linux-3.16+$name
    python -m stress check $file.py
"""

from __future__ import annotations

from allocators.memcg.memcontrol import memcg_cache_dead
from allocators.slub.partial import put_cpu_partial, unfreeze_partials
from allocators.switches import Switch
from shm.atomics import local_irq_restore, local_irq_save
from shm.hooks import original, replaces
from shm.machine import Machine

# group: versions of one change. needs: any one of these must be on too. See `allocators.switches.Switch`.
$name = Switch("$name", "frees into dead caches leave nothing on the CPU partial list", ("slub",), needs=("P3", "P3v3"))
SWITCHES = [$name]
BASE = "linux-3.16+P2+P3"  # what `check` compares with
LIVE_UNCHANGED = True  # `check` holds it to a recorded kernel, counter by counter, while no cgroup is taken offline

unpatched = original(put_cpu_partial)


@replaces(put_cpu_partial, $name)
def patched(m: Machine, s: int, page: int, drain: bool) -> None:
    """put_cpu_partial. Any function marked `dual` can be replaced so; it is plain integer code, compiled by Numba."""
    unpatched(m, s, page, drain)
    if drain and memcg_cache_dead(m, s):
        flags = local_irq_save(m)
        unfreeze_partials(m, s)
        local_irq_restore(m, flags)
'''

_PATCH_TEST = '''\
"""$name in every interleaving of a small scene: pytest $test"""

from __future__ import annotations

from pathlib import Path

import pytest

from stress.explore.races import MODELS
from stress.plugins.load import load_file

load_file(Path(__file__).with_name("$file.py"))


@pytest.mark.stress_explore(preemptions=1)
def test_a_free_on_another_cpu(stress_explorer):
    """Other scenes: `python -m stress list races`."""
    stress_explorer.run(MODELS["remote-free"].build("linux-3.16+P2+P3+$name", cpus=2))
'''

_STORM = """\
# python -m stress run --serial --plugin $file.toml --scenario $name
name = "$name"
summary = "Which question does it ask?"

# Any parameter of offline-storm (`python -m stress list scenarios`): how many cgroups come and go, how often, and how
# long objects live; `--set` changes them again.
[cgroups]
cgroups = 48          # in all
active = 12           # online at a time
rounds = 60           # cgroups come and go between rounds
operations = 100_000  # allocations and frees of each CPU
lifetime = 2.0        # median life of an object, in rounds
remote_share = 0.1    # of objects, freed on another CPU

[[caches]]
name = "session"
size = 320            # bytes
weight = 3            # its part of all allocations, relative
life = 4.0            # its objects live so many times as long
remote_share = 0.8    # who frees: another CPU, mostly

[[caches]]
name = "dentry"       # of a known cache what is left out is taken from the kernel's
"""

_STORM_TEST = '''\
"""$name is a sound workload, and its caches' objects do what the file says: pytest $test"""

from __future__ import annotations

from pathlib import Path

import pytest

from scenarios.checks import validate
from scenarios.registry import build
from stress.explore.races import MODELS
from stress.plugins.load import load_file

load_file(Path(__file__).with_name("$file.toml"))


def test_no_cpu_waits_for_ever_and_every_object_is_freed():
    workload, parameters = build("$name", {"operations": "2000"}, cpus=3, seed=1)
    validate(workload)
    assert parameters["operations"] == 2000


@pytest.mark.stress_explore(preemptions=1)
def test_its_remote_frees_in_every_interleaving(stress_explorer):
    """Who frees on another CPU, as most of the file's sessions are, in a scene that is small enough to exhaust."""
    stress_explorer.run(MODELS["remote-free"].build("linux-3.16", cpus=2))
'''


def lay_out(kind: str, name: str, folder: Path) -> list[Path]:
    """Write a plugin and its test, nothing over what is there. Returns the files.

    Raises UsageError for a name that cannot be, a file that exists, or a folder that cannot be written.
    """
    pattern, shape = (SWITCH_NAME, "MY_PATCH") if kind == SWITCH else (SCENARIO_NAME, "my-storm")
    if not pattern.fullmatch(name):
        raise UsageError(f"{name!r} is no name of a {kind}: something like {shape} is needed")
    if kind == SWITCH:
        from allocators.switches import SWITCHES as known
    else:
        from scenarios.registry import SCENARIOS as known  # type: ignore[assignment]
    if name in known:
        raise UsageError(f"there is a {kind} {name} already; give yours another name")
    file = name.lower().replace("-", "_")
    test = f"test_{file}.py"
    texts = {f"{file}.py": _PATCH, test: _PATCH_TEST} if kind == SWITCH else {f"{file}.toml": _STORM, test: _STORM_TEST}
    written = []
    for path in (folder / each for each in texts):
        if path.exists() or path.is_symlink():
            raise UsageError(f"{path} is there already; nothing was written")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for each, text in texts.items():
            with (folder / each).open("x") as stream:
                stream.write(Template(text).substitute(name=name, file=file, test=test))
            written.append(folder / each)
    except OSError as error:
        raise UsageError(f"{folder}: {error.strerror}") from None
    return written
