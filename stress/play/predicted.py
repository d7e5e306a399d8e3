"""What `python -m stress predict` prints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TextIO

import msgspec
import numpy as np

from stress.play.predict import Prediction

WORST = 8


SCHEMA_VERSION = 1


class CachePredicted(msgspec.Struct, frozen=True):
    """Slabs since the beginning: the kernel's, and those of each draw."""

    cache: str
    recorded: int
    predicted: list[int]


class SnapshotPredicted(msgspec.Struct, frozen=True):
    """Sums over the caches of the trace, of slabs since the beginning, where there were `before`. predicted, near: of
    each draw, near caches within 5 % of their slabs or 2."""

    name: str
    recorded: int
    predicted: list[int]
    before: int
    near: list[int]
    caches: list[CachePredicted]


class DesignPredicted(msgspec.Struct, frozen=True):
    """A design, by name."""

    design: str
    snapshots: list[SnapshotPredicted]


class Predicted(msgspec.Struct, frozen=True):
    """What `predict` prints as JSON."""

    schema_version: int
    trace: str
    designs: list[DesignPredicted]


def as_data(trace: str, predictions: Sequence[Prediction]) -> Predicted:
    """Every draw's slabs, per design, snapshot and cache."""
    designs = []
    for p in predictions:
        shots = []
        for i, name in enumerate(p.names):
            caches = [
                CachePredicted(cache, int(p.recorded[i, c]), p.slabs[:, i, c].tolist())
                for c, cache in enumerate(p.caches)
            ]
            sums = p.slabs[:, i].sum(axis=1).tolist()
            shots.append(
                SnapshotPredicted(
                    name, int(p.recorded[i].sum()), sums, int(p.before.sum()), p.near[:, i].tolist(), caches
                )
            )
        designs.append(DesignPredicted(p.design, shots))
    return Predicted(SCHEMA_VERSION, trace, designs)


def write(predictions: Sequence[Prediction], stream: TextIO) -> None:
    """A table per design, then the caches that are off most."""
    from rich import box
    from rich.table import Table

    from stress.show.terminal import make_console

    console = make_console(stream)
    for p in predictions:
        draws = len(p.slabs)
        console.print(
            f"{p.design}: slabs that came since the beginning ({int(p.before.sum()):,} before), {draws} draws of what "
            "was not recorded",
            style="bold",
        )
        drawn = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
        drawn.add_column("snapshot")
        for title in ("recorded", "predicted", "of draws", "caches within 5 % or 2 slabs"):
            drawn.add_column(title, justify="right")
        for i, name in enumerate(p.names):
            sums, good = p.slabs[:, i].sum(axis=1), p.near[:, i]
            drawn.add_row(
                name, f"{int(p.recorded[i].sum()):,}", f"{np.median(sums):,.0f}", f"{sums.min():,} … {sums.max():,}",
                f"{good.min():,} … {good.max():,} of {len(p.caches):,}",
            )  # fmt: skip
        console.print(drawn)
        off = np.abs(p.median - p.recorded).max(axis=0)
        worst = [c for c in np.argsort(-off, kind="stable")[:WORST] if off[c]]
        for c in worst:
            i = int(np.abs(p.median[:, c] - p.recorded[:, c]).argmax())
            told = p.slabs[:, i, c]
            console.print(
                f"  {p.caches[c]} is off most at {p.names[i]}: recorded {p.recorded[i, c]:,}, predicted "
                f"{np.median(told):,.0f} ({told.min():,} … {told.max():,})",
                soft_wrap=True,
            )
