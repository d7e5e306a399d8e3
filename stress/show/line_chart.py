"""A line chart: a scale each way, what stands along them, and curves and marks between."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from stress.show.axis import Scale
from stress.show.html import add
from stress.show.shapes import WIDTH, colour, line, mark, path, svg, words

LEFT = 52.0  # where the vertical axis stands; its labels are left of it
SAYS = ("plain", "rate", "count", "percent", "ns", "change", "times")  # as page.js knows them


class LineChart:
    """A chart in the making. drawn: the picture so far, in which what is added later lies above.

    x, y: where a value stands, in units of the SVG; both by ratios where `log`, x alone where `log_x`.
    """

    def __init__(
        self,
        label: str,
        height: float,
        x: tuple[float, float],
        y: tuple[float, float],
        *,
        top: float,
        bottom: float,
        right: float = WIDTH - 6,
        log: bool = False,
        log_x: bool = False,
        gap: float = 5.0,
        says: str = "plain",
        keep: Sequence[float] = (),
    ) -> None:
        """x, y: ranges. top, bottom: room above and below the plot; right: its end. gap: from labels to the plot.

        says, keep: how page.js writes values along y (see `SAYS`) when designs are switched off and the scale follows,
        and values that stay on it.
        """
        assert says in SAYS
        self.drawn = svg(height, label)
        self.height, self.top, self.floor, self.right, self.gap = height, top, height - bottom, right, gap
        self.x = Scale(*x, LEFT, right, log=log or log_x)
        # For zooming (page.js): the plot's edges, the values there, and whether labels below keep their texts.
        self.drawn.set("data-across", f"{LEFT:g} {right:g} {x[0]:g} {x[1]:g} {int(log or log_x)}")
        self.drawn.set("data-up", f"{self.floor:g} {top:g} {y[0]:g} {y[1]:g} {int(log)} {says}")
        if keep:
            self.drawn.set("data-keep", " ".join(f"{value:g}" for value in keep))
        self.y = Scale(*y, self.floor, top, log=log)

    def level(self, value: float, text: str, class_: str = "grid") -> None:
        """A line across, named at its left."""
        self.across(value, f"{class_} level")
        add(self.drawn, words(LEFT - self.gap, self.y(value) + 4, text, "end", "level"))

    def across(self, value: float, class_: str) -> None:
        """A line across at a value."""
        add(self.drawn, line(LEFT, self.y(value), self.right, self.y(value), class_))

    def upright(self, value: float) -> None:
        """A line of the grid from top to bottom."""
        add(self.drawn, line(self.x(value), self.top, self.x(value), self.floor, "grid"))

    def below(self, at: float, text: str, anchor: str = "middle") -> None:
        """A label under the plot. at: a place, not a value."""
        add(self.drawn, words(at, self.floor + 15, text, anchor, "across"))

    def axis(self) -> None:
        """The plot's lower edge."""
        add(self.drawn, line(LEFT, self.floor, self.right, self.floor, "axis"))

    def title(self, text: str) -> None:
        """What the labels under the plot count."""
        add(self.drawn, words((LEFT + WIDTH) / 2, self.height - 4, text, "middle", "note"))

    def curve(self, number: int, places: Iterable[tuple[float, float]]) -> None:
        """A design's curve through places."""
        add(self.drawn, path(list(places), f"curve {colour(number)}"))

    def mark(self, number: int, x: float, y: float, size: float, about: str, extra: str = "") -> None:
        """A design's mark at values, with its tooltip."""
        add(self.drawn, mark(number, self.x(x), self.y(y), size, extra, about))
