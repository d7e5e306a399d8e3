"""`python -m stress claims`: test claims one after another and report them.

Exit status: 0 whatever the verdicts; 1 an invariant was violated; 2 bad usage; 3 interrupted.
"""

from __future__ import annotations

import datetime
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from stress.claims.claim import Claim, Finding, Outcome, Part, PartOutcome, Verdict, summary
from stress.claims.registry import CLAIMS
from stress.play.session import session
from stress.process.errors import UsageError
from stress.process.statuses import DAMAGED, DONE, VIOLATED
from stress.process.streams import printing
from stress.process.usage import check_seconds
from stress.result.data import Violation

if TYPE_CHECKING:
    from stress.claims.lab import Lab


def main(
    ids: Sequence[int] = (),
    *,
    seconds: float,
    seed: int,
    out: Path,
    format: str = "text",
    quick: bool = False,
    quiet: bool = False,
    command: str = "python -m stress claims",
) -> int:
    """Test the claims of these numbers (all of them without), write the report, print it; the exit status."""
    chosen = choose(ids)
    check_seconds("--seconds", seconds, "the time of a timed comparison", "3")
    from stress.claims import report as reporting
    from stress.claims.keeping import keep
    from stress.process import ending, host
    from stress.result.files import encode

    began = time.monotonic()
    now = datetime.datetime.now().astimezone()
    outcomes: list[Outcome] = []
    with session(quiet=quiet, log_level="error") as progress:  # a run that breaks down is a row of the table
        from stress.claims.lab import Lab
        from stress.claims.page import PAGE_NAME, render

        lab = Lab(seconds=seconds, seed=seed, quick=quick, progress=progress)
        interrupted = try_all(chosen, lab, outcomes.append)
        ending.ignore_further()
        report = reporting.Report(
            created=now.astimezone(datetime.UTC).isoformat(timespec="seconds"), command=command,
            machine=dict(host.describe_machine()), seed=seed, seconds=seconds, took=round(time.monotonic() - began, 1),
            quick=quick, interrupted=interrupted, claims=outcomes,
        )  # fmt: skip
        folder = keep(out, now, "claims", {"claims.json": encode(report), PAGE_NAME: render(report)})
    with printing():
        if format == "json":
            sys.stdout.write(encode(report).decode())
        elif format == "markdown":
            sys.stdout.write(reporting.render_markdown(report))
        else:
            reporting.print_text(report, sys.stdout)
    if not quiet:
        print(f"page: {folder / PAGE_NAME}\nresult: {folder / 'claims.json'}", file=sys.stderr)
    return exit_status(outcomes, interrupted)


def choose(ids: Sequence[int]) -> list[Claim]:
    """Claims by number, in order, each once; UsageError for one that there is not."""
    for number in ids:
        if number not in CLAIMS:
            raise UsageError(f"there is no claim {number}; there are {', '.join(map(str, CLAIMS))}")
    return [claim for number, claim in CLAIMS.items() if not ids or number in ids]


def try_all(claims: Sequence[Claim], lab: Lab, add: Callable[[Outcome], object]) -> bool:
    """Test claims and hand each outcome on; True if it was interrupted."""
    for position, claim in enumerate(claims, 1):
        parts: list[PartOutcome] = []
        seen, interrupted = len(lab.violated), False
        try:
            for part in claim.parts:
                lab.begin(f"claim {claim.id} ({position} of {len(claims)}), {part.name}")
                parts.append(try_part(part, lab))
        except KeyboardInterrupt:
            interrupted = True
        if parts:
            add(_outcome(claim, parts, lab.violated[seen:]))
        if interrupted:
            return True
    return False


def _outcome(claim: Claim, parts: list[PartOutcome], violated: list[Violation]) -> Outcome:
    verdict, reason = summary(parts)
    if len(parts) < len(claim.parts):
        verdict, reason = Verdict.UNKNOWN, f"interrupted after {len(parts)} of {len(claim.parts)} parts; {reason}"
    return Outcome(
        id=claim.id, claim=claim.sentence, verdict=verdict, reason=reason,
        published=claim.published, source=claim.source, parts=parts, violated=violated,
    )  # fmt: skip


def try_part(part: Part, lab: Lab) -> PartOutcome:
    """One part's finding; what is not built, or broke down, cannot be told."""
    from stress.claims.lab import Damaged, NotBuilt

    began = time.monotonic()
    try:
        finding = part.test(lab)
    except NotBuilt as error:
        finding = Finding(Verdict.UNKNOWN, str(error))
    except Damaged as error:
        finding = Finding(Verdict.UNKNOWN, f"a run broke down: {error}")
    return PartOutcome(
        name=part.name, what=part.what, verdict=finding.verdict, reason=finding.reason, figures=finding.figures,
        commands=list(dict.fromkeys(lab.commands)), seconds=round(time.monotonic() - began, 1),
    )  # fmt: skip


def exit_status(outcomes: Sequence[Outcome], interrupted: bool) -> int:
    """A violated invariant outweighs the rest; verdicts do not count."""
    if any(outcome.violated for outcome in outcomes):
        return VIOLATED
    return DAMAGED if interrupted else DONE
