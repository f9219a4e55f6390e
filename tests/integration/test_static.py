"""`portproof serve --static`: a page on any web server, and `merge` of what it computed."""

import functools
import http.server
import json
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file
from typer.testing import CliRunner

import portproof
from portproof.bundle import tensors
from portproof.bundle.bundle import Bundle
from portproof.bundle.exit_policy import unproven
from portproof.bundle.float_format import Array
from portproof.bundle.manifest import Budget
from portproof.bundle.report import Cell, Environment, Report
from portproof.bundle.signature import TensorSpec
from portproof.bundle.verdicts import Verdict
from portproof.cli.application import app
from portproof.comparing.allowed import allowed
from portproof.comparing.arrays import Expected, compare
from portproof.comparing.judging import Allowance, judge
from portproof.devices.static import write_site
from tests.helpers.accessibility import findings
from tests.helpers.damaging import scale_weights
from tests.helpers.programs import browser_variables, node_command


@pytest.fixture
def bundle(quadratic_in: Callable[[str], Path], tmp_path: Path) -> Bundle:
    return Bundle.open(shutil.copytree(quadratic_in("onnx"), tmp_path / "quadratic"))


@pytest.fixture
def site(bundle: Bundle, tmp_path: Path) -> Path:
    write_site(bundle, tmp_path / "site")
    return tmp_path / "site"


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Nothing."""


@contextmanager
def web_server(folder: Path) -> Iterator[str]:
    """A web server that knows nothing of Portproof; gives its address."""
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


def visited(site: Path, download: Path) -> str:
    """What the page says, and its download."""
    with web_server(site) as address:
        visit = node_command("device.mjs", address, "", "0", str(download))
        variables = {**os.environ, **browser_variables()}
        done = subprocess.run(visit, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def merged(*paths: Path) -> Report:
    return portproof.merge(*paths)


def test_axe_finds_nothing_serious_on_the_page(site: Path) -> None:
    with web_server(site) as address:
        assert findings(address, settled="this device:") == []


def test_any_web_server_proves_it(site: Path, bundle: Bundle, tmp_path: Path) -> None:
    page = visited(site, tmp_path / "device.safetensors")
    assert "The numbers are the same on this device: 2 faithful" in page
    report = merged(bundle.path, tmp_path / "device.safetensors")
    assert report.exit_status == 0, report.failures
    cells = [cell for cell in report.cells if cell.regime != "edge"]
    assert {cell.runtime for cell in cells} == {
        "onnxruntime-browser-wasm",
        "onnxruntime-browser-webgpu",
    }
    assert {cell.verdict for cell in cells} == {"faithful"}
    assert all(cell.host.startswith("linux-chrome-") for cell in cells)
    assert report.cells == cells  # no edge case was asked for, so none is absent


def test_a_damaged_artifact_is_wrong_on_the_page_and_in_the_report(
    site: Path, bundle: Bundle, tmp_path: Path
) -> None:
    [file] = (site / "artifact").rglob("*.onnx")
    scale_weights(file)
    page = visited(site, tmp_path / "device.safetensors")
    assert "Not proven on this device" in page
    assert "times the rounding error allowed" in page
    report = merged(bundle.path, tmp_path / "device.safetensors")
    assert report.exit_status == 1
    assert {cell.verdict for cell in report.cells} == {"wrong"}


def test_an_artifact_that_does_not_load_costs_its_cells(
    site: Path, bundle: Bundle, tmp_path: Path
) -> None:
    [file] = (site / "artifact").rglob("*.onnx")
    file.write_bytes(b"no model")
    assert "failed" in visited(site, tmp_path / "device.safetensors")
    report = merged(bundle.path, tmp_path / "device.safetensors")
    assert {cell.verdict for cell in report.cells} == {"failed"}


def answers_of(of: Bundle, path: Path, **other: Any) -> Path:
    """A file as the page writes it, that has no answers."""
    said = {
        "schema": "portproof/answers/1",
        "model": of.manifest.model,
        "bundle": of.digest,
        "agent": "Mozilla/5.0 (iPhone) Version/18.1 Mobile Safari/604.1",
        "device": "1f",
        "adapters": {},
        "runtimes": ["onnxruntime-browser-wasm"],
        "answers": {},
    }
    save_file({}, path, metadata={"portproof": json.dumps({**said, **other})})
    return path


def test_what_a_page_did_not_compute_is_absent(bundle: Bundle, tmp_path: Path) -> None:
    report = merged(bundle.path, answers_of(bundle, tmp_path / "none.safetensors"))
    assert {cell.verdict for cell in report.cells} == {"absent"}
    assert report.exit_status == 3


def test_what_is_no_answer_is_refused_in_a_line(bundle: Bundle, tmp_path: Path) -> None:
    garbage = tmp_path / "garbage.safetensors"
    garbage.write_bytes(b"\xff" * 100)
    vectors = bundle.path / bundle.manifest.vectors[0].file.path
    other = answers_of(bundle, tmp_path / "other.safetensors", bundle="0" * 64)
    long = answers_of(bundle, tmp_path / "long.safetensors", agent="a" * 1000)
    alone = answers_of(bundle, tmp_path / "alone.safetensors")
    for words, message in (
        ([bundle.path, garbage], "is not what a page"),
        ([bundle.path, vectors], "is not what a page"),
        ([bundle.path, long], "is not what a page"),
        ([bundle.path, other], "is of another bundle"),
        ([alone], "name its bundle too"),
        ([bundle.path, tmp_path / "missing.safetensors"], "cannot be read"),
        ([bundle.path], "name the reports to merge"),
    ):
        with pytest.raises(portproof.UsageError, match=message):
            merged(*words)


def test_a_page_replaces_itself_and_nothing_else(bundle: Bundle, tmp_path: Path) -> None:
    def written(folder: Path) -> Any:
        return CliRunner().invoke(app, ["serve", str(bundle.path), "--static", str(folder)])

    folder = tmp_path / "page"
    for _ in range(2):
        assert written(folder).exit_code == 0
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("mine")
    for taken in (mine, bundle.path / "page"):
        assert written(taken).exit_code != 0
    assert [file.name for file in mine.iterdir()] == ["thesis.txt"]
    assert not (bundle.path / "page").exists()


RANDOM = np.random.default_rng(3)


def said_by_the_page(got: Array, arrays: dict[str, Array], numbers: Any, folder: Path) -> Any:
    file = folder / "case.safetensors"
    tensors.write(file, {"got/y": got, **arrays})
    numbers = json.dumps({"name": "y", **numbers})
    done = subprocess.run(
        node_command("judging.mjs", str(file), numbers), capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def cases() -> Iterator[tuple[str, Array, Expected]]:
    """Outputs that are right, wrong, and just beside."""
    reference = RANDOM.normal(size=(8, 5)).astype(np.float32)
    oracle = reference.astype(np.float64) * (1 + 1e-8)
    rounding = np.abs(oracle) * 1e-6
    expected = Expected(reference, oracle, rounding)
    yield "itself", reference, expected
    near = (oracle + 0.2 * rounding).astype(np.float32)
    yield "near", near, expected
    for times in (0.9, 1.2):
        one = reference.copy()
        one[3, 2] = oracle[3, 2] + times * (rounding[3, 2] + abs(reference[3, 2] - oracle[3, 2]))
        yield f"one element at {times}", one, expected
    yield "all at 0.9", (oracle + 0.9 * rounding).astype(np.float32), expected
    shaders = Expected(reference, oracle, rounding, 100 * rounding)
    yield "a shader's", (oracle + 50 * rounding).astype(np.float32), shaders
    yield "beyond a shader's", (oracle + 200 * rounding).astype(np.float32), shaders
    for value in (np.nan, np.inf):
        one = reference.copy()
        one[0, 0] = value
        yield f"{value} in its place", one, expected
        own = Expected(one, np.where(np.isfinite(one), oracle, value), rounding)
        yield f"{value} as the reference", one, own
    yield "another shape", reference.T.copy(), expected
    yield "another dtype", reference.astype(np.float64), expected
    tiny = np.full((2, 2), 1e-40, np.float32)
    yield "flushed", np.zeros_like(tiny), Expected(tiny, tiny.astype(np.float64), 0 * tiny)
    whole = np.arange(6, dtype=np.int64).reshape(2, 3)
    large = np.full_like(tiny, 1e3)
    yield "large for denormals", large, Expected(tiny, tiny.astype(np.float64), 0 * tiny)
    yield "integers", whole, Expected(whole)
    yield "other integers", whole + 1, Expected(whole)


@pytest.mark.parametrize("case", list(cases()), ids=lambda case: case[0].replace(" ", "-"))
def test_the_page_says_what_the_judge_says(
    case: tuple[str, Array, Expected], tmp_path: Path
) -> None:
    _, got, expected = case
    reference = expected.reference
    spec = TensorSpec(dtype=str(reference.dtype), shape=(None, *reference.shape[1:]))
    verdict = judge(got, spec, expected, Allowance(shader_ops=("Exp",)))[0]
    arrays: dict[str, Array] = {"reference/y": reference}
    numbers: dict[str, Any] = {"shader": True}
    if expected.oracle is not None:
        limits = allowed(expected)
        arrays |= {"oracle/y": limits.oracle, "rounding/y": limits.rounding}
        arrays |= {"shader/y": limits.shader} if limits.shader is not None else {}
        numbers |= {"mean": limits.mean, "normal": limits.normal}
    said = said_by_the_page(got, arrays, numbers, tmp_path)["verdict"]
    assert said == verdict


@pytest.mark.parametrize("noise", [0.0, 0.001, 0.1, 0.7])
@pytest.mark.parametrize("width", [1, 10])
@pytest.mark.parametrize("budget", [Budget(sqnr=40.0), Budget(step=0.05, lsb=1.5, mean_lsb=0.6)])
def test_the_page_says_what_the_judge_says_of_variants(
    noise: float, budget: Budget, width: int, tmp_path: Path
) -> None:
    reference = RANDOM.normal(size=(20, width)).astype(np.float32)
    reference[7] /= 1000  # beside the others, near zero
    got = reference + noise * RANDOM.uniform(-0.5, 0.5, reference.shape).astype(np.float32)
    expected = Expected(reference, reference.astype(np.float64), np.abs(reference) * 1e-7)
    spec = TensorSpec(dtype="float32", shape=(None, width))
    verdict = judge(got, spec, expected, Allowance(budget))[0]
    variant = {**budget.model_dump(exclude_none=True), "floor": 10.0}
    said = said_by_the_page(got, {"reference/y": reference}, {"variant": variant}, tmp_path)
    assert said["verdict"] == verdict
    if verdict == "close":
        assert bool(said["below"]) == (compare(got, expected).sqnr < variant["floor"])


def ran(artifact: str, runtime: str, signature: str, *verdicts: Verdict) -> list[Cell]:
    variant = artifact.partition(" ")[2]
    return [
        Cell(
            model="m",
            format=artifact.split(" ")[0],
            variant=variant,
            runtime=runtime,
            signature=signature,
            output=f"y{number}",
            regime="typical",
            verdict=verdict,
        )
        for number, verdict in enumerate(verdicts)
    ]


@pytest.mark.parametrize(
    "cells",
    [
        ran("tflite", "a", "s", "exact"),
        ran("tflite", "a", "s", "unsupported"),
        ran("tflite", "a", "s", "exact", "unsupported"),
        ran("tflite", "a", "s", "unsupported") + ran("tflite", "b", "s", "exact"),
        ran("tflite", "a", "s", "unsupported") + ran("tflite int8", "a", "s", "close"),
        ran("tflite", "a", "s", "failed"),
        ran("tflite", "a", "s", "exact") + ran("tflite", "a", "s_train_step", "unsupported"),
        ran("tflite", "a", "s", "unsupported") + ran("tflite", "a", "s_train_step", "unsupported"),
        ran("tflite", "a", "s", "exact") + ran("tflite", "a", "train_step", "unsupported"),
        ran("tflite", "a", "s_train_step", "unsupported"),
        ran("tflite", "a", "s", "exact") + ran("tflite", "a", "t", "unsupported"),
    ],
)
def test_the_page_says_what_the_report_says_is_supported_nowhere(cells: list[Cell]) -> None:
    here = Environment(platform="", processor="", python="", portproof="", runtimes={})
    report = Report(environment=here, cells=cells, bundle={}, targets={})
    given = [
        {
            "artifact": cell.full_format,
            "runtime": cell.runtime,
            "signature": cell.signature,
            "verdict": cell.verdict,
        }
        for cell in cells
    ]
    done = subprocess.run(
        node_command("uncovered.mjs", json.dumps(given)),
        capture_output=True,
        text=True,
        check=True,
    )
    assert [f"m {line}" for line in json.loads(done.stdout)] == unproven(report)
