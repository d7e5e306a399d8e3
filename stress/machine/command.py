"""`python -m stress machine`: measure this machine, write its profile, and print what was measured."""

from __future__ import annotations

import shlex
import sys

from stress.machine.options import MachineOptions


def main(options: MachineOptions, *, format: str, quiet: bool) -> int:
    """Measure, write the profile, print. Returns the exit status, 0.

    Raises DamagedRun for measurements that cannot be and UsageError for a file that cannot be written; then
    nothing is written. Ctrl-C raises KeyboardInterrupt, and nothing is written either.
    """
    from stress.play.session import session
    from stress.process import ending
    from stress.process.errors import UsageError
    from stress.process.files import write_atomically
    from stress.process.statuses import DONE
    from stress.process.streams import printing

    with session(quiet=quiet, log_level="warning", intervals=False) as progress:
        import msgspec

        from stress.machine import report
        from stress.machine.measure import measure
        from stress.profiles.load import parse

        profile, found = measure(options, progress.phase)
        progress.close()
        ending.ignore_further()
        data = found.profile.encode()
        parse(data, str(options.out))  # what would not load again is not written
        try:
            write_atomically(options.out, data)
        except OSError as error:
            raise UsageError(f"--out {options.out}: cannot be written: {error.strerror}") from None
        found = msgspec.structs.replace(found, written=shlex.quote(str(options.out)))
    with printing():
        report.write(profile, found, format, sys.stdout)
    return DONE
