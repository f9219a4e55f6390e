"""Figures as people read them."""

from portproof.bundle.report import Timing


def binary(count: int | None) -> str:
    """`2.3 MiB`."""
    if count is None:
        return ""
    size = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024 or unit == "GiB":
            return f"{size:.0f} {unit}" if unit == "B" or size >= 10 else f"{size:.1f} {unit}"
        size /= 1024
    raise AssertionError


def seconds(value: float | None) -> str:
    """`0.21 ms`, with three figures at most."""
    if value is None:
        return ""
    for factor, unit in ((1e6, "µs"), (1e3, "ms")):
        if value * factor < 1000:
            return f"{value * factor:.3g} {unit}"
    return f"{value:.3g} s"


def spread(timing: Timing) -> str:
    """The median, and from where to where four of five calls lay."""
    return f"{seconds(timing.median)} ({seconds(timing.low)} to {seconds(timing.high)})"


def number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"
