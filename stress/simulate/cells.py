"""What was measured beside what was simulated, or measured again: cells, ratios of designs, and how many are near."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from statistics import median

import msgspec

from stress.simulate.native import DESIGNS, Measured

NEAR, NEAR_RATIO = 0.25, 0.15


class Cell(msgspec.Struct, kw_only=True, frozen=True):
    """One comparison: ns of a CPU that an operation takes, and their ratios to the baseline's."""

    scenario: str
    allocator: str
    design: str
    cpus: int
    kind: str
    measured: float
    simulated: float
    measured_ratio: float | None = None
    simulated_ratio: float | None = None

    @property
    def off(self) -> float:
        """How far the simulated figure is off, as a fraction of the measured one."""
        return self.simulated / self.measured - 1

    @property
    def ratio_off(self) -> float | None:
        """The same of the ratio to the baseline."""
        if self.measured_ratio is None or self.simulated_ratio is None:
            return None
        return self.simulated_ratio / self.measured_ratio - 1


def compare(native: Sequence[Measured], others: Iterable[dict[str, float]]) -> Iterator[Cell]:
    """Every cell of what was measured, one after another. others: of each run ns by kind, found by other means."""
    model: dict[tuple[str, str, int, str], dict[str, float]] = {}
    real = {one.key: one.ns for one in native}
    for one, found in zip(native, others, strict=True):
        model[one.key] = found
        base = (*one.key[:3], DESIGNS[one.allocator][0])
        for kind, ns in one.ns.items():
            if kind not in found:
                continue
            other = base != one.key and kind in real.get(base, {}) and kind in model.get(base, {})
            yield Cell(
                scenario=one.scenario,
                allocator=one.allocator,
                design=one.design,
                cpus=one.cpus,
                kind=kind,
                measured=ns,
                simulated=found[kind],
                measured_ratio=ns / real[base][kind] if other else None,
                simulated_ratio=found[kind] / model[base][kind] if other else None,
            )


def table(cells: Iterable[Cell]) -> str:
    """A Markdown table of them."""
    lines = ["| scenario | allocator | design | CPUs | kind | measured, ns | simulated, ns | off | ratio off |"]
    lines.append("|---|---|---|---|---|---|---|---|---|")
    for cell in cells:
        ratio = "" if cell.ratio_off is None else f"{cell.ratio_off:+.0%}"
        lines.append(
            f"| {cell.scenario} | {cell.allocator} | {cell.design} | {cell.cpus} | {cell.kind} | {cell.measured:.1f} | "
            f"{cell.simulated:.1f} | {cell.off:+.0%} | {ratio} |"
        )
    return "\n".join(lines)


def told(cells: Sequence[Cell], what: str) -> Iterator[str]:
    """A line for each number of CPUs: how many of what are near. what: begins the line."""
    for cpus in sorted({cell.cpus for cell in cells}):
        off = [cell.off for cell in cells if cell.cpus == cpus]
        ratios = [cell.ratio_off for cell in cells if cell.cpus == cpus and cell.ratio_off is not None]
        near, near_ratios = sum(abs(one) <= NEAR for one in off), sum(abs(one) <= NEAR_RATIO for one in ratios)
        yield (
            f"- {what}, {cpus} CPU{'s' * (cpus > 1)}: {near} of {len(off)} cells within {NEAR:.0%}, the median "
            f"{median(off):+.0%}; {near_ratios} of {len(ratios)} ratios within {NEAR_RATIO:.0%}"
        )


def again(native: Sequence[Measured]) -> list[Cell]:
    """What every other round found beside what the rest found: what no model can do better than. Empty of one round."""
    halves = [each for one in native if (each := one.halves()) is not None]
    return list(compare([one for one, _ in halves], [other.ns for _, other in halves]))
