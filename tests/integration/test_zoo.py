"""A part of the zoo (`make zoo` runs all of it); the zoo has every layer of Keras."""

import re
from pathlib import Path
from typing import Any

import keras
import pytest

import portproof
from portproof.bundle.report import Cell
from tests.conftest import REPOSITORY
from verify.zoo import layers, trained
from verify.zoo.known import KNOWN_LIMITS
from verify.zoo.matrix import Matrix, passing_share
from verify.zoo.run import MODELS, SUBSET, export_model, run

KINDS = (
    "activations",
    "attention",
    "convolutional",
    "core",
    "merging",
    "normalization",
    "pooling",
    "reshaping",
    "rnn",
)
# Lambda, which cannot be exported, and a base class, which computes nothing.
EXCEPT = {"Lambda", "Wrapper"}


def classes(kind: str) -> set[type]:
    attributes = (getattr(keras.layers, name) for name in dir(keras.layers))
    return {
        layer
        for layer in attributes
        if isinstance(layer, type) and layer.__module__.startswith(f"keras.src.layers.{kind}.")
    }


def classes_in(layer: Any) -> set[type]:
    """The classes of a layer and of every layer inside it."""
    sublayers = [value for value in vars(layer).values() if isinstance(value, keras.layers.Layer)]
    cells = getattr(layer, "cells", None) or []
    return {type(layer)}.union(*(classes_in(child) for child in (*sublayers, *cells)))


def test_every_layer_of_keras_is_in_the_zoo() -> None:
    seen: set[type] = set()
    for make in layers.MODELS.values():
        for layer in make()._flatten_layers(include_self=False):
            seen |= classes_in(layer)
    wanted = {
        layer_class
        for kind in KINDS
        for layer_class in classes(kind)
        if layer_class.__name__ not in EXCEPT
    }
    assert {layer_class.__name__ for layer_class in wanted - seen} == set()
    assert len(layers.MODELS) >= 30


@pytest.fixture(scope="module")
def matrix(tmp_path_factory: pytest.TempPathFactory) -> Matrix:
    return run(SUBSET, tmp_path_factory.mktemp("zoo"), lambda _: None)


@pytest.mark.slow
def test_a_part_of_the_zoo_is_proven_or_explained(matrix: Matrix) -> None:
    assert {cell.model for cell in matrix.cells} == set(SUBSET)
    assert not matrix.unexplained
    assert passing_share(matrix.own_precision) >= 0.95, list(matrix.summary())


@pytest.mark.slow
def test_the_page_has_every_model_and_explains_every_failure(matrix: Matrix) -> None:
    page = "\n".join(matrix.page())
    for name in SUBSET:
        assert f"| {name} |" in page
    assert "not explained" not in page


def cell_of(verdict: str = "wrong", **changes: str) -> Cell:
    fields = {
        "model": "m",
        "format": "tflite",
        "variant": "",
        "runtime": "litert",
        "signature": "serving_default",
        "output": "y",
        "regime": "typical",
        "verdict": verdict,
        "detail": "typical: 5 times the rounding error allowed",
    }
    return Cell.model_validate({**fields, **changes})


def test_a_failure_that_is_not_a_known_limit_is_not_explained() -> None:
    matrix = Matrix([cell_of()])
    assert matrix.unexplained == ["m tflite litert: typical: 5 times the rounding error allowed"]
    assert "not explained" in "\n".join(matrix.page())
    assert passing_share(matrix.cells) == 0


def test_a_training_step_counts_once_by_its_worst_weight() -> None:
    step = "serving_default_train_step"
    weights = [
        cell_of("faithful", signature=step, output=f"weight/{n}", regime=regime)
        for n in range(100)
        for regime in ("typical", "batch")
    ]
    matrix = Matrix()
    matrix.add_cells([*weights, cell_of("wrong", signature=step, output="loss"), cell_of("exact")])
    assert sorted(cell.verdict for cell in matrix.cells) == ["exact", "faithful", "wrong"]


def test_the_committed_page_is_complete_and_quoted_in_the_documents() -> None:
    page = (REPOSITORY / "verify" / "zoo" / "RESULTS.md").read_text()
    told = " ".join((REPOSITORY / "docs" / "own-model.md").read_text().split())
    models = re.search(r"- (\d+) models", page)
    own = re.search(r"- in their own precision: ([\d.]+)% of (\d+) cells", page)
    variants = re.search(r"- variants: ([\d.]+)% of (\d+) cells", page)
    assert models
    assert own
    assert variants
    assert int(models[1]) == len(MODELS)
    assert float(own[1]) >= 95
    assert f"of {models[1]} models {own[1]} % of {own[2]} cells" in told
    assert f"Of {variants[2]} cells of variants {variants[1]} %" in told
    assert "not explained" not in page
    for name in MODELS:
        assert f"| {name} |" in page


@pytest.mark.slow
def test_a_trained_model_is_fetched_and_proven(tmp_path: Path) -> None:
    runtimes = ["tensorflow", "litert", "onnxruntime", "tfjs-node-wasm"]
    report = portproof.verify(export_model("mtcnn_rnet", tmp_path), runtimes=runtimes)
    matrix = Matrix()
    matrix.add_report(report)
    own = matrix.own_precision
    # TF.js on WASM has no gradient of a convolution, so that it cannot train the network.
    assert {(cell.runtime, cell.lacks) for cell in own if not cell.passed} == {
        ("tfjs-node-wasm", "Conv2DBackpropFilter")
    }
    assert {cell.runtime for cell in own} == set(runtimes)


def test_the_trained_models_are_of_wheels_that_are_named_by_their_digest() -> None:
    assert len(trained.MODELS) >= 8
    for model in trained.MODELS.values():
        assert re.fullmatch(r"[0-9a-f]{64}", model.sha256)
        assert re.fullmatch(r"[a-z0-9-]+==[0-9.]+", model.package)
        assert model.licence


def test_the_zoo_has_the_applications() -> None:
    families = ("mobilenet_v2", "mobilenet_v3", "efficientnet_b0", "efficientnet_v2", "resnet_50")
    more = ("densenet_121", "nasnet_mobile", "xception", "convnext_tiny", "inception_v3")
    for family in (*families, *more):
        assert any(name.startswith(family) for name in MODELS)
    assert KNOWN_LIMITS
