"""`python -m stress`, and the console script `slab-stress`: see `python -m stress --help`."""

from __future__ import annotations

import sys

from stress.process import interrupted
from stress.process.statuses import DAMAGED

SCRIPT = "slab-stress"
CTRL_C = 130  # the exit status that Typer gives itself


def main(name: str = SCRIPT) -> None:
    """Entry of the console script. name: what the program calls itself."""
    interrupted.program = True
    try:
        from stress.process import streams

        streams.prepare()
        from stress.commands.app import app

        stdout = sys.stdout
        try:
            app(prog_name=name)
        except SystemExit as end:
            if end.code == CTRL_C:
                raise KeyboardInterrupt from None
            if sys.stdout is not stdout:  # Typer's help found the pipe closed: put another in its place, and failed
                sys.stdout, end.code = stdout, 0
            status = streams.finish(end.code if isinstance(end.code, int) else 0)
            interrupted.deaf()  # nothing is left to do but to end
            raise SystemExit(status) from None
        except OSError as error:  # of what Typer prints itself: help, errors of usage
            print(f"error: {error.strerror}", file=sys.stderr)
            raise SystemExit(streams.finish(DAMAGED)) from None
    except KeyboardInterrupt:  # outside of a command: modules are loaded, options read, or the last is written
        raise SystemExit(interrupted.interrupted()) from None


if __name__ == "__main__":
    # A shell completes the script; no shell completes what follows `python -m`.
    completion = any(word.startswith(("--install-completion", "--show-completion")) for word in sys.argv[1:])
    main(SCRIPT if completion else "python -m stress")
