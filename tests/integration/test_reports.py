"""The forms of a report: page, JSON, JUnit, GitHub annotations and terminal output."""

import json
import os
import re
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
from portproof.reporting.badge import render_badge
from portproof.reporting.causes import causes
from portproof.reporting.files import write_for_programs
from portproof.reporting.overview import Entry
from portproof.reporting.units import binary, seconds
from tests.helpers.accessibility import findings
from tests.helpers.programs import browser_variables, node_command
from verify.faults.damage import damaged

SCRIPTS = Path(sys.executable).parent
CHEAP = ["litert", "litert-reference", "tfjs-node-cpu"]


@pytest.fixture(scope="module")
def folder(bundles: dict[str, Bundle], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with right artifacts and a wrong one, for runtimes that start quickly."""

    def damage(target: Path) -> None:
        [model] = (target / "tfjs-graph").rglob("model.json")
        [group] = json.loads(model.read_text())["weightsManifest"]
        offset = 0
        for weight in group["weights"]:
            if weight["dtype"] == "float32":
                break
            offset += 4 * int(np.prod(weight["shape"]))
        path = model.with_name(group["paths"][0])
        content = bytearray(path.read_bytes())
        content[offset + 2] ^= 0x40  # the highest bit but one of its mantissa
        path.write_bytes(content)

    target = tmp_path_factory.mktemp("reports") / "damaged"
    return damaged(bundles["quadratic_keras"], target, damage).path


@pytest.fixture(scope="module")
def report(folder: Path) -> Report:
    return portproof.verify(folder, runtimes=CHEAP)


def command(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if name != "GITHUB_ACTIONS"}
    return subprocess.run(
        [os.fspath(SCRIPTS / "portproof"), *arguments],
        env={**inherited, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_page_is_readable_at_two_widths_in_light_and_dark(folder: Path, report: Report) -> None:
    assert not report.ok
    done = subprocess.run(
        node_command("layout.mjs", (folder / PAGE).as_uri()),
        env={**os.environ, **browser_variables()},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == []


@pytest.mark.usefixtures("report")
def test_axe_and_the_keyboard_find_nothing_serious(folder: Path) -> None:
    assert findings((folder / PAGE).as_uri()) == []


def test_axe_finds_what_is_wrong(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text(
        "<!doctype html><title>x</title><img src='data:,'><p style='color:#ccc'>Hardly seen."
    )
    found = " ".join(findings(page.as_uri()))
    assert "image-alt" in found
    assert "color-contrast" in found


def test_a_badge_tells_the_verdict(folder: Path, report: Report, tmp_path: Path) -> None:
    command(
        "verify", str(folder), "--runtime", "tfjs-node-cpu", "--badge", str(tmp_path / "badge.svg")
    )
    assert "portproof: not proven" in (tmp_path / "badge.svg").read_text()
    assert not report.ok
    hostile = report.model_copy(update={"ok": True, "held_to": {"m": "<script>"}, "cells": []})
    assert "<script>" not in render_badge(hostile)


def test_the_page_shows_failures_signatures_and_plots(folder: Path, report: Report) -> None:
    page = (folder / PAGE).read_text()
    assert "not proven" in page
    for cause in causes(report.failures):
        assert page.replace("&#39;", "'").count(cause.reason.split(" where ")[0]) in (1, 2, 3)
    for text in ("serving_default.y", "data:image/png;base64,", "<svg", "of what rounding allows"):
        assert text in page
    assert page.count("<aside popover") == len({(c.full_format, c.runtime) for c in report.cells})


@pytest.mark.usefixtures("report")
def test_the_report_has_sizes_times_and_errors(folder: Path) -> None:
    saved = Report.model_validate_json((folder / REPORT).read_text())
    manifest = Bundle.open_unchecked(folder).manifest
    assert saved.sizes["damaged"] == {a.name: a.size for a in manifest.artifacts}
    timed = {(p.format, p.variant, p.runtime) for p in saved.performance}
    passed = {(c.format, c.variant, c.runtime) for c in saved.cells if c.passed and not c.variant}
    assert timed >= {key for key in passed if key[0] == "tflite"}
    for measured in saved.performance:
        assert [timing.rows for timing in measured.timings] == [1, 201]
        assert all(0 < t.low <= t.median <= t.high for t in measured.timings)
        assert measured.memory
        assert measured.memory > 1 << 20
        assert measured.load
    [curve] = saved.curves
    assert curve.axis == "x"
    cells = [c for c in saved.cells if c.regime == "typical" and c.signature == curve.signature]
    assert {len(cell.errors) for cell in cells} == {len(curve.at)} == {len(curve.reference)}
    wrong = [cell for cell in cells if cell.verdict == "wrong"]
    assert all(max(e for e in cell.errors if e is not None) > 1000 for cell in wrong)


def test_junit_has_a_case_for_each_signature_artifact_and_runtime(report: Report) -> None:
    root = ElementTree.fromstring(junit.render_junit(report))
    cases = list(root.iter("testcase"))
    keys = {(c.full_format, c.runtime, c.signature) for c in report.cells}
    failing = {(c.full_format, c.runtime, c.signature) for c in report.failures}
    assert len(cases) == len(keys) == int(root.attrib["tests"])
    assert int(root.attrib["failures"]) == len(failing) > 0
    failed = [case.find("failure") for case in cases if case.find("failure") is not None]
    assert {element.attrib["type"] for element in failed if element is not None} == {"wrong"}


def test_junit_passes_nothing_that_was_not_compared(report: Report) -> None:
    cell = report.failures[0]
    for verdict in ("unsupported", "absent"):
        other = cell.model_copy(update={"verdict": verdict, "detail": "lacks GELU"})
        root = ElementTree.fromstring(
            junit.render_junit(report.model_copy(update={"cells": [other]}))
        )
        assert root.attrib["skipped"] == "1"
        assert int(root.attrib["errors"]) >= 1  # that nothing was proven


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"refused": {"artifacts/x": "x is not what was exported"}}, "not what was exported"),
        ({"requested": ("keras-torch",)}, "keras-torch had nothing to run"),
        ({"interrupted": True}, "cells are missing"),
        ({}, "the report has no cells"),
    ],
)
def test_junit_without_cells_never_passes(
    changes: dict[str, Any], message: str, report: Report
) -> None:
    empty = report.model_copy(update={"cells": [], **changes})
    root = ElementTree.fromstring(junit.render_junit(empty))
    assert int(root.attrib["errors"]) >= 1
    assert message in junit.render_junit(empty)


def test_a_file_that_cannot_be_written_costs_no_other(report: Report, tmp_path: Path) -> None:
    files = {"junit": tmp_path / "junit.xml", "badge": tmp_path / "badge.svg"}
    with pytest.raises(OSError, match=re.escape(str(tmp_path))):
        write_for_programs(report, json=tmp_path, **files)
    assert all(file.is_file() for file in files.values())


def test_junit_names_what_does_not_count_as_such(report: Report) -> None:
    cell = report.cells[0].model_copy(update={"regime": "typical", "verdict": "exact"})
    edge = cell.model_copy(update={"regime": "edge", "verdict": "failed", "detail": "crashed"})
    absent = cell.model_copy(update={"runtime": "keras-torch", "verdict": "absent"})
    made = report.model_copy(update={"cells": [cell, edge, absent]})
    root = ElementTree.fromstring(junit.render_junit(made))
    assert (root.attrib["failures"], root.attrib["skipped"]) == ("0", "1")
    told = [element.text or "" for element in root.iter("system-out")]
    assert len(told) == 1
    assert told[0].startswith("edge, not counted: failed: ")
    shipped = made.model_copy(update={"targets": {cell.model: (cell.runtime,)}})
    assert "keras-torch" not in junit.render_junit(shipped)


def test_junit_is_valid_xml_for_any_detail(report: Report) -> None:
    failure = report.failures[0].model_copy(update={"detail": "\x1b[31mred\x00\ud800"})
    text = junit.render_junit(report.model_copy(update={"cells": [failure]}))
    assert r"\x1b[31mred\x00\ud800" in text
    ElementTree.fromstring(text)


def test_a_failed_edge_cell_is_listed(report: Report) -> None:
    cell = report.cells[0].model_copy(update={"regime": "typical", "verdict": "exact"})
    edge = cell.model_copy(update={"regime": "edge", "verdict": "failed"})
    assert edge in Entry("a", "r", (*[cell] * 40, edge), ()).listed


def test_bench_of_an_absent_runtime_is_an_error(folder: Path, tmp_path: Path) -> None:
    arguments = ("bench", str(folder), "--runtime", "keras-torch")
    done = command(*arguments, PORTPROOF_CACHE=str(tmp_path))
    assert done.returncode == 2
    assert "keras-torch is absent; to have it" in done.stderr


def test_github_gets_annotations_and_a_summary(folder: Path, tmp_path: Path) -> None:
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


def test_an_annotation_escapes_its_text(report: Report) -> None:
    cell = report.failures[0].model_copy(update={"detail": "a%b\n::error::c", "runtime": "r,s:t"})
    line = next(github.annotations(report.model_copy(update={"cells": [cell]})))
    assert "\n" not in line
    assert line.endswith(r"::a%25b\n::error::c")
    assert "r%2Cs%3At" in line


def test_quiet_prints_only_what_is_not_proven(folder: Path) -> None:
    done = command("verify", str(folder), "--runtime", "tfjs-node-cpu", "--quiet")
    lines = done.stdout.splitlines()
    assert lines[-1].startswith("not proven: ")
    assert all(line.startswith(("wrong", "failed", "not proven")) for line in lines)
    proven = command("verify", str(folder), "--runtime", "litert", "--quiet")
    assert len(proven.stdout.splitlines()) == 1


def test_verbose_prints_each_verdict(folder: Path, report: Report) -> None:
    done = command("verify", str(folder), "--runtime", "litert", "--verbose")
    cells: list[Cell] = [cell for cell in report.cells if cell.runtime == "litert"]
    lines = [line for line in done.stdout.splitlines() if " in litert, " in line]
    for cell in cells:
        assert any(f"{cell.output}, {cell.regime}" in line for line in lines)


def test_colour_follows_the_terminal_and_the_environment(folder: Path) -> None:
    arguments = ("verify", str(folder), "--runtime", "litert")
    assert "\x1b[" in command(*arguments, FORCE_COLOR="1", TERM="xterm-256color").stdout
    stdout = command(*arguments, FORCE_COLOR="1", NO_COLOR="1", TERM="xterm-256color").stdout
    assert "\x1b[3" not in stdout
    assert "\x1b[" not in command(*arguments).stdout


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
    results = json.loads(file.read_text())
    assert {result["runtime"] for result in results} == {"litert", "tfjs-node-cpu"}
    assert all(timing["calls"] > 7 for result in results for timing in result["timings"])
    assert "201 rows" in done.stdout


def test_sizes_and_times_are_printed_short() -> None:
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
