"""The sidecar of a result: every turn in a row, as Parquet or, without pyarrow, as npz."""

import sys

import numpy as np
import pytest

from scenarios.tape import SECTIONS
from stress.measure.turns import Turns
from stress.measure.turns_file import write_turns
from stress.result.folder import OWN_FILES

STORMS, DESIGNS, CPUS, TURNS = 3, 2, 2, 5


def launch(seed: int) -> Turns:
    rng = np.random.default_rng(seed)
    shape = (STORMS, DESIGNS, CPUS, TURNS)
    return Turns(
        nanoseconds=rng.random((*shape, len(SECTIONS))) * 1e6,
        operations=rng.integers(1, 10_000, (CPUS, TURNS, len(SECTIONS))),
        sections=rng.integers(1, 20, (CPUS, TURNS, len(SECTIONS))),
        left_out=rng.integers(0, 3, shape),
        switches=rng.integers(0, 9, shape),
        took=rng.random((STORMS, DESIGNS, TURNS)) * 2e6,
        position=rng.integers(0, DESIGNS, (STORMS, DESIGNS, TURNS)),
    )


@pytest.fixture(params=["parquet", "npz"])
def columns(request, tmp_path, monkeypatch):
    """What was written of two launches, read back: column -> array, designs by name."""
    if request.param == "npz":
        monkeypatch.setitem(sys.modules, "pyarrow", None)
    else:
        pytest.importorskip("pyarrow")
    path = write_turns([launch(1), launch(2)], ["linux-3.16", "v3"], "a run", tmp_path)
    assert path.name == f"turns.{request.param}" in OWN_FILES and path.stat().st_size < 50_000
    if request.param == "npz":
        with np.load(path, allow_pickle=False) as file:
            found = {name: file[name] for name in file.files}
        return found | {"design": found["designs"][found["design"]]}
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(path)
    assert set(table["run_id"].to_pylist()) == {"a run"}
    return {name: np.array(table[name].to_pylist()) for name in table.column_names}


def test_every_turn_is_there_as_it_was(columns):
    assert len(columns["turn"]) == 2 * STORMS * DESIGNS * CPUS * TURNS
    made = launch(2)
    one = (columns["launch"] == 1) & (columns["design"] == "v3") & (columns["storm"] == 2) & (columns["cpu"] == 1)
    assert columns["turn"][one].tolist() == list(range(TURNS))
    assert columns["took_ns"][one].tolist() == made.took[2, 1].astype(int).tolist()
    assert columns["left_out"][one].tolist() == made.left_out[2, 1, 1].tolist()
    assert columns["position"][one].tolist() == made.position[2, 1].tolist()
    for kind, name in enumerate(SECTIONS):
        assert columns[f"{name}_operations"][one].tolist() == made.operations[1, :, kind].tolist()
        assert columns[f"{name}_ns"][one] == pytest.approx(made.nanoseconds[2, 1, 1, :, kind])


def test_one_launch_is_enough(tmp_path):
    assert write_turns([launch(1)], ["linux-3.16", "v3"], "a run", tmp_path)


def test_a_run_without_launches_has_none(tmp_path):
    assert write_turns([], ["v3"], "a run", tmp_path) is None and not list(tmp_path.iterdir())
