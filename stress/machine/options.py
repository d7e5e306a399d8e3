"""What `machine` was asked for, checked once."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

from stress.machine.topology import parse_cpus
from stress.process import host
from stress.process.errors import UsageError
from stress.process.usage import check_file
from stress.profiles.load import SUFFIX, read

DEFAULT_SECONDS = 10.0
MOST_SECONDS = 600.0
DEFAULT_OUT = Path("machine.toml")


@dataclasses.dataclass(frozen=True, slots=True)
class MachineOptions:
    """out: where the profile goes. cpus: those that measure, ascending; never none."""

    out: Path
    seconds: float
    cpus: tuple[int, ...]


def make_options(
    *, out: Path = DEFAULT_OUT, seconds: float = DEFAULT_SECONDS, cpus: str | None = None
) -> MachineOptions:
    """Check the values of the command line; UsageError otherwise."""
    if not (math.isfinite(seconds) and 0 < seconds <= MOST_SECONDS):
        raise UsageError(f"--seconds {seconds:g}: a number above 0, up to {MOST_SECONDS:g}, is needed, such as 10")
    if out.suffix != SUFFIX:
        raise UsageError(f"--out {out}: a profile is a file that ends in {SUFFIX}")
    check_file("--out", out)
    if out.exists():
        try:
            read(out)
        except UsageError as error:
            raise UsageError(f"--out {out} is there and no profile, so it stays as it is ({error})") from None
    available = host.available_cpus()
    if cpus is None:
        return MachineOptions(out, float(seconds), tuple(available))
    try:
        wanted = parse_cpus(cpus)
    except ValueError as error:
        raise UsageError(f"--cpus {cpus}: {error}; a list such as 0-3,8 is needed") from None
    missing = sorted(set(wanted) - set(available))
    if missing:
        raise UsageError(
            f"--cpus {cpus}: this process may not run on {', '.join(map(str, missing[:8]))}; "
            f"it may on {', '.join(map(str, available[:8]))}{' …' * (len(available) > 8)}"
        )
    return MachineOptions(out, float(seconds), tuple(wanted))
