"""Files recorded on real kernels: what the repository ships, where others may lie, and that a missing one is seen.

`data/SHA256SUMS` lists what is shipped: such a file is there, unchanged, or the test fails. Others are looked for
in the folder that SLAB_STRESS_RECORDINGS names, by default `shared/data` beside the checkout. Where one is missing its
tests are skipped, and pytest's summary says which; with SLAB_STRESS_REQUIRE_RECORDINGS=1 they fail.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

SHIPPED = Path(__file__).resolve().parents[1] / "data"
SUMS = "SHA256SUMS"
FOLDER, REQUIRE = "SLAB_STRESS_RECORDINGS", "SLAB_STRESS_REQUIRE_RECORDINGS"
_NEEDS = re.compile(r"needs the recording (\S+), which")


class Recordings:
    """See the module's text.

    shipped: the folder with the list; elsewhere: that of the others; required: fail where they are missing.
    """

    def __init__(self, shipped: Path, elsewhere: Path, *, required: bool) -> None:
        self.shipped, self.elsewhere, self.required = shipped, elsewhere, required
        lines = (shipped / SUMS).read_text().splitlines()
        self.sums = {name: digest for digest, name in (line.split() for line in lines)}
        self._checked: set[str] = set()

    def path(self, name: str) -> Path:
        """Where the recording is, with its metadata beside it. Fails or skips the test where it is not."""
        files = [name, *self._metadata(name)]
        if name in self.sums:
            for file in files:
                self._check(file)
            return self.shipped / name
        missing = [file for file in files if not (self.elsewhere / file).is_file()]
        if not missing:
            return self.elsewhere / name
        why = f"needs the recording {missing[0]}, which is not in {self.elsewhere} (see tests/data/README.md)"
        if self.required:
            pytest.fail(f"{why}; {REQUIRE} is set", pytrace=False)
        pytest.skip(why)

    @staticmethod
    def _metadata(name: str) -> list[str]:
        return [name.removesuffix(".csv.zst") + ".meta.json"] if name.endswith(".csv.zst") else []

    def _check(self, name: str) -> None:
        if name in self._checked:
            return
        path = self.shipped / name
        if not path.is_file():
            pytest.fail(f"{path} is part of the repository and is not there: check it out again", pytrace=False)
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if digest != self.sums.get(name):
            pytest.fail(
                f"{path} is not what was recorded: its SHA-256 is {digest}, {SUMS} says {self.sums.get(name)}",
                pytrace=False,
            )
        self._checked.add(name)


@pytest.fixture(scope="session")
def recorded() -> Callable[[str], Path]:
    """Path of a file recorded on a real kernel, by name; see the module's text for what happens where there is none."""
    elsewhere = os.environ.get(FOLDER) or SHIPPED.parents[2] / "shared" / "data"
    return Recordings(SHIPPED, Path(elsewhere), required=os.environ.get(REQUIRE, "") not in ("", "0")).path


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """A comparison with a kernel that was not made is said, whatever pytest is asked to show of skipped tests."""
    tests_of: dict[str, list[str]] = {}
    for report in terminalreporter.stats.get("skipped", ()):
        if isinstance(report.longrepr, tuple) and (needs := _NEEDS.search(report.longrepr[2])):
            tests_of.setdefault(needs[1], []).append(report.nodeid)
    if not tests_of:
        return
    terminalreporter.section("comparisons with a recorded kernel that were not made", yellow=True)
    for name, tests in sorted(tests_of.items()):
        terminalreporter.line(f"{name} is not here (see tests/data/README.md): {', '.join(sorted(tests))}")
