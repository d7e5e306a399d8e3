"""What argues mutants away names lines that are there, and tests that are there must kill the others."""

import shlex
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = sorted(Path(__file__).parent.glob("*.toml"))


@pytest.mark.parametrize("room", ROOMS, ids=lambda path: path.stem)
def test_every_argument_is_about_a_line_of_the_sources(room):
    config = tomllib.loads(room.read_text())
    folder, command = config["cosmic-ray"]["module-path"], shlex.split(config["cosmic-ray"]["test-command"])
    assert (ROOT / folder).is_dir() and all((ROOT / word).is_file() for word in command if word.endswith(".py"))
    for argument in config["argued"]:
        lines = [line.strip() for line in (ROOT / argument["file"]).read_text().splitlines()]
        assert argument["file"].startswith(folder) and argument["line"] in lines and argument["why"]
        assert argument["line"] not in argument.get("into", [])
