"""Layers that variants keep in floats: `portproof export --keep-float LAYER`."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import pytest
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema
from keras import layers

import portproof
from portproof.bundle.bundle import Bundle
from portproof.bundle.errors import UsageError
from portproof.bundle.layer_names import names_in
from portproof.exporting import export_source
from portproof.formats.table import select
from portproof.sources.source import Source

VARIANTS = ("tflite float16", "tflite dynamic-range", "tflite int8", "onnx float16", "onnx int8")
KEPT = ("hidden", "scores", "drop")


def model_source() -> Source:
    """Every layer has weights that each variant makes smaller, but for the dropout."""
    random = np.random.default_rng(0)
    x = keras.Input((8, 8, 16), name="x")
    hidden = layers.Conv2D(16, 3, activation="relu", name="stem")(x)
    hidden = layers.GlobalAveragePooling2D(name="mean")(hidden)
    hidden = layers.Dense(96, activation="relu", name="hidden")(hidden)
    hidden = layers.Dropout(0.5, name="drop")(hidden)
    scores = layers.Dense(24, activation="softmax", name="scores")(hidden)
    model = keras.Model(x, {"y": scores}, name="kept")
    model.set_weights([random.normal(0, 0.2, w.shape) for w in model.get_weights()])
    data = random.normal(size=(24, 8, 8, 16)).astype(np.float32)
    return portproof.make_source(model, inputs={"x": data})


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    source = replace(model_source(), keep_float=KEPT)
    path = tmp_path_factory.mktemp("kept") / "kept"
    return export_source(source, path, formats=select(("tflite", *VARIANTS)), required=VARIANTS)


def path_of(bundle: Bundle, name: str) -> Path:
    artifact = next(a for a in bundle.manifest.artifacts if a.name == name)
    return bundle.artifact_path(artifact.endpoints["serving_default"].path)


def weight_types(path: Path) -> Iterator[tuple[str, str]]:
    """The name of what each operation with a matrix of weights makes, and the dtype of these."""
    names = {number: name for name, number in vars(schema.TensorType).items()}
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(path.read_bytes(), 0))
    [graph] = model.subgraphs
    made_from = {int(op.outputs[0]): int(op.inputs[0]) for op in graph.operators}
    for operator in graph.operators:
        if len(operator.inputs) == 3:  # data, weights, bias
            weights = int(operator.inputs[1])
            stored = graph.tensors[made_from.get(weights, weights)]
            yield graph.tensors[operator.outputs[0]].name.decode(), names[stored.type]


@pytest.mark.parametrize(
    ("variant", "smaller"), [("float16", "FLOAT16"), ("dynamic-range", "INT8"), ("int8", "INT8")]
)
def test_the_weights_of_those_layers_are_floats_in_tflite(
    variant: str, smaller: str, bundle: Bundle
) -> None:
    types = dict(weight_types(path_of(bundle, f"tflite {variant}")))
    [stem], [hidden], [scores] = (
        [t for name, t in types.items() if f"/{layer}" in name]
        for layer in ("stem", "hidden", "scores")
    )
    assert (stem, hidden, scores) == (smaller, "FLOAT32", "FLOAT32")


def test_what_an_int8_file_keeps_is_computed_in_floats_to_its_output(bundle: Bundle) -> None:
    """Its softmax has the output's name alone, and belongs to the layer `scores` all the same."""
    content = path_of(bundle, "tflite int8").read_bytes()
    graph = schema.Model.GetRootAs(content, 0).Subgraphs(0)
    last = graph.Operators(graph.OperatorsLength() - 1)
    types = {graph.Tensors(n).Type() for n in (last.Inputs(0), last.Outputs(0))}
    assert types == {schema.TensorType.FLOAT32}


def weights_of(node: Any, graph: Any) -> int:
    """The dtype of the weights of a node, which an int8 model unpacks before it."""
    stored = {tensor.name: tensor.data_type for tensor in graph.initializer}
    unpacked = {n.output[0]: n.input[0] for n in graph.node if n.op_type == "DequantizeLinear"}
    return stored[unpacked.get(node.input[1], node.input[1])]


@pytest.mark.parametrize(
    ("variant", "smaller"),
    [("float16", onnx.TensorProto.FLOAT16), ("int8", onnx.TensorProto.UINT8)],
)
def test_the_weights_of_those_layers_are_floats_in_onnx(
    variant: str, smaller: int, bundle: Bundle
) -> None:
    graph = onnx.load(path_of(bundle, f"onnx {variant}")).graph
    weights = {n.name: weights_of(n, graph) for n in graph.node if n.op_type in ("Conv", "MatMul")}
    [stem] = [dtype for name, dtype in weights.items() if "/stem" in name]
    kept = [dtype for name, dtype in weights.items() if "/hidden" in name or "/scores" in name]
    assert stem == smaller
    assert kept == [onnx.TensorProto.FLOAT] * 2


def test_they_are_proven_in_their_runtimes(bundle: Bundle) -> None:
    report = portproof.verify(
        bundle.path, runtimes=["litert", "litert-reference", "onnxruntime", "litert@1.4.0"]
    )
    assert report.ok
    run = {f"{cell.format} {cell.variant}" for cell in report.cells if cell.passed}
    assert run >= set(VARIANTS)


def test_it_is_said_what_was_kept_and_what_was_not_found(bundle: Bundle) -> None:
    for artifact in bundle.manifest.artifacts:
        told = [note for note in artifact.notes if "in floats" in note]
        assert len(told) == bool(artifact.variant)
        for note in told:
            assert note == (
                "kept in floats: hidden, scores; nothing of drop is in it to keep in floats"
            )


@pytest.mark.parametrize("variant", ["tflite dynamic-range", "tflite int8", "tflite float16"])
def test_a_table_is_kept_in_floats_too(variant: str, tmp_path: Path) -> None:
    """Its rows leave it as integers, where the table is one of them."""
    ids = keras.Input((6,), dtype="int32", name="ids")
    rows = layers.Embedding(200, 16, name="table")(ids)
    hidden = layers.Dense(96, name="hidden")(layers.GlobalAveragePooling1D(name="mean")(rows))
    model = keras.Model(ids, {"y": layers.Dense(16, name="y")(hidden)}, name="words")
    data = np.random.default_rng(1).integers(0, 200, (24, 6)).astype(np.int32)
    bundle = portproof.export(
        model, tmp_path / "words", inputs=data, formats=[variant], keep_float=["table"]
    )
    report = portproof.verify(bundle.path, runtimes=["litert", "litert-reference"])
    cells = [c for c in report.cells if c.variant and c.regime != "edge"]
    assert {cell.verdict for cell in cells} == {"close"}, {c.detail for c in cells}
    graph = schema.Model.GetRootAs(path_of(bundle, variant).read_bytes(), 0).Subgraphs(0)
    [table] = [t for t in tensors_of(graph) if t.ShapeAsNumpy().tolist() == [200, 16]]
    assert table.Type() == schema.TensorType.FLOAT32


def tensors_of(graph: Any) -> list[Any]:
    return [graph.Tensors(n) for n in range(graph.TensorsLength())]


def test_an_operation_of_the_same_name_as_a_layer_is_not_meant() -> None:
    names = ["m/add/Add", "m/bn/batchnorm/add_1", "m/add_1/Add"]
    assert names_in(names, ["add"], ["add", "bn"]) == {"m/add/Add", "m/add_1/Add"}
    assert names_in(names, ["add"], ["add", "add_1", "bn"]) == {"m/add/Add"}
    assert names_in(names, ["batchnorm"], ["add", "bn"]) == {"m/bn/batchnorm/add_1"}


def test_scopes_in_a_saved_models_inner_functions_are_kept_by_name(tmp_path: Path) -> None:
    class Nested(tf.Module):
        @tf.function  # type: ignore[untyped-decorator]
        def encode(self, x: Any) -> Any:
            with tf.name_scope("encode"):
                return x * 2.0

        @tf.function(input_signature=[tf.TensorSpec([None, 3], tf.float32, name="x")])  # type: ignore[untyped-decorator]
        def serve(self, x: Any) -> dict[str, Any]:
            return {"y": self.encode(x)}

    module = Nested()
    tf.saved_model.save(module, str(tmp_path / "saved"), signatures={"serve": module.serve})
    source = portproof.make_source(tmp_path / "saved", signatures=["serve"])
    assert replace(source, keep_float=("encode",)).keep_float == ("encode",)


def test_one_name_that_is_no_list_is_an_error() -> None:
    with pytest.raises(UsageError, match="is a list of layers"):
        portproof.export(model_source(), keep_float="hidden")


def test_a_layer_that_is_not_there_is_an_error_that_names_near_ones() -> None:
    with pytest.raises(UsageError, match=r"kept has no layer 'score' to keep in floats; it has sc"):
        replace(model_source(), keep_float=("score",))


def test_scopes_and_operations_of_a_module_are_kept_by_name() -> None:
    class Scaled(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None, 3], tf.float32, name="x")])
        def serve(self, x: Any) -> dict[str, Any]:
            with tf.name_scope("scale"):
                return {"y": x * 2.0}

    source = portproof.make_source(Scaled(), signatures=["serve"])
    assert replace(source, keep_float=("scale",)).keep_float == ("scale",)
    with pytest.raises(UsageError, match="no layer 'shift'"):
        replace(source, keep_float=("shift",))
