"""What `python -m stress predict` prints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TextIO

import numpy as np

from stress.play.predict import Prediction

WORST = 8


def as_json(predictions: Sequence[Prediction]) -> list[dict[str, object]]:
    """Plain data: per design and snapshot the slabs of every draw, and per cache the median."""
    return [
        {
            "design": p.design,
            "snapshots": [
                {
                    "name": name,
                    "recorded": int(p.recorded[i].sum()),
                    "predicted": p.slabs[:, i].sum(axis=1).tolist(),
                    "before": int(p.before.sum()),
                    "near": p.near[:, i].tolist(),
                    "caches": len(p.caches),
                    "by_cache": {
                        cache: {"recorded": int(p.recorded[i, c]), "predicted": p.slabs[:, i, c].tolist()}
                        for c, cache in enumerate(p.caches)
                    },
                }
                for i, name in enumerate(p.names)
            ],
        }
        for p in predictions
    ]


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
