"""What people and programs read of a report."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

import portproof
from portproof.bundle.bundle import PAGE, REPORT, Bundle
from portproof.bundle.report import Cell, Report
from portproof.reporting import github, junit
from portproof.reporting.overview import Entry
from portproof.reporting.units import binary, seconds
from tests.conftest import REPOSITORY
from verify.faults.damage import damaged

SCRIPTS = Path(sys.executable).parent
CHEAP = ["litert", "litert-reference", "tfjs-node-cpu"]


@pytest.fixture(scope="module")
def folder(bundles: dict[str, Bundle], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with a right artifact in cheap runtimes, and a wrong one."""

    def damage(target: Path) -> None:
        [model] = (target / "tfjs-graph").rglob("model.json")
        [group] = json.loads(model.read_text())["weightsManifest"]
        at = 0
        for weight in group["weights"]:
            if weight["dtype"] == "float32":
                break
            at += 4 * int(np.prod(weight["shape"]))
        path = model.with_name(group["paths"][0])
        content = bytearray(path.read_bytes())
        content[at + 2] ^= 0x40  # the highest bit but one of its mantissa
        path.write_bytes(content)

    target = tmp_path_factory.mktemp("reports") / "damaged"
    return damaged(bundles["quadratic_keras"], target, damage).path


@pytest.fixture(scope="module")
def report(folder: Path) -> Report:
    return portproof.verify(folder, runtimes=CHEAP)


def command(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if name != "GITHUB_ACTIONS"}
    return subprocess.run(
        [os.fspath(SCRIPTS / "portproof"), *arguments],
        env={**kept, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_page_is_readable_at_two_widths_in_light_and_dark(folder: Path, report: Report) -> None:
    assert not report.ok
    look = [os.fspath(SCRIPTS / "node"), os.fspath(REPOSITORY / "tests" / "helpers" / "layout.mjs")]
    done = subprocess.run(
        [*look, (folder / PAGE).as_uri()], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == []


def test_the_page_says_what_the_report_says(folder: Path, report: Report) -> None:
    page = (folder / PAGE).read_text()
    assert "not proven" in page
    for cell in report.failures:
        assert cell.detail.split(" where ")[0] in page.replace("&#39;", "'")
    for text in ("serving_default.y", "data:image/png;base64,", "<svg", "of what rounding allows"):
        assert text in page
    assert page.count("<aside popover") == len({(c.full_format, c.runtime) for c in report.cells})


@pytest.mark.usefixtures("report")
def test_the_report_has_sizes_times_and_errors(folder: Path) -> None:
    kept = Report.model_validate_json((folder / REPORT).read_text())
    manifest = Bundle.open_unchecked(folder).manifest
    assert kept.sizes["damaged"] == {a.name: a.size for a in manifest.artifacts}
    timed = {(p.format, p.variant, p.runtime) for p in kept.performance}
    passed = {(c.format, c.variant, c.runtime) for c in kept.cells if c.passed and not c.variant}
    assert timed >= {key for key in passed if key[0] == "tflite"}
    for one in kept.performance:
        assert [timing.rows for timing in one.timings] == [1, 201]
        assert all(0 < t.low <= t.median <= t.high for t in one.timings)
        assert one.memory
        assert one.memory > 1 << 20
        assert one.load
    [curve] = kept.curves
    assert curve.axis == "x"
    cells = [c for c in kept.cells if c.regime == "typical" and c.signature == curve.signature]
    assert {len(cell.errors) for cell in cells} == {len(curve.at)} == {len(curve.reference)}
    wrong = [cell for cell in cells if cell.verdict == "wrong"]
    assert all(max(e for e in cell.errors if e is not None) > 1000 for cell in wrong)


def test_junit_has_a_case_for_each_cell(report: Report) -> None:
    root = ElementTree.fromstring(junit.render_junit(report))
    cases = list(root.iter("testcase"))
    assert len(cases) == len(report.cells)
    assert int(root.attrib["tests"]) == len(report.cells)
    assert int(root.attrib["failures"]) == len(report.failures) > 0
    failed = [case.find("failure") for case in cases if case.find("failure") is not None]
    assert {element.attrib["type"] for element in failed if element is not None} == {"wrong"}
    uncounted = [c for c in report.cells if not c.passed and c not in report.failures]
    assert int(root.attrib["skipped"]) == len(uncounted)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"refused": {"artifacts/x": "x is not what was exported"}}, "not what was exported"),
        ({"requested": ("keras-torch",)}, "keras-torch had nothing to run"),
        ({"interrupted": True}, "cells are missing"),
        ({}, "the report has no cells"),
    ],
)
def test_junit_never_passes_on_nothing(changes: dict[str, Any], said: str, report: Report) -> None:
    empty = report.model_copy(update={"cells": [], **changes})
    root = ElementTree.fromstring(junit.render_junit(empty))
    assert int(root.attrib["errors"]) >= 1
    assert said in junit.render_junit(empty)


def test_junit_can_be_read_whatever_a_runner_said(report: Report) -> None:
    said = report.failures[0].model_copy(update={"detail": "\x1b[31mred\x00\ud800"})
    text = junit.render_junit(report.model_copy(update={"cells": [said]}))
    assert "?[31mred??" in text
    ElementTree.fromstring(text)


def test_a_failed_edge_is_among_what_is_listed(report: Report) -> None:
    cell = report.cells[0].model_copy(update={"regime": "typical", "verdict": "exact"})
    edge = cell.model_copy(update={"regime": "edge", "verdict": "failed"})
    assert edge in Entry("a", "r", (*[cell] * 40, edge), ()).listed


def test_bench_of_what_is_absent_says_so(folder: Path) -> None:
    done = command("bench", str(folder), "--runtime", "keras-torch")
    assert done.returncode == 2
    assert "keras-torch is absent; to have it" in done.stderr


def test_github_gets_annotations_and_a_page(folder: Path, tmp_path: Path) -> None:
    page = tmp_path / "summary.md"
    done = command(
        "verify",
        str(folder),
        "--runtime",
        "tfjs-node-cpu",
        "--quiet",
        GITHUB_ACTIONS="true",
        GITHUB_STEP_SUMMARY=str(page),
    )
    assert done.returncode == 1
    [first, *_] = [line for line in done.stdout.splitlines() if line.startswith("::")]
    assert first.startswith("::error title=wrong%3A damaged tfjs-graph in tfjs-node-cpu")
    assert "## damaged: not proven" in page.read_text()
    assert "| tfjs-graph | ❌ wrong " in page.read_text()


def test_an_annotation_cannot_be_broken_out_of(report: Report) -> None:
    cell = report.failures[0].model_copy(update={"detail": "a%b\n::error::c", "runtime": "r,s:t"})
    line = next(github.annotations(report.model_copy(update={"cells": [cell]})))
    assert "\n" not in line
    assert line.endswith("::a%25b%0A::error::c")
    assert "r%2Cs%3At" in line


def test_quiet_leaves_what_is_not_proven(folder: Path) -> None:
    done = command("verify", str(folder), "--runtime", "tfjs-node-cpu", "--quiet")
    lines = done.stdout.splitlines()
    assert lines[-1].startswith("not proven: ")
    assert all(line.startswith(("wrong", "failed", "not proven")) for line in lines)
    right = command("verify", str(folder), "--runtime", "litert", "--quiet")
    assert len(right.stdout.splitlines()) == 1


def test_verbose_says_each_verdict_at_once(folder: Path, report: Report) -> None:
    done = command("verify", str(folder), "--runtime", "litert", "--verbose")
    cells: list[Cell] = [cell for cell in report.cells if cell.runtime == "litert"]
    said = [line for line in done.stdout.splitlines() if " in litert, " in line]
    for cell in cells:
        assert any(f"{cell.output}, {cell.regime}" in line for line in said)


def test_there_is_no_colour_where_it_is_not_wanted(folder: Path) -> None:
    shown = ("verify", str(folder), "--runtime", "litert")
    assert "\x1b[" in command(*shown, FORCE_COLOR="1", TERM="xterm-256color").stdout
    wanted = command(*shown, FORCE_COLOR="1", NO_COLOR="1", TERM="xterm-256color").stdout
    assert "\x1b[3" not in wanted
    assert "\x1b[" not in command(*shown).stdout


def test_bench_times_each_artifact_by_itself(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "bench.json"
    done = command(
        "bench",
        str(folder),
        "--runtime",
        "litert",
        "--runtime",
        "tfjs-node-cpu",
        "--json",
        str(file),
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(file.read_text())
    assert {one["runtime"] for one in found} == {"litert", "tfjs-node-cpu"}
    assert all(timing["calls"] > 7 for one in found for timing in one["timings"])
    assert "201 rows" in done.stdout


def test_figures_are_short() -> None:
    assert [binary(n) for n in (17, 2848, 5 << 20, 3 << 30)] == [
        "17 B",
        "2.8 KiB",
        "5.0 MiB",
        "3.0 GiB",
    ]
    assert [seconds(s) for s in (2.1e-5, 0.00123, 0.25, 3.0)] == [
        "21 µs",
        "1.23 ms",
        "250 ms",
        "3 s",
    ]
