"""What Jupyter shows: the tutorial is run, and reports and bundles are tables."""

import re
from pathlib import Path

import nbformat
import pytest

import portproof
from portproof.bundle.bundle import Bundle
from portproof.bundle.report import Cell, Environment, Report
from tests.helpers.notebooks import TUTORIAL, executed


def _outputs(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [output for cell in notebook.cells for output in cell.get("outputs", ())]


def _shown(notebook: nbformat.NotebookNode) -> list[str]:
    """What each output shows, as HTML where there is any."""
    return [
        output.get("text") or output["data"].get("text/html") or output["data"]["text/plain"]
        for output in _outputs(notebook)
    ]


def _without_figures(shown: str) -> str:
    return re.sub(r"\d[\d.e-]*", "0", re.sub(r"<[^>]+>", " ", shown))


def test_the_tutorial_runs_and_shows_what_is_committed(tmp_path: Path) -> None:
    committed = nbformat.read(TUTORIAL, as_version=4)
    shown = _shown(executed(TUTORIAL, tmp_path))
    assert any(text == "proven\n" for text in shown)
    assert any("damaged" in text and "refused" in text for text in shown)
    assert [*map(_without_figures, shown)] == [*map(_without_figures, _shown(committed))]


def test_the_committed_tutorial_is_short_and_tells_nothing_of_a_machine() -> None:
    text = TUTORIAL.read_text()
    assert len(text) < 40_000
    assert str(Path.home()) not in text
    assert "/tmp" not in text
    assert all(output.output_type != "error" for output in _outputs(nbformat.reads(text, 4)))


HERE = Environment(platform="", processor="", python="", portproof="", runtimes={})


def _report(detail: str) -> Report:
    cell = Cell(
        model="m",
        format="tflite",
        variant="",
        runtime="litert",
        signature="serve",
        output="y",
        regime="typical",
        verdict="wrong",
        detail=detail,
    )
    return Report(bundle={"m": "0" * 64}, environment=HERE, cells=[cell])


def test_a_strangers_text_is_text_in_a_notebook() -> None:
    shown = _report("<script>alert(1)</script>")._repr_html_()
    assert "<script>" not in shown
    assert "&lt;script&gt;" in shown


def test_an_interrupted_report_and_one_without_cells_are_shown() -> None:
    stopped = _report("").model_copy(update={"interrupted": True})
    assert "interrupted" in stopped._repr_html_()
    named = _report("").model_copy(update={"bundle": {"<b>": "0" * 64}})
    assert "<b>&lt;b&gt;</b>" in named._repr_html_()
    empty = Report(bundle={}, environment=HERE, cells=[])
    assert "not proven" in empty._repr_html_()
    assert repr(empty) == str(empty) == "<Report of nothing: not proven; no cells>"


def test_a_report_and_a_bundle_are_a_line_at_the_prompt(bundles: dict[str, Bundle]) -> None:
    bundle = bundles["quadratic"]
    report = portproof.verify(bundle.path, runtimes=["litert"])
    assert re.fullmatch(r"<Report of quadratic: proven; [\w ,]+>", repr(report))
    assert re.fullmatch(r"<Bundle quadratic with \d+ artifacts in \S+>", repr(bundle))
    html = report._repr_html_()
    assert '<th scope="row" style="text-align: left">litert</th>' in html
    assert "tflite int8" in html


def test_the_library_logs_its_steps(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    import keras

    x = keras.Input((2,), name="x")
    model = keras.Model(x, {"y": keras.layers.Dense(2)(x)})
    with caplog.at_level("INFO", logger="portproof"):
        portproof.export(model, tmp_path / "logged", formats=["tflite"])
    assert [record for record in caplog.records if record.name == "portproof"]
    assert capsys.readouterr().out == ""
