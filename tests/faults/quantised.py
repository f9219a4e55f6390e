"""Integer models with a declared budget, and files in which a scale or a zero point is off."""

import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema

from bundle import tensors
from bundle.bundle import Bundle
from bundle.manifest import Artifact, Budget, Vector
from tests.damage import sign
from tests.faults.corpus import Fault, Right
from tests.faults.examine import Runners, runtime
from verify.compare import Measure, compare
from verify.trial import Trial, ask

ARCHITECTURES = ("dense", "conv", "depthwise", "softmax", "pooling")
SIGNATURE = "serving_default"
# Another kernel may round a requantised sum to the neighbour here and there, of which the next
# layer makes several steps (XNNPACK: up to four, of the depthwise model).
LSB, MEAN_LSB = 5, 0.25
# Below what the reference kernels reach in their worst row.
SQNR_MARGIN = 1


def quantised(of: Right, folder: Path, runners: Runners) -> Right:
    """The bundle with one artifact, TFLite in int8 with float inputs and outputs, and its budget.

    What the reference kernels give is kept in the vectors as its own numbers, to which the budget
    in LSBs refers; its SQNR is theirs against the original.
    """
    target = folder / f"{of.name}-int8"
    shutil.copytree(of.bundle.path, target)
    [whole] = [a for a in of.bundle.manifest.artifacts if a.format == "tflite"]
    path = target / whole.endpoints[SIGNATURE].path
    path.write_bytes(_converted(of))
    endpoint = whole.endpoints[SIGNATURE].model_copy(update={"one_row": None})
    artifact = whole.model_copy(update={"variant": "int8", "endpoints": {SIGNATURE: endpoint}})
    bundle = _signed(target, of, artifact)
    least = _record_own(bundle, runners)
    budgets = {
        name: Budget(step=step, lsb=LSB, mean_lsb=MEAN_LSB, sqnr=least[name] - SQNR_MARGIN)
        for name, step in _output_steps(path).items()
    }
    bundle = _signed(target, of, artifact.model_copy(update={"budgets": {SIGNATURE: budgets}}))
    return Right(f"{of.name} int8", bundle, of.source, of.fresh)


def _signed(folder: Path, of: Right, artifact: Artifact) -> Bundle:
    vectors = tuple(
        v for v in of.bundle.manifest.vectors if v.signature == SIGNATURE and v.regime != "edge"
    )
    update = {"artifacts": (artifact,), "vectors": vectors, "model": folder.name}
    for other in folder.iterdir():
        if other.is_dir() and other.name not in ("tflite", "vectors"):
            shutil.rmtree(other)
    return sign(folder, of.bundle.manifest.model_copy(update=update))


def _converted(of: Right) -> bytes:
    path = str(of.bundle.path / "savedmodel")
    converter = tf.lite.TFLiteConverter.from_saved_model(path, signature_keys=[SIGNATURE])
    examples = of.source.examples[SIGNATURE]
    rows = len(next(iter(examples.values())))

    def calibration() -> Iterator[Any]:
        for n in range(rows):
            yield SIGNATURE, {name: array[n : n + 1] for name, array in examples.items()}

    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = calibration
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    with warnings.catch_warnings():  # the converter calibrates in an interpreter that is deprecated
        warnings.filterwarnings("ignore", r"\s*Warning: tf.lite.Interpreter", UserWarning)
        content: bytes = converter.convert()
    return content


def _model(path: Path) -> Any:
    return schema.ModelT.InitFromObj(schema.Model.GetRootAs(path.read_bytes(), 0))


def _computed(bundle: Bundle, runners: Runners) -> Iterator[tuple[Vector, tensors.Arrays]]:
    """What the reference kernels give for each case."""
    where = runtime("litert-reference")
    artifact = bundle.manifest.artifacts[0]
    trial = Trial(bundle, artifact, SIGNATURE, artifact.endpoints[SIGNATURE], where)
    for vector in bundle.vectors(SIGNATURE):
        inputs = tensors.grouped(bundle.read(vector), "inputs")
        answer = ask(trial, inputs, runners.of(where))
        assert not answer.error, answer.error
        yield vector, answer.outputs


def _record_own(bundle: Bundle, runners: Runners) -> dict[str, float]:
    """Add what the reference kernels give to the vectors; by output, their worst row's SQNR."""
    least: dict[str, float] = {}
    for vector, outputs in _computed(bundle, runners):
        arrays = bundle.read(vector)
        own = {f"int8/{name}": array for name, array in outputs.items()}
        tensors.write(bundle.path / vector.file.path, {**arrays, **own})
        for name, array in outputs.items():
            metrics = compare(array, Measure(arrays[f"reference/{name}"]))
            least[name] = min(least.get(name, np.inf), metrics.row_sqnr)
    return least


def _output_steps(path: Path) -> dict[str, float]:
    """The scale of the int8 tensor that each float output is made from."""
    model = _model(path)
    graph = model.subgraphs[0]
    made_by = {int(op.outputs[0]): op for op in graph.operators}
    [signature] = model.signatureDefs
    return {
        item.name.decode(): float(
            graph.tensors[made_by[item.tensorIndex].inputs[0]].quantization.scale[0]
        )
        for item in signature.outputs
    }


def faults(of: Right, folder: Path, runners: Runners) -> Iterator[Fault]:
    """The scale or the zero point of a tensor off by one: of the first and the last of each kind.

    An activation's are read by who writes it and by who reads it, so most of what is wrong with
    them cancels; a weight's are not.
    """
    path = next(p for p in (of.bundle.path / "tflite").iterdir())
    tensors_ = [
        (n, tensor)
        for n, tensor in enumerate(_model(path).subgraphs[0].tensors)
        if tensor.type == schema.TensorType.INT8 and tensor.quantization.scale is not None
    ]
    activations = [n for n, tensor in tensors_ if tensor.shapeSignature is not None]
    weights = [n for n, tensor in tensors_ if tensor.shapeSignature is None]
    for place, end in (("first", 0), ("last", -1)):
        for title, change in _CHANGES.items():
            yield _changed(
                of, folder, f"{title}, {place} activation", activations[end], change, runners
            )
        for title, change in _SCALES.items():
            yield _changed(of, folder, f"{title}, {place} weight", weights[end], change, runners)


def _zero_point(by: int) -> Any:
    def change(quantization: Any) -> None:
        quantization.zeroPoint = quantization.zeroPoint + by

    return change


def _scale(by: float) -> Any:
    def change(quantization: Any) -> None:
        quantization.scale = (quantization.scale * by).astype(np.float32)

    return change


# Of 256 steps for 255, and of 127 for 128.
_SCALES = {
    "scale one step in 256 too small": _scale(255 / 256),
    "scale one step in 127 too large": _scale(128 / 127),
}
_CHANGES = {
    "zero point one too high": _zero_point(1),
    "zero point one too low": _zero_point(-1),
    **_SCALES,
}


def _changed(
    of: Right, folder: Path, title: str, tensor: int, change: Any, runners: Runners
) -> Fault:
    target = folder / f"{of.name} {title}".replace(" ", "-").replace(",", "")
    shutil.copytree(of.bundle.path, target)
    path = next(p for p in (target / "tflite").iterdir())
    model = _model(path)
    change(model.subgraphs[0].tensors[tensor].quantization)
    builder = flatbuffers.Builder(path.stat().st_size)
    builder.Finish(model.Pack(builder), b"TFL3")
    path.write_bytes(bytes(builder.Output()))
    bundle = sign(target, of.bundle.manifest.model_copy(update={"model": target.name}))
    return Fault(of.name, "tflite", title, bundle, _equivalent(bundle, runners))


def _equivalent(bundle: Bundle, runners: Runners) -> bool:
    """Whether no output of the reference kernels moves by more than one step of its scale."""
    artifact = bundle.manifest.artifacts[0]
    try:
        computed = list(_computed(bundle, runners))
    except AssertionError:  # the kernels refuse the file
        return False
    for vector, outputs in computed:
        arrays = bundle.read(vector)
        for name, array in outputs.items():
            step = artifact.budgets[SIGNATURE][name].step
            if np.abs(array - arrays[f"int8/{name}"]).max() > 1.001 * step:
                return False
    return True
