"""`python -m stress`, and the console script `slab-stress`: see `python -m stress --help`."""

from __future__ import annotations

import sys

SCRIPT = "slab-stress"


def main(name: str = SCRIPT) -> None:
    """Entry of the console script. name: what the program calls itself."""
    from stress.process import streams

    streams.prepare()
    from stress.commands.app import app

    try:
        app(prog_name=name)
    except SystemExit as end:
        raise SystemExit(streams.finish(end.code if isinstance(end.code, int) else 0)) from None
    except OSError as error:  # of what Typer prints itself: help, errors of usage
        print(f"error: {error.strerror}", file=sys.stderr)
        raise SystemExit(streams.finish(streams.DAMAGED)) from None


if __name__ == "__main__":
    # A shell completes the script; no shell completes what follows `python -m`.
    completion = any(word.startswith(("--install-completion", "--show-completion")) for word in sys.argv[1:])
    main(SCRIPT if completion else "python -m stress")
