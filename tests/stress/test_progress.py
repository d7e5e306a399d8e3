"""Progress: plain lines now and then, a live line on a terminal, nothing when quiet."""

import io

from stress.show.progress import PLAIN_EVERY, PLAIN_FIRST, Progress, sparkline


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def play(stream, quiet=False):
    """80 updates over 10 s of a clock of our own."""
    now = [0.0]
    with Progress(quiet=quiet, stream=stream, clock=lambda: now[0]) as progress:
        progress.phase("compiling v3")
        for step in range(80):  # 80 steps of an eighth of a second
            now[0] += 0.125
            progress.update(step / 80, 41, 2360, 12.3e6, "v3")
    progress.close()
    return stream.getvalue()


def test_plain_lines_come_when_a_phase_begins_two_seconds_later_and_every_ten_seconds():
    lines = play(io.StringIO()).splitlines()
    state = "12.3 M frees/s, 41 dead caches, 2,360 pages pinned"
    assert lines == ["compiling v3", f" 19% v3: {state}, 8 s left"]
    assert PLAIN_FIRST == 2.0 and PLAIN_EVERY == 10.0


def test_a_phase_that_goes_on_is_said_once():
    stream, now = io.StringIO(), [0.0]
    with Progress(stream=stream, clock=lambda: now[0]) as progress:
        for step in range(250):
            now[0] += 0.1
            progress.phase("reading boot.csv" if step < 200 else "playing v1")
            progress.advance(min(step / 200, 1.0), "reading")
    assert stream.getvalue().splitlines() == [
        "reading boot.csv", " 10% reading, 18 s left", " 60% reading, 8 s left", "playing v1", "100% reading, 0 s left",
    ]  # fmt: skip


def test_how_long_a_phase_takes_is_said_every_ten_seconds():
    """Compiling tells each second; a line comes when a program is done, and now and then."""
    stream, now = io.StringIO(), [0.0]
    with Progress(stream=stream, clock=lambda: now[0]) as progress:
        for second in range(25):
            progress.phase(f"compiling: {second // 14} of 2 programs", f"{second} s")
            now[0] += 1.0
    assert [line.split(", ")[1] for line in stream.getvalue().splitlines()] == ["0 s", "2 s", "12 s", "14 s", "16 s"]


def test_a_terminal_has_one_live_line_that_goes_away(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    text = play(Terminal())
    assert "41 dead caches" in text and "\x1b" in text and "█ 12.3 M frees/s" in text and "s left" in text
    assert "\x1b[?25h" in text  # the cursor is shown again


def test_quiet():
    assert play(io.StringIO(), quiet=True) == "" and play(Terminal(), quiet=True) == ""


def test_share_stays_between_0_and_100_percent():
    stream = io.StringIO()
    progress = Progress(stream=stream, clock=lambda: 0.0)
    progress.update(1.7, 0, 0, 0.0, "v1")
    assert stream.getvalue().startswith("100% v1: 0 dead caches, 0 pages pinned"), (
        "without a rate nothing is said of speed"
    )


def test_sparklines():
    assert sparkline([]) == "" and sparkline([0.0]) == ""
    assert sparkline([8.0, 4.0, 0.1, 0.0]) == "█▄▁ "


def test_a_share_that_falls_back_makes_the_rest_unknown_again():
    stream, now = io.StringIO(), [0.0]
    with Progress(stream=stream, clock=lambda: now[0]) as progress:
        for share in (0.0, 0.5, 0.0, 0.01, 0.25):
            progress.update(share, 0, 0, 0.0, "v1")
            now[0] += PLAIN_EVERY
    ends = [line.rpartition(", ")[2] for line in stream.getvalue().splitlines()]
    assert ends == ["0 pages pinned", "10 s left", "0 pages pinned", "0 pages pinned", "60 s left"]


def test_a_terminal_has_a_line_per_design(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    stream, now = Terminal(), [0.0]
    with Progress(stream=stream, clock=lambda: now[0]) as progress:
        for pair in range(4):
            for name, speed in (("linux-3.16", 16e6), ("v3", 8e6 * (pair + 1) / 4)):
                now[0] += 1.0
                progress.update(pair / 4, 7, 9, speed, name)
    last = stream.getvalue().rpartition("75%")[2]
    assert "linux-3.16" in last and "▂▄▆█ 8.00 M frees/s" in last


def test_plain_lines_are_of_one_design_after_the_other():
    """As many as are played by turns, whichever is told first; and of the one alone that is played alone."""
    stream, now = io.StringIO(), [0.0]
    with Progress(stream=stream, clock=lambda: now[0]) as progress:
        for played in [["v1", "v2", "v3"]] * 60 + [["v2"]] * 40:
            now[0] += PLAIN_EVERY / 10
            for design in played:
                progress.update(0.0, 0, 0, 0.0, design)
    shown = [line.split()[1].rstrip(":") for line in stream.getvalue().splitlines()]
    assert sorted(shown[:3]) == ["v1", "v2", "v3"] == sorted(shown[3:6]) and shown[-3:] == ["v2"] * 3
