"""A little of each storm; `python -m tests.storms --minutes 10` plays more, from other seeds."""

import os

import pytest
from until import SEED

from tests.storms import storm


@pytest.fixture
def seed():
    drawn = int(os.environ[SEED])
    print(f"again with {SEED}={drawn}")
    return drawn


def test_command_lines(seed):
    played, faults = storm.command_lines(seed, 80)
    assert played > 40 and not faults, "\n".join(faults)


def test_input_files(seed):
    _, faults = storm.input_files(seed, 60)
    assert not faults, "\n".join(faults)


def test_a_kill(seed):
    faults = storm.kill(seed, ("explore R9 --design v3+F_NRP --jobs 2 --budget 2 --out s.json",), 1.5)
    assert not faults, "\n".join(faults)
