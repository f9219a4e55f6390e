"""The error along a graph, as a report holds it and a page shows it."""

from typing import Any

import pytest
from pydantic import ValidationError

from portproof.bundle.report import GraphErrors, TensorError
from portproof.reporting.graph_plot import graph_plot

TENSOR = {"name": "a/Relu", "op": "Relu", "layer": "a", "verdict": "faithful", "bound_ratio": 0.2}


def errors(**changes: Any) -> GraphErrors:
    fields = {
        "model": "m",
        "format": "tflite",
        "runtime": "litert",
        "signature": "serving_default",
        "case": "typical",
        "tensors": [TENSOR, {**TENSOR, "verdict": "wrong", "bound_ratio": 300.0}],
        "first": 1,
    }
    return GraphErrors.model_validate({**fields, **changes})


@pytest.mark.parametrize("changes", [{"tensors": []}, {"first": 2}, {"first": -1}])
def test_a_place_outside_of_the_tensors_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        errors(**changes)


def test_the_plot_names_the_first_that_leaves_the_reference() -> None:
    plot = graph_plot(errors())
    assert plot.first == errors().tensors[1]
    assert plot.title == "tflite in litert"
    assert ">a</text>" in plot.svg
    assert ">a</text>" not in graph_plot(errors(first=None)).svg


def test_errors_without_a_number_are_drawn_too() -> None:
    tensors = [TENSOR, {**TENSOR, "verdict": "wrong", "bound_ratio": None}]
    assert isinstance(TensorError.model_validate(tensors[1]), TensorError)
    assert "<svg" in graph_plot(errors(tensors=tensors)).svg


def test_a_strangers_long_name_is_cut_and_escaped() -> None:
    name = "</text></svg><script>" + "x" * 100_000
    svg = graph_plot(errors(tensors=[TENSOR, {**TENSOR, "layer": name}])).svg
    assert "<script>" not in svg
    assert len(svg) < 100_000
