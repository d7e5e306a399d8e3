"""The commands that only look at a campaign: `status` and `report`."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

from stress.campaign.command import at_work, study_of
from stress.campaign.status import print_status, status
from stress.campaign.store import Campaign
from stress.process.streams import printing


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
