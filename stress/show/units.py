"""Numbers as people read them. Every function takes None for "unknown" and shows it as a dash."""

from __future__ import annotations

from stress.judge.ratio import Ratio, Verdict

UNKNOWN = "–"


def rate(value: float | None) -> str:
    """Events per second with a metric prefix: 12.3 M, 456 k, 78."""
    if value is None:
        return UNKNOWN
    for factor, prefix in ((1e9, " G"), (1e6, " M"), (1e3, " k"), (1.0, "")):
        if abs(value) >= factor * 0.9995:
            return _three_digits(value / factor) + prefix
    return _three_digits(value)


def _three_digits(value: float) -> str:
    """Three significant digits, without an exponent and without dropping digits before the point."""
    size = abs(value)
    if size >= 99.95 or value == 0:
        return f"{value:,.0f}"
    if size >= 9.995:
        return f"{value:.1f}"
    if size >= 0.9995:
        return f"{value:.2f}"
    return f"{value:.3g}" if size >= 1e-4 else f"{value:.1e}"


def count(value: int | None) -> str:
    """A whole number with thousands separated."""
    return UNKNOWN if value is None else f"{value:,}"


def per_unit(value: float | None) -> str:
    """A quotient of counts: three significant digits."""
    return UNKNOWN if value is None else _three_digits(value)


def seconds(value: float | None) -> str:
    """A duration with the unit that suits it: 850 ns, 12.3 µs, 4.56 ms, 7.89 s."""
    if value is None:
        return UNKNOWN
    for factor, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if abs(value) >= factor * 0.9995:
            return f"{_three_digits(value / factor)} {unit}"
    return f"{_three_digits(value / 1e-9)} ns"


def ratio(value: Ratio) -> str:
    """0.996 [0.989, 1.003]; without an interval only the estimate, marked as such."""
    if value.estimate is None:
        return UNKNOWN
    if value.low is None or value.high is None:
        return f"{value.estimate:.3f} [?]"
    return f"{value.estimate:.3f} [{value.low:.3f}, {value.high:.3f}]"


def change(value: float) -> str:
    """A ratio in words: 0.4 % slower, 12 % faster, 3.1 times slower, as fast."""
    word = "faster" if value > 1 else "slower"
    if value >= 2 or value <= 0.5:
        return f"{_three_digits(max(value, 1 / value))} times {word}"
    percent = abs(value - 1) * 100
    if percent < 0.05:
        return "as fast"
    return f"{percent:.1f} % {word}"


def signed_percent(value: float) -> str:
    """A ratio as a signed difference: −1.1 %, +0.3 %."""
    percent = (value - 1) * 100
    sign = "−" if percent < -0.05 else "+" if percent >= 0.05 else "±"
    return f"{sign}{abs(percent):.1f} %"


def percent(fraction: float) -> str:
    """A fraction without needless digits: 2 %, 0.5 %."""
    return f"{100 * fraction:.3g} %"


def more_time(verdict: Verdict) -> str:
    """ "; about 40 more seconds would be needed", or how else to come to an end; "" when there is nothing to settle."""
    if verdict.call != "cannot tell":
        return ""
    seconds = verdict.more_seconds
    if seconds is None:
        return "; longer measurement is needed (--seconds)"
    for size, unit in ((3600.0, "hour"), (60.0, "minute")):
        if seconds >= 2 * size:
            return f"; about {_three_digits(float(f'{seconds / size:.2g}'))} more {unit}s would be needed"
    return f"; about {plural(max(1, round(float(f'{seconds:.2g}'))), 'more second')} would be needed"


def interval(value: Ratio) -> str:
    """[−1.1 %, +0.3 %], or nothing when there is no interval."""
    if value.low is None or value.high is None:
        return ""
    return f"[{signed_percent(value.low)}, {signed_percent(value.high)}]"


def plural(number: int, one: str, many: str | None = None) -> str:
    """ "1 cache", "2 caches"."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
