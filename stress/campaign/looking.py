"""The commands that only look at a campaign: `status` and `report`."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

from stress.campaign import grid, page, report
from stress.campaign.command import at_work, exit_status, study_of, write_data
from stress.campaign.status import print_status, status
from stress.campaign.store import Campaign
from stress.process.errors import UsageError
from stress.process.files import write_atomically
from stress.process.streams import printing

PAGE = "report.html"


def show_status(folder: Path, format: str) -> int:
    """As text or json."""
    with contextlib.closing(Campaign.open(folder)) as campaign:
        found = status(campaign, study_of(campaign), at_work(folder))
    with printing():
        if format == "json":
            from stress.result.files import encode

            sys.stdout.write(encode(found).decode())
        else:
            print_status(found, sys.stdout)
    return 0


def show_report(folder: Path, format: str) -> int:
    """As text or Markdown, or as the page `report.html` in the folder; renews the data set too."""
    with contextlib.closing(Campaign.open(folder)) as campaign:
        wanted = study_of(campaign)
        found = status(campaign, wanted, at_work(folder))
        rows = write_data(campaign, wanted)
    made = grid.make(wanted, rows)
    if format == "html":
        path = folder / PAGE
        try:
            write_atomically(path, page.render(wanted, found, made))
        except OSError as error:
            raise UsageError(f"{path}: cannot be written: {error.strerror}") from None
        print(path)
    else:
        with printing():
            (report.write_markdown if format == "markdown" else report.write_text)(wanted, found, made, sys.stdout)
    return exit_status(found.counts, found.left)
