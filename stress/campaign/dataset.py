"""The Parquet data set of a study: `data/AXIS=VALUE/part.parquet`, made from the store whenever there is more to show.

Each file is replaced as a whole, so a reader meets whole files, old or new. The same results are the same bytes. The
columns of `keep.partition` are in the folders' names, as Hive has them, which pandas, Polars and DuckDB read.
"""

from __future__ import annotations

import io
import shutil
import urllib.parse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stress.campaign import figures
from stress.campaign.study import Study
from stress.campaign.table import Row, column_names
from stress.process.files import write_atomically

if TYPE_CHECKING:
    import pyarrow

FOLDER = "data"
FILE = "part.parquet"


def write(study: Study, rows: list[Row], folder: Path) -> Path:
    """Write it, and return its folder. Raises OSError."""
    import pyarrow.parquet

    names = column_names(study)
    parts: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        parts.setdefault(tuple(_directory(names[axis], row.point[axis]) for axis in study.keep.partition), []).append(
            row
        )
    target = folder / FOLDER
    target.mkdir(exist_ok=True)
    schema = _schema(study, rows)
    wanted = set()
    for directories, part in parts.items():
        place = target.joinpath(*directories)
        place.mkdir(parents=True, exist_ok=True)
        buffer = io.BytesIO()
        pyarrow.parquet.write_table(_table(study, part, schema), buffer, compression="zstd")
        path = place / FILE
        wanted.add(path)
        if not path.exists() or path.read_bytes() != buffer.getvalue():
            write_atomically(path, buffer.getvalue())
    for old in target.rglob(FILE):
        if old not in wanted:
            old.unlink()
    for left in sorted((p for p in target.rglob("*") if p.is_dir()), reverse=True):
        if not any(left.iterdir()):
            shutil.rmtree(left)
    return target


def _directory(name: str, value: object) -> str:
    return f"{name}={urllib.parse.quote(str(value), safe='+-._')}"


def _schema(study: Study, rows: list[Row]) -> pyarrow.Schema:
    import pyarrow

    kinds = {str: pyarrow.string(), int: pyarrow.int64(), float: pyarrow.float64(), bool: pyarrow.bool_()}
    names = column_names(study)
    fields = []
    for axis in study.axes:
        if axis not in study.keep.partition:
            types = {type(value) for value in study.values(axis)}
            kind = types.pop() if len(types) == 1 else float if types == {int, float} else str
            fields.append((names[axis], kinds[kind]))
    fields += [(name, kinds[kind]) for name, kind in figures.columns_of(study.kind).items()]
    if study.keep.counts:
        fields += [(name, kinds[int]) for name in sorted({name for row in rows for name in row.counts})]
    fields += [("status", kinds[str]), ("key", kinds[str])]
    if study.kind == "timed":
        fields.append(("host", kinds[int]))
    return pyarrow.schema(fields)


def _table(study: Study, rows: list[Row], schema: pyarrow.Schema) -> pyarrow.Table:
    import pyarrow

    names = column_names(study)
    axes = {names[axis]: axis for axis in study.axes}
    columns: list[list[Any]] = []
    for field in schema:
        if field.name in axes:
            values: list[Any] = [row.point[axes[field.name]] for row in rows]
            values = [str(value) for value in values] if field.type == pyarrow.string() else values
        elif field.name in ("status", "key", "host"):
            values = [getattr(row, field.name) for row in rows]
        else:
            values = [row.figures.get(field.name, row.counts.get(field.name)) for row in rows]
        columns.append(values)
    arrays = [pyarrow.array(values, type=field.type) for values, field in zip(columns, schema)]
    return pyarrow.Table.from_arrays(arrays, schema=schema)
