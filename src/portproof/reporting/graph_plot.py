"""The errors along a graph as a picture: tensor by tensor, over what rounding allows, as SVG."""

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

from portproof.bundle.report import GraphErrors, TensorError
from portproof.bundle.verdicts import PASSING
from portproof.reporting.error_plot import INK, SERIES, drawn

# Where errors of none are drawn, and what cannot be compared, on a logarithmic axis.
_FLOOR, _CEILING = 1e-3, 1e9
_MAX_NAME = 40
_GOOD, _BAD = ("o", SERIES[0]), ("s", SERIES[1])


@dataclass(frozen=True)
class GraphPlot:
    """`first` is the first tensor that leaves the reference, if one does."""

    errors: GraphErrors
    title: str
    first: TensorError | None
    svg: str


def graph_plot(errors: GraphErrors) -> GraphPlot:
    """The plot of one diagnosis."""
    name = f"{errors.format} in {errors.place}"
    first = None if errors.first is None else errors.tensors[errors.first]
    told = f"Errors along the graph of {name}"
    return GraphPlot(errors, name, first, drawn(partial(_draw, errors), told))


def _draw(errors: GraphErrors, axes: Any) -> None:
    heights = [_height(tensor) for tensor in errors.tensors]
    axes.set_yscale("log")
    axes.set_ylim(_FLOOR / 2, max(10, 20 * max(heights)))
    # Plain numbers: setting powers as formulas takes half of the time.
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.4g}")
    axes.axhline(1, color=INK, linewidth=0.8)
    axes.plot(range(len(heights)), heights, color=INK, linewidth=0.5, alpha=0.5)
    passing = [tensor.verdict in PASSING for tensor in errors.tensors]
    for good, (marker, colour) in ((True, _GOOD), (False, _BAD)):
        at = [n for n, is_good in enumerate(passing) if is_good == good]
        axes.scatter(at, [heights[n] for n in at], 14, marker=marker, color=colour, linewidths=0)
    if errors.first is not None:
        _name_first(errors, heights[errors.first], axes)
    axes.set_xlabel("tensor, in the order of computation", parse_math=False)
    axes.set_ylabel("error / what rounding allows", parse_math=False)
    axes.xaxis.get_major_locator().set_params(integer=True)


def _name_first(errors: GraphErrors, height: float, axes: Any) -> None:
    """Its layer or op above it, on the side where there is room."""
    assert errors.first is not None
    first = errors.tensors[errors.first]
    right = errors.first < len(errors.tensors) / 2
    axes.annotate(
        (first.layer or first.op)[:_MAX_NAME],
        (errors.first, height),
        xytext=(4 if right else -4, 5),
        textcoords="offset points",
        ha="left" if right else "right",
        parse_math=False,
        in_layout=False,
    )


def _height(tensor: TensorError) -> float:
    ratio = tensor.bound_ratio
    if ratio is None or not math.isfinite(ratio):
        return _FLOOR if tensor.verdict in PASSING else _CEILING
    return min(max(ratio, _FLOOR), _CEILING)
