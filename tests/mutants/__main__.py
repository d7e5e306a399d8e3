"""`python -m tests.mutants judge`: does a test fail for each small change of what decides verdicts?

Cosmic Ray makes the mutants and keeps the session (its `cr-html` and `cr-report` read it); `ROOM.toml` beside this file
is its configuration, with the tests that must kill them. What is done here is to play them fast, and to compare with
what was argued:

- A mutant inside a function is played in a fork of a process in which the tests stand ready (`standing`). Any other,
  and with `--anew` all of them, in a fork of a process that has imported all that no mutant can change, so it takes
  tests, not imports. Sources are changed in a copy of the working tree, never here.
- What is no Python (a bare `-` among parameters) is no mutant either.
- A change of an annotation that nobody evaluates is no mutant, nor is one that the configuration's operators filter
  leaves out, nor one of what an f-string says where `texts-count` is false.
- `[[argued]]` of the configuration names survivors that change no verdict, by file and line, and says why. Any other
  survivor is an error, as is an argument whose mutants are all killed or gone.
"""

from __future__ import annotations

import argparse
import ast
import collections
import contextlib
import dataclasses
import gc
import importlib
import json
import os
import random
import re
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path

from cosmic_ray.commands.init import init
from cosmic_ray.config import load_config
from cosmic_ray.modules import filter_paths, find_modules
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator
from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import MutationSpec, TestOutcome, WorkerOutcome, WorkItem, WorkResult

from tests.mutants.standing import Mutant, Standing, where

HERE = Path(__file__).resolve().parent
MEMORY = 6 << 30  # bytes of address space that a mutant may take
NOT_DRAWN = "not drawn"
OURS = ("stress", "allocators", "scenarios", "shm")


def main() -> int:
    """Play the mutants of a room; 0 if every survivor was argued away."""
    rooms = sorted(path.stem for path in HERE.glob("*.toml"))
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("room", choices=rooms)
    parser.add_argument("--file", type=Path, action="append", help="play only those of this file (can be repeated)")
    parser.add_argument("--most", type=int, help="play only so many, drawn at random")
    parser.add_argument("--seed", type=int, default=None, help="of the draw")
    parser.add_argument("--session", type=Path, help="file, default mutants/ROOM.sqlite; an old one is replaced")
    parser.add_argument("--survivors", action="store_true", help="only those that survived in the session")
    parser.add_argument(
        "--anew", action="store_true", help="play every mutant from nothing: slower, and never too mild"
    )
    parser.add_argument("--resume", action="store_true", help="only those that the session has not played yet")
    asked = parser.parse_args()
    session = (asked.session or Path("mutants") / f"{asked.room}.sqlite").resolve()
    session.parent.mkdir(parents=True, exist_ok=True)
    configuration = HERE / f"{asked.room}.toml"
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder, use_db(session) as sessions:
        copy_tree(Path(folder))
        enter(folder)
        if asked.survivors:
            items = sorted((item for item, result in sessions.completed_work_items if lives(result)), key=place)
        elif asked.resume:
            items = list(sessions.pending_work_items)  # in any order
        else:
            items = plan(sessions, configuration)
        if asked.file:
            wanted = [item for item in items if single(item).module_path in asked.file]
        else:
            wanted = items
        if not (asked.survivors or asked.resume):
            if asked.most is not None and asked.most < len(wanted):
                seed = random.SystemRandom().randrange(1 << 31) if asked.seed is None else asked.seed
                print(f"{asked.most} of {len(wanted)} mutants, drawn with --seed {seed}")
                # Played as they are drawn: what is done when somebody stops it is a sample, too.
                wanted = random.Random(seed).sample(wanted, asked.most)
            chosen = {item.job_id for item in wanted}
            skip(sessions, [item for item in items if item.job_id not in chosen], NOT_DRAWN)
        items = wanted
        config = load_config(str(configuration))
        changed = {single(item).module_path for item in items}
        standing = None if asked.anew else Standing(lambda plugin: play_tests(config, plugin), changed)
        preload(config, changed, configuration)
        play(sessions, items, config, standing)
        if standing:
            standing.close()
        return report(sessions, configuration)


def copy_tree(folder: Path) -> None:
    """The working tree as it is, without what git ignores."""
    names = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], check=True, capture_output=True
    ).stdout
    for name in filter(None, names.decode().split("\0")):
        if Path(name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(name, folder / name)


def enter(folder: str) -> None:
    """From here on everything is imported from the copy."""
    here = str(HERE.parents[1])
    sys.path[:] = [folder, f"{folder}/tests/helpers", *(p for p in sys.path if p not in ("", here))]
    os.chdir(folder)
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def plan(sessions: WorkDB, configuration: Path) -> list[WorkItem]:
    """All mutants that are to be played, in the order of the sources; the session begins anew."""
    config = load_config(str(configuration))
    paths = config["module-path"] if isinstance(config["module-path"], list) else [config["module-path"]]
    modules = sorted(filter_paths(find_modules(Path(path) for path in paths), config.get("excluded-modules", ())))
    init(modules, sessions, config.operators_config)
    # As cr-filter-operators does, but in one transaction.
    unwanted = re.compile("|".join(config.sub("filters", "operators-filter").get("exclude-operators", ["$."])))
    items = sorted(sessions.work_items, key=place)
    skip(sessions, [item for item in items if unwanted.match(single(item).operator_name)], "filtered operator")
    items = [item for item in items if not unwanted.match(single(item).operator_name)]
    idle = {path: unexecuted(path.read_text(), config.get("texts-count", True)) for path in modules}
    same = [any(a <= change.start_pos < b for a, b in idle[change.module_path]) for change in map(single, items)]
    skip(sessions, [item for item, is_same in zip(items, same) if is_same], "changes nothing that is executed")
    return [item for item, is_same in zip(items, same) if not is_same]


def single(item: WorkItem) -> MutationSpec:
    """The change of a mutant; we make no mutants of several."""
    (change,) = item.mutations
    return change


def place(item: WorkItem) -> tuple:
    """Where a mutant's change is: an order that does not depend on the session."""
    change = single(item)
    return str(change.module_path), change.start_pos, change.operator_name, change.occurrence


def mutant(change: MutationSpec) -> str:
    """The source with this one change."""
    operator = get_operator(change.operator_name)(**change.operator_args)
    return mutate_code(Path(change.module_path).read_text(), operator, change.occurrence)


def unexecuted(source: str, texts: bool) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """From where to where a source has what nobody evaluates: annotations of parameters, results and locals.

    Those of classes count: msgspec reads them. All sources say `from __future__ import annotations`. texts: False to
    take f-strings for such, too. As (line from 1, column from 0), the end is not part of it.
    """
    lines = source.splitlines()
    found: list[ast.expr | None] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef):
            found.append(node.returns)
            found += [each.annotation for each in ast.walk(node) if isinstance(each, ast.arg | ast.AnnAssign)]
        elif isinstance(node, ast.JoinedStr) and not texts:
            found.append(node)

    def at(line: int, offset: int) -> tuple[int, int]:
        return line, len(lines[line - 1].encode()[:offset].decode())  # `ast` counts bytes

    return [(at(n.lineno, n.col_offset), at(n.end_lineno or 0, n.end_col_offset or 0)) for n in found if n]


def skip(sessions: WorkDB, items: list[WorkItem], why: str) -> None:
    result = WorkResult(worker_outcome=WorkerOutcome.SKIPPED, output=why)
    sessions.set_multiple_results([item.job_id for item in items], result)


def arguments(config: dict) -> list[str]:
    """What pytest gets: the test command without its program."""
    words = shlex.split(config["test-command"])
    return [*words[words.index("pytest") + 1 :], "-p", "no:cacheprovider", "--tb=line"]


def preload(config: dict, changed: set[Path], configuration: Path) -> None:
    """Play the tests once without a change, then import all that they did except what is downstream of the mutants."""
    import grimp

    with tempfile.NamedTemporaryFile("w+") as found:
        began = time.monotonic()
        sys.dont_write_bytecode = False
        outcome, output = fork(config, found.name)
        if outcome == -signal.SIGPROF:
            raise SystemExit(
                f"the tests take more than the {config['timeout']:.0f} s of CPU time that {configuration} allows"
            )
        if outcome:
            raise SystemExit(f"the tests fail without a mutant:\n{output}")
        names = json.loads(found.read())
    print(f"{time.monotonic() - began:.1f} s without a mutant", flush=True)
    # What was compiled just now is used again, except of what changes: bytecode knows its source by size and second.
    sys.dont_write_bytecode = True
    for path in changed:
        for bytecode in (path.parent / "__pycache__").glob(f"{path.stem}.*"):
            bytecode.unlink()
    graph = grimp.build_graph(*OURS, cache_dir=None)
    mutated = {str(path.with_suffix("")).replace("/", ".").removesuffix(".__init__") for path in changed}
    later = mutated | {name for module in mutated for name in graph.find_downstream_modules(module)}
    for name in names:
        family = {name, *(name.rsplit(".", n)[0] for n in range(1, name.count(".") + 1))}
        if not family & later:
            with contextlib.suppress(Exception):
                importlib.import_module(name)
    early = later & set(sys.modules)
    if early:
        raise SystemExit(f"already imported: {', '.join(sorted(early))}")
    gc.collect()
    gc.freeze()  # pytest collects garbage at its end: not what all share


def fork(config: dict, found: str = "") -> tuple[int, str]:
    """Play the tests in a child: 0 if all passed, and the end of what it printed. `found` gets what it imported."""
    with tempfile.TemporaryFile("w+", errors="replace") as output:
        child = os.fork()
        if not child:
            os.dup2(output.fileno(), 1)
            os.dup2(output.fileno(), 2)
            status = 70
            try:
                # Their default actions end the child. The machine may be busy with others: its own time counts first.
                signal.setitimer(signal.ITIMER_PROF, config["timeout"])
                signal.setitimer(signal.ITIMER_REAL, 20 * config["timeout"])
                resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
                status = child_main(config, found)
            finally:
                sys.stdout.flush()
                os._exit(status)
        _, status = os.waitpid(child, 0)
        output.seek(0)
        return os.waitstatus_to_exitcode(status), output.read()[-2000:]


def child_main(config: dict, found: str) -> int:
    before = set(sys.modules)
    status = play_tests(config)
    if found:
        new = [(name, module) for name, module in sys.modules.items() if name not in before]
        tests = str(Path.cwd() / "tests")  # and what helps them: nothing says what it depends on
        kept = [name for name, module in new if not (getattr(module, "__file__", None) or "").startswith(tests)]
        Path(found).write_text(json.dumps(kept))
    return status


def play_tests(config: dict, *plugins: object) -> int:
    """pytest in this process."""
    import hypothesis
    import pytest

    class Quick:
        """Once an example fails, the mutant is dead: none is shrunk or explained."""

        @pytest.hookimpl(trylast=True)
        def pytest_configure(self) -> None:
            phases = [hypothesis.Phase.explicit, hypothesis.Phase.generate]
            hypothesis.settings.register_profile(
                "mutants", parent=hypothesis.settings.get_profile("suite"), phases=phases
            )
            hypothesis.settings.load_profile("mutants")

    for name in [name for name in sys.modules if name == "tests" or name.startswith("tests.")]:
        del sys.modules[name]
    return int(pytest.main(arguments(config), plugins=[Quick(), *plugins]))


def play(sessions: WorkDB, items: list[WorkItem], config: dict, standing: Standing | None) -> None:
    """Each mutant in turn; results are in the session as they come."""
    said = began = time.monotonic()
    anew = 0
    for count, item in enumerate(items, 1):
        change = single(item)
        path = Path(change.module_path)
        plain, source = path.read_text(), mutant(change)
        try:
            compile(source, path, "exec")
        except SyntaxError:
            skip(sessions, [item], "is no Python")
            continue
        inside = where(plain, change.start_pos[0])
        played = standing and standing.play(Mutant(str(path), source, inside))
        if not played:
            anew += 1
            path.write_text(source)
            try:
                played = fork(config)
            finally:
                path.write_text(plain)
        status, output = played
        sessions.set_result(
            item.job_id,
            WorkResult(
                worker_outcome=WorkerOutcome.NORMAL,
                output=output,
                test_outcome=TestOutcome.KILLED if status else TestOutcome.SURVIVED,
                diff="",
            ),
        )
        if time.monotonic() - said > 10 or count == len(items):
            said = time.monotonic()
            print(f"{count} of {len(items)} played, {anew} of them from nothing, {said - began:.0f} s", flush=True)


def lives(result: WorkResult) -> bool:
    return result.test_outcome == TestOutcome.SURVIVED


@dataclasses.dataclass
class Argument:
    """Why the mutants of a line (those that change it into one of `into`, if given) need not be killed."""

    file: str
    line: str
    why: str
    into: list[str] = dataclasses.field(default_factory=list)

    def covers(self, file: str, line: str, into: str) -> bool:
        return (file, line) == (self.file, self.line) and (not self.into or into in self.into)


def report(sessions: WorkDB, configuration: Path) -> int:
    """The score, survivors that nobody argued away, arguments that nothing needs."""
    argued = [Argument(**each) for each in tomllib.loads(configuration.read_text()).get("argued", [])]
    used: collections.Counter[int] = collections.Counter()
    played = killed = 0
    unargued = []
    for item, result in sorted(sessions.completed_work_items, key=lambda pair: place(pair[0])):
        if result.worker_outcome == WorkerOutcome.SKIPPED:
            continue
        played += 1
        if not lives(result):
            killed += 1
            continue
        change = single(item)
        number = change.start_pos[0]
        old = Path(change.module_path).read_text().splitlines()[number - 1].strip()
        new = mutant(change).splitlines()[number - 1].strip()
        why = [i for i, each in enumerate(argued) if each.covers(str(change.module_path), old, new)]
        if why:
            used[why[0]] += 1
        else:
            unargued.append(f"{change.module_path}:{number}: {change.operator_name}\n  - {old}\n  + {new}")
    for text in unargued:
        print(text)
    whole = not any(result.output == NOT_DRAWN for _, result in sessions.completed_work_items)
    idle = [each for i, each in enumerate(argued) if not used[i]] if whole else []
    for each in idle:
        print(f"argued for nothing: {each.file}: {each.line}")
    print(f"{played} mutants: {killed} killed, {used.total()} argued away, {len(unargued)} survive")
    if played > used.total():
        print(
            f"score {100 * killed / (played - used.total()):.1f} % (without the argued {100 * killed / played:.1f} %)"
        )
    return 1 if unargued or idle else 0


if __name__ == "__main__":
    sys.exit(main())
