"""`python -m stress`: see `python -m stress --help`."""

from __future__ import annotations


def main() -> None:
    """Entry of the console script too."""
    from stress.commands.app import app

    app(prog_name="python -m stress")


if __name__ == "__main__":
    main()
