"""A real browser: which backend ran, and what happens when a model crashes the page."""

import json
import math
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import portproof
from portproof.bundle.bundle import Bundle
from portproof.bundle.report import Report
from portproof.reporting.files import write_beside_bundles
from portproof.runtimes.process import Limits
from portproof.runtimes.table import select
from portproof.verifying.scheduling import run_cells
from verify.faults.damage import damaged, rewrite_manifest

CHROMIUM = ["tfjs-chromium-webgl", "tfjs-chromium-webgpu", "tfjs-chromium-wasm"]
ALL_TFJS = [*CHROMIUM, "tfjs-node-cpu", "tfjs-node-wasm", "litert-chromium-wasm", "litert"]


def with_few_cases(bundle: Bundle) -> Bundle:
    """The bundle with three of its cases, for models on which a case takes long."""
    cases = ("typical", "batch-1", "edge-nan")
    vectors = tuple(v for v in bundle.manifest.vectors if v.case in cases)
    return rewrite_manifest(bundle.path, bundle.manifest.model_copy(update={"vectors": vectors}))


def fill_memory(folder: Path) -> None:
    """A graph that adds up forty tensors of 256 MiB each before it uses its input."""
    count, side = 40, 8192

    def node(name: str, op: str, inputs: list[str], **attributes: object) -> dict[str, object]:
        return {"name": name, "op": op, "input": inputs, "attr": attributes}

    def constant(name: str, dtype: str, *dims: int) -> dict[str, object]:
        shape = {"dim": [{"size": str(d)} for d in dims]}
        value = {"tensor": {"dtype": dtype, "tensorShape": shape}}
        return node(name, "Const", [], value=value, dtype={"type": dtype})

    float_, int_ = {"type": "DT_FLOAT"}, {"type": "DT_INT32"}
    fills = [f"fill{n}" for n in range(count)]
    path = folder / "tfjs-graph" / "serving_default" / "model.json"
    model = json.loads(path.read_text())
    placeholder = next(n for n in model["modelTopology"]["node"] if n["op"] == "Placeholder")
    model["modelTopology"]["node"] = [
        placeholder,
        constant("axes", "DT_INT32", 2),
        constant("shape", "DT_INT32", 2),
        constant("value", "DT_FLOAT"),
        *(node(name, "Fill", ["shape", "value"], T=float_, index_type=int_) for name in fills),
        node("sum", "AddN", fills, T=float_, N={"i": str(count)}),
        node("max", "Max", ["sum", "axes"], T=float_, Tidx=int_, keep_dims={"b": False}),
        node("Identity", "AddV2", ["x", "max"], T=float_),
    ]
    model["weightsManifest"] = [
        {
            "paths": ["group1-shard1of1.bin"],
            "weights": [
                {"name": "axes", "shape": [2], "dtype": "int32"},
                {"name": "shape", "shape": [2], "dtype": "int32"},
                {"name": "value", "shape": [], "dtype": "float32"},
            ],
        }
    ]
    path.write_text(json.dumps(model))
    weights = struct.pack("<4if", 0, 1, side, side, 1.0)
    path.with_name("group1-shard1of1.bin").write_bytes(weights)


def verdicts(report: Report) -> dict[tuple[str, str, str], str]:
    return {(c.runtime, c.format, c.regime): c.verdict for c in report.cells}


@pytest.mark.slow
def test_a_model_that_crashes_the_page_fails_only_its_own_cells(
    bundles: dict[str, Bundle], tmp_path: Path
) -> None:
    right = with_few_cases(damaged(bundles["quadratic"], tmp_path / "right", lambda _: None))
    crashing = with_few_cases(damaged(bundles["quadratic"], tmp_path / "ruin", fill_memory))
    limits = Limits(request=60, memory=3)
    # The crashing model first: it must not affect the one after it.
    report = run_cells([crashing, right], select(ALL_TFJS, []), limits=limits)
    before, after = verdicts(report.of_model("right")), verdicts(report.of_model("ruin"))
    # Where the model's own data did not run, no edge case is tried.
    not_tried = {key for key in before if key[1:] == ("tfjs-graph", "edge")}
    assert not_tried
    assert before.keys() - after.keys() == not_tried
    for key, verdict in before.items():
        if key in not_tried:
            continue
        if key[1] == "tfjs-graph":
            assert after[key] == "failed", key
            assert verdict in ("exact", "faithful"), key
        else:
            assert after[key] == verdict, key
    reasons = {c.detail for c in report.of_model("ruin").cells if c.runtime in CHROMIUM}
    assert any("memory limit" in reason or "crashed" in reason for reason in reasons), reasons


@pytest.fixture(scope="module")
def report(bundles: dict[str, Bundle]) -> Report:
    return run_cells(
        [bundles["quadratic"], bundles["my_module"]], select(CHROMIUM, []), edge_share=math.inf
    )


def test_the_named_backend_ran_and_its_kernels_are_listed(report: Report) -> None:
    for cell in report.of_model("quadratic").cells:
        backend = cell.runtime.rsplit("-", 1)[-1]
        assert cell.detail == f"kernels on {backend}: Add, Identity, Multiply, Square"


def test_the_renderer_and_the_adapter_are_named(report: Report) -> None:
    for runtime in CHROMIUM:
        versions = report.environment.runtimes[runtime]
        assert versions["WebGL renderer"] != "none"
        assert versions["WebGPU adapter"] != "none"
        assert versions["chromium"]
        assert versions["tfjs"] == "4.22.0"


def test_int32_beyond_2_to_the_24_is_wrong_on_the_gpu_and_exact_on_wasm(report: Report) -> None:
    """A fallback to the CPU would be exact on all three."""
    edge = {c.runtime: c.verdict for c in report.of_model("my_module").cells if c.regime == "edge"}
    assert edge == dict(zip(CHROMIUM, ["wrong", "wrong", "exact"], strict=True))


def test_the_report_gives_the_range_of_exact_int32(report: Report) -> None:
    cells = {c.runtime: c for c in report.of_model("my_module").cells if c.regime == "edge"}
    for runtime in ("tfjs-chromium-webgl", "tfjs-chromium-webgpu"):
        [region] = cells[runtime].envelope
        assert str(region).startswith("exact for |x * weight| < 2^24 (beyond: ")
        assert (region.input, region.verdict) == ("x", "exact")
        assert 2**24 / 3.6 < region.high < 2**24 / 3
    [region] = cells["tfjs-chromium-wasm"].envelope
    assert str(region) == "exact for every x that was tried"


class Shaded(tf.Module):
    """A function that shaders approximate: tanh by exponentials loses digits near zero."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
    def tanh(self, x: Any) -> dict[str, Any]:
        return {"y": tf.tanh(x) * 3}


def test_an_error_within_a_shaders_precision_is_close_and_named(tmp_path: Path) -> None:
    x = np.linspace(-0.01, 0.01, 200, dtype=np.float32)
    bundle = portproof.export(Shaded(), tmp_path / "shaded", inputs={"x": x})
    report = run_cells([bundle], select(["tfjs-chromium-webgl", "tfjs-node-wasm"], []))
    typical = {c.runtime: c for c in report.cells if c.regime == "typical"}
    webgl = typical["tfjs-chromium-webgl"]
    assert webgl.verdict == "close", webgl
    assert "what shaders promise of Tanh" in webgl.detail
    assert webgl.bound_ratio
    assert webgl.shader_ratio
    assert webgl.shader_ratio < 1 < webgl.bound_ratio
    assert typical["tfjs-node-wasm"].verdict in ("exact", "faithful")
    assert report.ok
    assert not write_beside_bundles(report, [bundle])
    assert "within what shaders promise of Tanh" in (bundle.path / "report.html").read_text()
