"""Plugins: a patch from outside the tree does what the same patch does within it; errors say where they are."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import msgspec
import numba
import numpy as np
import pytest
from bare_machine import BareMachine
from small_world import SmallWorld

from allocators.designs import parse_design
from allocators.slub.partial import put_cpu_partial
from scenarios.checks import validate
from scenarios.registry import build as build_workload
from shm import hooks
from shm.atomics import load, store
from shm.compiler import CHOICES, ENTRY_PIPELINE, dual, dual_slow
from shm.entry import entry
from shm.native import MachineType
from stress import schema
from stress.check import command, parts
from stress.check.plan import make_plan
from stress.check.reviewed import review
from stress.explore.exploring import build
from stress.explore.found.answer import Request
from stress.explore.races import MODELS
from stress.explore.search.search import Budget, search
from stress.plugins.load import load_all, load_file
from stress.plugins.registered import LOADED, take_out
from stress.plugins.skeleton import lay_out
from stress.process.errors import UsageError
from stress.show.progress import Progress

ROOT = Path(__file__).resolve().parents[2]
P7 = ROOT / "examples" / "p7-plugin" / "slab_stress_p7.py"


@pytest.fixture(autouse=True)
def no_trace() -> Iterator[None]:
    before = set(LOADED)
    yield
    for where in [where for where in LOADED if where not in before][::-1]:
        take_out(LOADED[where])


@dual_slow
def counts(m, a: int, by: int) -> int:
    store(m, a, load(m, a) + by)
    return load(m, a)


@dual
def _twice(m, a: int) -> int:
    return counts(m, a, 1) + counts(m, a, 2)


@entry
def program(m, a):
    return _twice(m, a)


TABLE = {"called by nobody's import": counts}


def _assembly(features: frozenset[str]) -> str:
    dispatcher = numba.njit(lambda m, a: _twice(m, a), nogil=True, error_model="numpy", pipeline_class=ENTRY_PIPELINE)
    dispatcher.compile((MachineType(features, ""), numba.int64))
    (asm,) = dispatcher.inspect_asm().values()
    code = re.findall(r"^\t[a-z].*$", asm, re.MULTILINE)  # instructions, without labels and what describes them
    return "\n".join(re.sub(r"[$.\w]*(test_plugins|lambda)\S*", "NAME", line) for line in code)


def test_both_engines_take_the_plugins_code_and_other_programs_stay_as_they_are():
    bare = BareMachine(serial=True, features=frozenset({"TEST_HOOK"}), words=1)
    plain = BareMachine(serial=True, words=1)
    before, folder = _assembly(frozenset()), program.folder("", frozenset())
    unhooked = hooks.original(counts)

    @hooks.replaces(counts, "TEST_HOOK")
    def counts_double(m, a: int, by: int) -> int:
        return unhooked(m, a, 100 * by)

    applied = hooks.apply("digest of the sources")
    try:
        at = bare.at["words"]
        assert TABLE["called by nobody's import"](bare.cpu(1), at, 1) == 100
        assert _twice(bare.cpu(1), at) == 200 + 400
        bare.mem[at] = 0
        assert program(bare.cpu(1), at) == 100 + 300  # compiled
        assert _twice(plain.cpu(1), plain.at["words"]) == 1 + 3
        assert _assembly(frozenset({"OTHER"})) == before != _assembly(bare.features)
        assert program.folder("", frozenset()) == folder
        mine = program.folder("", bare.features)
        hooks.SOURCES["TEST_HOOK"] = "other sources"
        assert program.folder("", bare.features) != mine
    finally:
        hooks.withdraw(applied)
    assert _twice(bare.cpu(1), at) == 301 + 303


def test_p7_as_a_plugin_leaves_the_words_that_p7_leaves():
    code = put_cpu_partial.__code__
    load_file(P7)
    chosen = [CHOICES[put_cpu_partial](parse_design(design).features("slub")) for design in ("v1", "v1+MY_P7")]
    assert chosen[0].__code__ is code and chosen[1].__name__ == "put_if_enabled"  # what is compiled
    left = []
    for design in ("v1", "v1+MY_P7"):
        world = SmallWorld(design)
        done = list(world.churn(seed=7, operations=700))
        assert world.check().violated == []
        left.append((done, world.words.copy()))
    assert left[0][0] == left[1][0] and "offline" in left[0][0]
    assert np.array_equal(left[0][1], left[1][1])
    plain = SmallWorld("v1-P7")
    for _ in plain.churn(seed=7, operations=700):
        pass
    assert not np.array_equal(left[0][1], plain.words)  # the patch matters in this play


@pytest.mark.parametrize("name", ["R12", "R9", "alloc-vs-offline", "remote-free"])
def test_the_explorer_says_the_same_of_p7_as_a_plugin(name):
    load_file(P7)
    model = MODELS[name]
    ends = []
    for design in ("v1", "v1+MY_P7"):
        request = Request(name, "slub", design, model.memory_model, model.cpus)
        found = search(build(request).space(), bound=1, budget=Budget(schedules=5_000))
        ends.append((found.outcome and (found.outcome.kind, found.outcome.points), found.schedules, found.states))
    assert ends[0] == ends[1]


SWITCH = "from allocators.switches import Switch\nS = Switch('OWN_ONE', 'a test', ('slub',))\nSWITCHES = [S]\n"


@pytest.mark.parametrize(
    "text, message",
    [
        ("x = 1\nif x\n", "bad.py:2: SyntaxError"),
        ("\n\nundefined\n", "bad.py:3: NameError: name 'undefined'"),
        ("SWITCHES = ['P1']\n", "SWITCHES holds 'P1', which is no Switch"),
        (SWITCH.replace("OWN_ONE", "P1"), "there is a switch P1 already"),
        (SWITCH.replace("OWN_ONE", "STATS"), "'STATS' is no name of a switch"),
        (
            SWITCH + "from shm.hooks import replaces\nfrom allocators.slub.discard import discard_slab\n"
            "@replaces(discard_slab, S)\ndef other(m, s):\n    pass\n",
            "bad.py:6: other(m, s) cannot replace discard_slab(m, s, page)",
        ),
        (
            SWITCH + "from shm.hooks import replaces\n@replaces(len, S)\ndef other(m):\n    pass\n",
            "bad.py:5: len cannot be replaced",
        ),
        (
            "from shm.hooks import replaces\nfrom allocators.slub.discard import discard_slab\n"
            "@replaces(discard_slab, 'F_OBO')\ndef other(m, s, page):\n    pass\n",
            "bad.py:3: other replaces discard_slab under F_OBO, which is none of the plugin's SWITCHES",
        ),
        (SWITCH + "BASE = 'linux-9'\n", "unknown design 'linux-9'"),
    ],
)
def test_errors_name_the_file_and_the_line_and_leave_nothing(tmp_path, monkeypatch, text, message):
    monkeypatch.chdir(tmp_path)
    Path("bad.py").write_text(text)
    with pytest.raises(UsageError) as error:
        load_file(Path("bad.py"))
    assert message in str(error.value)
    assert not hooks.pending() and "OWN_ONE" not in hooks.SOURCES
    Path("good.py").write_text(SWITCH)
    load_file(Path("good.py"))  # the switch's name is free


def test_a_configuration_is_honoured_only_if_it_is_the_users_alone(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("own.py").write_text(SWITCH)
    Path("slab-stress.toml").write_text('plugins = ["own.py"]\n')
    os.chmod("slab-stress.toml", 0o666)
    assert not load_all() and "left alone" in capsys.readouterr().err
    os.chmod("slab-stress.toml", 0o644)
    os.chmod("own.py", 0o666)
    with pytest.raises(UsageError, match="not yours alone"):
        load_all()
    os.chmod("own.py", 0o644)
    assert [plugin.switches[0].name for plugin in load_all()] == ["OWN_ONE"]
    assert capsys.readouterr().err == "plugin own.py: switch OWN_ONE\n"
    load_all()
    assert capsys.readouterr().err == ""


TOML = """
name = "own-mail"
[cgroups]
cgroups = 6
active = 3
rounds = 16
operations = 4000
[[caches]]
name = "mail"
size = 320
weight = 3
remote_share = 1.0
[[caches]]
name = "dentry"
life = 9.0
"""


def test_a_scenario_from_toml_is_a_sound_workload(tmp_path):
    path = tmp_path / "mail.toml"
    path.write_text(TOML)
    load_file(path)
    load_, parameters = build_workload("own-mail", {"zipf": "0.5"}, cpus=3, seed=2)
    validate(load_)
    assert [(cache.name, cache.object_size) for cache in load_.caches] == [("mail", 320), ("dentry", 192)]
    assert parameters["cgroups"] == 6 and parameters["caches"] == ("mail", "dentry")
    for wrong, message in (("size = 320", "size = 321"), ("active = 3", "active = 30"), ("rounds", "round")):
        path.with_name("wrong.toml").write_text(TOML.replace(wrong, message))
        with pytest.raises(UsageError, match="wrong.toml: "):
            load_file(path.with_name("wrong.toml"))


def test_an_installed_package_is_found_by_its_entry_points(tmp_path, monkeypatch, capsys):
    points = tomllib.loads(P7.with_name("pyproject.toml").read_text())["project"]["entry-points"]
    info = tmp_path / "slab_stress_p7-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: slab-stress-p7\nVersion: 1\n")
    (info / "entry_points.txt").write_text(
        "".join(f"[{group}]\n{name} = {value}\n" for group, named in points.items() for name, value in named.items())
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.syspath_prepend(P7.parent)
    monkeypatch.chdir(tmp_path)
    try:
        (plugin,) = load_all()
        assert (plugin.where, plugin.base, len(plugin.hooks)) == ("slab-stress-p7", "v1-P7", 5)
        assert capsys.readouterr().err.startswith("plugin slab-stress-p7 (installed): switch MY_P7")
    finally:
        sys.modules.pop("slab_stress_p7", None)


def test_the_command_line_loads_a_plugin(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "stress", "list", "designs", "--plugin", str(P7)],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "MY_P7" in done.stdout and f"plugin {P7}: switch MY_P7, in the place of slub_shrink" in done.stderr


@pytest.mark.parametrize("kind, name", [("switch", "OWN_PATCH"), ("scenario", "own-storm")])
def test_a_new_plugin_works_and_its_test_passes(tmp_path, kind, name):
    *_, test = lay_out(kind, name, tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "stress.pytest_plugin", str(test),
         "-k", "not its_remote_frees"],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    with pytest.raises(UsageError, match="there already"):
        lay_out(kind, name, tmp_path)


FAULTY = (
    SWITCH
    + """
from shm.hooks import replaces
from allocators.slub.partial import put_cpu_partial
@replaces(put_cpu_partial, S)
def forgets_the_slab(m, s, page, drain):
    pass
"""
)


def test_check_sees_what_a_faulty_patch_breaks(tmp_path, monkeypatch):
    path = tmp_path / "faulty.py"
    path.write_text(FAULTY)
    monkeypatch.setattr("stress.explore.races.MODELS", {name: MODELS[name] for name in ("remote-free", "R8b")})
    plan = make_plan(
        load_file(path), before="v3", after=None, allocator=None, steps=None, seconds=1, budget=5, preemptions=1,
        seed=1, jobs=1,
    )  # fmt: skip
    assert (plan.after, plan.allocator, plan.release) == ("v3+OWN_ONE", "slub", None)
    part = parts.races(plan, Progress(quiet=True))
    assert part.status == parts.FAILED, part
    assert "1 worse" in part.lines[0] and "remote-free: nothing before" in part.lines[1]
    passed = parts.Part("Other", parts.PASSED, ["12 of 12"])
    found = json.loads(msgspec.json.encode(review(plan, [passed, part], 1.0, 1)))
    jsonschema.validate(found, json.loads(schema.path("review").read_text()))
    assert [(q["title"], q["status"]) for q in found["questions"]] == [("Other", "passed"), (part.title, "FAILED")]
    assert found["replaced"] == ["put_cpu_partial"] and found["switches"][0]["name"] == "OWN_ONE"
    text = command.report(plan, [passed, part], 1.0)
    assert command.exit_status([passed, part]) == 1 and command.exit_status([passed]) == 0
    assert "OWN_ONE: a test" in text and "in the place of: put_cpu_partial" in text
    assert (
        max(len(line) for line in text.splitlines() if "$" not in line and str(tmp_path) not in line) <= command.WIDTH
    )
