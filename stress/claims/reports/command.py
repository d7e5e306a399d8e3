"""`python -m stress claims --set sheaves`: play reports one after another and print what came of them.

Exit status: 0 whatever the verdicts; 1 an invariant was violated; 2 bad usage; 3 interrupted.
"""

from __future__ import annotations

import datetime
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from stress.claims.reports.judge import explained, judge, of_pairs, one_share, summary
from stress.claims.reports.registry import REPORTS
from stress.claims.reports.remarks import REMARKS
from stress.claims.reports.report import (
    TOLERANCE,
    Count,
    CountOutcome,
    Explanation,
    ExplanationOutcome,
    Outcome,
    Predicted,
    Report,
    Row,
    RowOutcome,
    Setting,
    Verdict,
)
from stress.play.session import session
from stress.process.errors import UsageError
from stress.process.statuses import DAMAGED, DONE, VIOLATED
from stress.process.streams import printing
from stress.process.usage import check_seconds

if TYPE_CHECKING:
    from stress.claims.reports.bench import Bench
    from stress.claims.reports.show import Found

STORM = "storm"  # the part of the command that is no report


def main(
    ids: Sequence[str] = (),
    *,
    seconds: float,
    seed: int,
    out: Path,
    format: str = "text",
    quick: bool = False,
    quiet: bool = False,
    command: str = "python -m stress claims --set sheaves",
) -> int:
    """Play these reports (all, and the storm, without), write the result and the page, print; the exit status."""
    chosen, storm = choose(ids)
    check_seconds("--seconds", seconds, "the time of a native comparison", "3")
    from stress.claims.keeping import keep
    from stress.claims.reports import show
    from stress.process import ending, host
    from stress.result.files import encode

    began = time.monotonic()
    now = datetime.datetime.now().astimezone()
    outcomes: list[Outcome] = []
    with session(quiet=quiet, log_level="error", intervals=False) as progress:
        from stress.claims.reports import offline
        from stress.claims.reports.bench import Bench

        bench = Bench(seed=seed, quick=quick, seconds=seconds, progress=progress)
        interrupted = try_all(chosen, bench, outcomes.append)
        cells: list[offline.Cell] = []
        if storm and not interrupted:
            try:
                offline.play(bench, cells.append)
            except KeyboardInterrupt:
                interrupted = True
        progress.close()
        ending.ignore_further()
        found = show.Found(
            created=now.astimezone(datetime.UTC).isoformat(timespec="seconds"), command=command,
            machine=dict(host.describe_machine()), seed=seed, seeds=len(bench.seeds), tolerance=TOLERANCE, quick=quick,
            took=round(time.monotonic() - began, 1), interrupted=interrupted, reports=outcomes, storm=cells,
        )  # fmt: skip
        folder = keep(out, now, "sheaves", {"sheaves.json": encode(found)})
    with printing():
        if format == "json":
            sys.stdout.write(encode(found).decode())
        elif format == "markdown":
            sys.stdout.write(show.render_markdown(found))
        else:
            show.print_text(found, sys.stdout)
    if not quiet:
        print(f"result: {folder / 'sheaves.json'}", file=sys.stderr)
    return exit_status(found)


def choose(ids: Sequence[str]) -> tuple[list[Report], bool]:
    """Reports by name, in order, each once, and whether the storm is wanted; UsageError for one that there is not."""
    names = {name.casefold(): name for name in (*REPORTS, STORM)}
    for one in ids:
        if one.casefold() not in names:
            raise UsageError(f"ID: there is no report {one}; there are {', '.join(names.values())}")
    wanted = {names[one.casefold()] for one in ids}
    return [report for name, report in REPORTS.items() if not ids or name in wanted], not ids or STORM in wanted


def try_all(reports: Sequence[Report], bench: Bench, add: Callable[[Outcome], object]) -> bool:
    """Play reports and hand each outcome on; True if it was interrupted. Of the one that was under way, what is done
    stays."""
    for position, report in enumerate(reports, 1):
        bench.progress.phase(f"{report.id} ({position} of {len(reports)}): {report.title}")
        if try_report(report, bench, add):
            return True
    return False


def try_report(report: Report, bench: Bench, add: Callable[[Outcome], object]) -> bool:
    """Play one report and hand its outcome on; True if it was interrupted."""
    began, interrupted = time.monotonic(), False
    rows: list[RowOutcome] = []
    counts: list[CountOutcome] = []
    explanations: list[ExplanationOutcome] = []
    bench.begin()
    try:
        for row in report.rows:
            rows.append(try_row(row, bench))
        for count in report.counts:
            counts.append(try_count(count, bench))
        for explanation in report.explanations:
            explanations.append(try_explanation(explanation, bench))
    except KeyboardInterrupt:
        interrupted = True
    told, datum = one_share(rows, report.rows[: len(rows)])
    told = [one for one, row in zip(told, report.rows) if row.low is not None]
    verdict, reason = summary([*told, *((c.name, c.verdict, c.reason) for c in counts)], datum)
    if report.lacking:
        reason = report.lacking
    if interrupted:
        done = f"interrupted after {len(rows) + len(counts)} of {len(report.rows) + len(report.counts)} figures"
        verdict, reason = Verdict.UNKNOWN, f"{done}; {reason}"
    if interrupted and not rows and not counts:
        return True
    add(
        Outcome(
            id=report.id, title=report.title, who=report.who, source=report.source, machine=report.machine,
            verdict=verdict, reason=reason, rows=rows, counts=counts, explanations=explanations,
            remark=REMARKS.get(report.id, ""),
            commands=list(dict.fromkeys([*bench.commands, *bench.lab.commands])),
            violated=[*bench.violated, *bench.lab.violated], seconds=round(time.monotonic() - began, 1),
        )
    )  # fmt: skip
    return interrupted


def try_row(row: Row, bench: Bench) -> RowOutcome:
    """Play a row in every way that there is. What is not built, or broke down, cannot be told."""
    from stress.claims.lab import Damaged, NotBuilt
    from stress.claims.reports.bench import mechanism

    predicted: list[Predicted] = []
    seeds = bench.seeds_for(len(row.pairs))
    for pair in row.pairs:
        try:
            pair = bench.paced(pair)
            bench.play((pair.before, pair.after), seeds)
            each = [(bench.rate(pair.before, seed), bench.rate(pair.after, seed)) for seed in seeds]
            ratios, rates = [after / before for before, after in each], [round(rate, 4) for rate in each[0]]
            verdict, reason, share = judge(row.low, row.high, ratios, TOLERANCE, alone=row.alone, same=row.same)
            slower = pair.after if sum(ratios) < len(ratios) else pair.before
            how = f"{slower.design}: {mechanism(bench.point(slower, seeds[0]))}"
        except (NotBuilt, Damaged) as error:
            ratios, rates, verdict, reason, share, how = [], [], Verdict.UNKNOWN, str(error), None, ""
        predicted.append(
            Predicted(
                setting=pair.text,
                ratios=ratios,
                rates=rates,
                verdict=verdict,
                reason=reason,
                share=share,
                mechanism=how,
            )
        )
    verdict = of_pairs([one.verdict for one in predicted])
    reason = reason_of(predicted)
    return RowOutcome(
        name=row.name, reported=[row.low, row.high], predicted=predicted, tolerance=TOLERANCE, verdict=verdict,
        reason=reason, native=_native(row, row.native, bench) if row.native is not None else "",
    )  # fmt: skip


def reason_of(predicted: Sequence[Predicted]) -> str:
    """Each reason once, and where it holds, if not everywhere."""
    where: dict[str, list[str]] = {}
    for one in predicted:
        where.setdefault(one.reason, []).append(one.setting)
    if len(where) == 1:
        return next(iter(where))
    return "; ".join(f"{reason} ({'; '.join(settings)})" for reason, settings in where.items())


def _native(row: Row, setting: Setting, bench: Bench) -> str:
    """The same two designs on two CPUs here, timed."""
    from stress.claims.lab import Damaged, NotBuilt

    before, after = row.pairs[0].before.design, row.pairs[0].after.design
    try:
        result = bench.lab.run(
            setting.scenario, before, after, serial=False, cpus=setting.cpus, settings=dict(setting.settings),
            nodes=setting.nodes,
        )  # fmt: skip
    except (NotBuilt, Damaged, UsageError) as error:
        return f"on two CPUs here: {error}"
    found = result.ratios[after]
    said = [
        f"{kind} {ratio.estimate:.2f} ({ratio.low:.2f} to {ratio.high:.2f})"
        for kind, ratio in (("allocations", found.alloc), ("frees", found.live))
        if ratio.estimate is not None and ratio.low is not None and ratio.high is not None
    ]
    return f"on two CPUs here: {', '.join(said)}" if said else "on two CPUs here: no interval"


def try_count(count: Count, bench: Bench) -> CountOutcome:
    """Count it, natively, one operation at a time."""
    from stress.claims.lab import Damaged, NotBuilt

    try:
        counted = count.counted(bench.lab)
    except (NotBuilt, Damaged) as error:
        return CountOutcome(
            name=count.name, published=count.published, counted=None, verdict=Verdict.UNKNOWN, reason=str(error)
        )
    off = abs(counted - count.published)
    verdict = Verdict.REPRODUCED if off <= count.within else Verdict.NOT
    reason = f"{counted:.2f} % for {count.published:.2f} %"
    return CountOutcome(name=count.name, published=count.published, counted=counted, verdict=verdict, reason=reason)


def try_explanation(explanation: Explanation, bench: Bench) -> ExplanationOutcome:
    """Play the loss and what is left of it."""
    from stress.claims.lab import Damaged, NotBuilt

    loss = rest = cured = None
    try:
        found = []
        for pair in (explanation.loss, explanation.cured):
            seeds = bench.seeds[:1]
            pair = bench.paced(pair)
            bench.play((pair.before, pair.after), seeds)
            found.append(bench.rate(pair.after, seeds[0]) / bench.rate(pair.before, seeds[0]))
        loss, rest = found
        verdict, reason, cured = explained(loss, rest, TOLERANCE, stays=explanation.stays)
    except (NotBuilt, Damaged) as error:
        verdict, reason = Verdict.UNKNOWN, str(error)
    return ExplanationOutcome(
        sentence=explanation.sentence, who=explanation.who, loss=loss, rest=rest, cured=cured, verdict=verdict,
        reason=reason,
    )  # fmt: skip


def exit_status(found: Found) -> int:
    """A violated invariant outweighs the rest; verdicts do not count."""
    if any(one.violated for one in found.reports) or any(cell.violated for cell in found.storm):
        return VIOLATED
    return DAMAGED if found.interrupted else DONE
