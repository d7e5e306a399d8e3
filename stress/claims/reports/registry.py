"""The reports there are, in order."""

from __future__ import annotations

from stress.claims.reports import bursts, flow, owners, published
from stress.claims.reports.report import Report

REPORTS: dict[str, Report] = {
    report.id: report
    for report in (
        flow.R1, flow.R2, bursts.R3, flow.R4, bursts.R5, bursts.R6, owners.R7, bursts.R8, bursts.R9, published.R10,
    )
}  # fmt: skip
