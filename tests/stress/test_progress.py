"""Progress: plain lines now and then, a live line on a terminal, nothing when quiet."""

import io

from stress.progress import PLAIN_EVERY, Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def play(stream, quiet=False):
    """80 updates over 10 s of a clock of our own."""
    now = [0.0]
    with Progress(quiet=quiet, stream=stream, clock=lambda: now[0]) as progress:
        progress.phase("compiling v3")
        for step in range(80):
            now[0] += 0.125
            progress.update(step / 80, 41, 2360, 12.3e6, "v3")
    progress.close()
    return stream.getvalue()


def test_plain_lines_come_every_few_seconds():
    lines = play(io.StringIO()).splitlines()
    assert lines[0] == "compiling v3"
    assert len(lines) - 1 == int(10 / PLAIN_EVERY)
    assert lines[1] == " 19% v3: 12.3 M frees/s, 41 dead caches, 2,360 pages pinned"


def test_a_terminal_has_one_live_line_that_goes_away(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    text = play(Terminal())
    assert "41 dead caches" in text and "\x1b" in text
    assert "\x1b[?25h" in text  # the cursor is shown again


def test_quiet():
    assert play(io.StringIO(), quiet=True) == "" and play(Terminal(), quiet=True) == ""


def test_share_stays_between_0_and_100_percent():
    stream = io.StringIO()
    progress = Progress(stream=stream, clock=lambda: 0.0)
    progress.update(1.7, 0, 0, 0.0, "v1")
    assert stream.getvalue().startswith("100% v1: 0 frees/s")
