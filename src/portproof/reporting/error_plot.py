"""Errors of an output as a picture: each runtime's over the reference's own, in ULPs, as SVG."""

import html
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from portproof.bundle.report import Cell, Curve, Errors
from portproof.bundle.text import printable

# Placeholder colours, which are replaced by variables of the page's style, light or dark.
INK = "#a1b2c3"
SERIES = tuple(f"#0f0f{n:02x}" for n in range(12))
# Distinguished by shape too; with twelve colours, no pair repeats in a readable plot.
MARKERS = {"o": "●", "s": "■", "^": "▲", "D": "◆", "v": "▼", "P": "✚", "*": "★"}
_FLOOR = 2.0**-6  # where an error of none is drawn, on a logarithmic axis


@dataclass(frozen=True)
class Series:
    """Runtimes that are off by the same, element for element."""

    label: str
    colour: int
    marker: str
    errors: Errors

    @property
    def sign(self) -> str:
        return MARKERS[self.marker]


@dataclass(frozen=True)
class Plot:
    """`exact` are those that give the reference's own numbers, whose errors are its own."""

    curve: Curve
    series: tuple[Series, ...]
    exact: tuple[str, ...]
    svg: str


def plot(curve: Curve, cells: Sequence[Cell]) -> Plot:
    """The plot of one output; `cells` are those of it in `typical` that have errors."""
    groups: dict[Errors, list[str]] = {}
    for cell in cells:
        if cell.errors:
            groups.setdefault(cell.errors, []).append(f"{cell.place} ({cell.full_format})")
    exact = groups.pop(curve.reference, [])
    series = tuple(
        Series(", ".join(names), n % len(SERIES), list(MARKERS)[n % len(MARKERS)], errors)
        for n, (errors, names) in enumerate(groups.items())
    )
    return Plot(curve, series, tuple(exact), _svg(curve, series))


def _svg(curve: Curve, series: Sequence[Series]) -> str:
    def draw(axes: Any) -> None:
        axes.set_yscale("log", base=2)
        # Plain numbers: setting the powers of 2 as formulas takes half of the time.
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:.4g}")
        _points(axes, curve, curve.reference, facecolors="none", edgecolors=INK, linewidths=0.8)
        for line in series:
            looks = {"marker": line.marker, "color": SERIES[line.colour], "linewidths": 0}
            _points(axes, curve, line.errors, **looks)
        axes.set_xlabel(curve.axis or "element", parse_math=False)
        axes.set_ylabel("error against float64, ULP", parse_math=False)

    name = f"Errors of {curve.signature}.{curve.output} against float64, by runtime"
    return drawn(draw, name)


def drawn(draw: Callable[[Any], None], name: str) -> str:
    """What is drawn into Matplotlib's axes, as SVG in the page's colours, `INK` and `SERIES`.

    `name` is what it is for a person who does not see it.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    style: Any = {"svg.fonttype": "none", "svg.hashsalt": "portproof", "font.size": 9}
    for part in ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"):
        style[part] = INK
    with mpl.rc_context(style):
        figure = Figure(figsize=(5.2, 3.2), layout="constrained")
        axes = figure.add_subplot()
        draw(axes)
        axes.spines[["top", "right"]].set_visible(False)
        written = io.StringIO()
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(written, format="svg", metadata=nothing, transparent=True)
    return _styled(written.getvalue(), name)


def _points(axes: Any, curve: Curve, errors: Errors, **style: Any) -> None:
    pairs = [(x, max(e, _FLOOR)) for x, e in zip(curve.at, errors, strict=True) if e is not None]
    axes.scatter([x for x, _ in pairs], [e for _, e in pairs], 11, **style)


def _styled(svg: str, name: str) -> str:
    """The picture alone, its colours as variables of the page, as wide as there is room."""
    svg = svg[svg.index("<svg") :]
    for n, colour in enumerate(SERIES):
        svg = svg.replace(colour, f"var(--series-{n})")
    named = f'<svg role="img" aria-label="{html.escape(printable(name))}" '
    return svg.replace(INK, "var(--ink)").replace("<svg ", named, 1)
