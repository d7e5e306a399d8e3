"""The sidecar of a result: every turn of every launch, a row per turn, design and CPU.

Columns: run_id, design; launch, storm, turn, cpu, position (of the design among those that played this turn, from 0);
took_ns (the turn, all CPUs), switches (involuntary, of this CPU's worker), left_out (timed sections that were
interrupted); and for each kind of section live, dead, alloc, mixed its operations and nanoseconds. What an interrupted
section took is what it took in the launch's other storms (see `stress.measure.turns`). With pyarrow a Parquet file,
else NumPy's npz with an array per column, in which `design` is a number and `designs` has the names.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from scenarios.tape import SECTIONS
from stress.measure.turns import Turns
from stress.process.files import write_atomically
from stress.result.folder import TURNS_FILES

PARQUET, NPZ = TURNS_FILES


def write_turns(launches: Sequence[Turns], designs: Sequence[str], run_id: str, folder: Path) -> Path | None:
    """Write the sidecar into the result's folder and return its path; None when there are no launches.

    Raises OSError.
    """
    if not launches:
        return None
    parts = [columns_of(turns, number) for number, turns in enumerate(launches)]
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    stream = io.BytesIO()
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        np.savez_compressed(stream, designs=np.array(designs), run_id=np.array(run_id), **columns)  # type: ignore[arg-type]
        path = folder / NPZ
    else:
        rows = len(columns["launch"])
        names = pyarrow.DictionaryArray.from_arrays(columns.pop("design"), pyarrow.array(designs))
        run = pyarrow.DictionaryArray.from_arrays(np.zeros(rows, np.int8), pyarrow.array([run_id]))
        table = pyarrow.table({"run_id": run, "design": names, **columns})
        pyarrow.parquet.write_table(table, stream, compression="zstd")
        path = folder / PARQUET
    write_atomically(path, stream.getvalue())
    return path


def columns_of(turns: Turns, launch: int) -> dict[str, np.ndarray]:
    """The rows of one launch; see the module's text."""
    shape = turns.left_out.shape  # [storm, design, cpu, turn]

    def spread(values: ArrayLike, dtype: type) -> np.ndarray:
        return np.broadcast_to(values, shape).astype(dtype).ravel()

    storm, design, cpu, turn = np.indices(shape, dtype=np.int32)
    columns = {
        "launch": spread(np.int32(launch), np.int32),
        "storm": spread(storm, np.int32),
        "design": spread(design, np.int32),
        "cpu": spread(cpu, np.int32),
        "turn": spread(turn, np.int32),
        "position": spread(turns.position[:, :, None], np.int32),
        "took_ns": spread(turns.took[:, :, None], np.int64),
        "switches": spread(turns.switches, np.int32),
        "left_out": spread(turns.left_out, np.int32),
    }
    for kind, name in enumerate(SECTIONS):
        columns[f"{name}_operations"] = spread(turns.operations[None, None, ..., kind], np.int32)
        columns[f"{name}_ns"] = spread(turns.nanoseconds[..., kind], np.float32)
    return columns
