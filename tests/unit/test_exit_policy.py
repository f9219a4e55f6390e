"""The exit status of a report: with targets and without."""

from typing import Any

import pytest

from portproof.bundle.report import Cell, Environment, Report
from portproof.bundle.text import shortened
from portproof.bundle.verdicts import Verdict
from portproof.reporting.causes import causes
from portproof.reporting.shipping import destinations, not_to_text

HERE = Environment(platform="", processor="", python="", portproof="", runtimes={})


def cell(runtime: str, verdict: Verdict, **fields: Any) -> Cell:
    given = {"format": "tflite", "variant": "", "signature": "s", "output": "y", **fields}
    return Cell(model="m", runtime=runtime, regime="typical", verdict=verdict, **given)


def report(*cells: Cell, targets: tuple[str, ...] = (), requested: tuple[str, ...] = ()) -> Report:
    by_model = {"m": targets} if targets else {}
    return Report(
        bundle={"m": ""},
        environment=HERE,
        cells=list(cells),
        targets=by_model,
        requested=requested,
    )


@pytest.mark.parametrize(
    ("cells", "targets", "status"),
    [
        ({"a": "exact"}, (), 0),
        ({"a": "exact", "b": "unsupported"}, (), 0),
        ({"a": "unsupported", "b": "unsupported"}, (), 1),
        ({"a": "exact", "b": "wrong"}, (), 1),
        ({"a": "exact", "b": "failed"}, (), 1),
        ({"a": "absent"}, (), 3),
        ({"a": "exact", "b": "absent"}, (), 0),
        ({}, (), 1),
        ({"a": "exact", "b": "wrong"}, ("a",), 0),
        ({"a": "exact", "b": "wrong"}, ("b",), 1),
        ({"a": "exact", "b": "unsupported"}, ("b",), 1),
        ({"a": "exact", "b": "absent"}, ("b",), 3),
        ({"a": "exact"}, ("c",), 3),
        ({"b": "exact"}, ("a", "b"), 3),
    ],
)
def test_exit_status(cells: dict[str, Verdict], targets: tuple[str, ...], status: int) -> None:
    made = [cell(runtime, verdict) for runtime, verdict in cells.items()]
    assert report(*made, targets=targets).exit_status == status


def test_a_runtime_that_was_named_has_to_run() -> None:
    assert report(cell("a", "exact"), requested=("a", "b")).exit_status == 3


def test_one_reason_is_one_cause() -> None:
    cells = [
        cell("a", "wrong", output="y", detail="batch-1: 3.5 times: 1.0 where it has 2.0 at [0, 1]"),
        cell("b", "wrong", output="z", detail="batch-7: 812 times: -4e-3 where it has nan at [12]"),
        cell("a", "failed", detail="the runner ended"),
    ]
    failed, wrong = causes(cells)
    assert failed.verdict == "failed"
    assert wrong.place == "tflite in a, b: s.y and 1 more"


@pytest.mark.parametrize(
    ("names", "text"),
    [(["a"], "a"), (["a", "b", "c"], "a, b, c"), (list("abcde"), "a, b, c and 2 more")],
)
def test_long_lists_are_shortened(names: list[str], text: str) -> None:
    assert shortened(names) == text


def test_where_a_model_ships() -> None:
    made = report(
        cell("a", "exact"),
        cell("b", "unsupported", lacks="GELU"),
        cell("c", "exact"),
        cell("c", "unsupported", lacks="Grad", signature="s_train_step"),
        cell("d", "absent"),
    )
    assert destinations(made) == ["a", "c"]
    assert not_to_text(made) == "b (GELU), training in c (Grad)"
    assert not_to_text(made, 1) == "b (GELU) and 1 more"


def test_a_training_step_that_no_runtime_can_do_does_not_count_beside_what_infers() -> None:
    step = cell("a", "unsupported", lacks="Grad", signature="s_train_step")
    beside = report(cell("a", "exact"), step)
    assert (beside.exit_status, beside.unproven) == (0, [])
    assert not_to_text(beside) == "training in a (Grad)"
    assert report(step).exit_status == 1
    assert report(cell("a", "unsupported"), step).exit_status == 1
    wrong = report(cell("a", "exact"), cell("a", "wrong", signature="s_train_step"))
    assert wrong.exit_status == 1
