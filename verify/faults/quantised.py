"""Int8 models with a declared error budget, and copies with a wrong scale or zero point."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from portproof.bundle import tensors
from portproof.bundle.bundle import Bundle
from portproof.bundle.manifest import Vector
from portproof.exporting import export_source
from portproof.formats.table import select
from portproof.verifying.asking import ask
from portproof.verifying.trial import Trial
from verify.faults.corpus import Exported, Fault
from verify.faults.damage import rewrite_manifest
from verify.faults.examine import Runners, runtime_named

ARCHITECTURES = ("dense", "conv", "depthwise", "softmax", "pooling")
SIGNATURE = "serving_default"
FORMAT = "tflite int8"


def quantised(exported: Exported, folder: Path) -> Exported:
    """The model as an int8 TFLite file only, without the test vectors of the regime `edge`.

    A budget does not apply to those.
    """
    target = folder / f"{exported.name}-int8"
    bundle = export_source(exported.source, target, formats=select([FORMAT]))
    [artifact] = [a for a in bundle.manifest.artifacts if a.name == FORMAT]
    vectors = tuple(v for v in bundle.vectors(SIGNATURE) if v.regime != "edge")
    update = {"artifacts": (artifact,), "vectors": vectors, "model": bundle.path.name}
    for other in bundle.path.iterdir():
        if other.is_dir() and other.name not in (artifact.folder, "vectors"):
            shutil.rmtree(other)
    bundle = rewrite_manifest(bundle.path, bundle.manifest.model_copy(update=update))
    return Exported(f"{exported.name} int8", bundle, exported.source, exported.make_source)


def _tflite_file(bundle: Bundle) -> Path:
    return bundle.path / bundle.manifest.artifacts[0].endpoints[SIGNATURE].path


def _read_model(path: Path) -> Any:
    return schema.ModelT.InitFromObj(schema.Model.GetRootAs(path.read_bytes(), 0))


def _reference_outputs(bundle: Bundle, runners: Runners) -> Iterator[tuple[Vector, tensors.Arrays]]:
    """The outputs of LiteRT's reference kernels for each case."""
    runtime = runtime_named("litert-reference")
    artifact = bundle.manifest.artifacts[0]
    trial = Trial(bundle, artifact, SIGNATURE, artifact.endpoints[SIGNATURE], runtime)
    for vector in bundle.vectors(SIGNATURE):
        inputs = tensors.in_group(bundle.read(vector), "inputs")
        answer = ask(trial, inputs, runners.of(runtime))
        assert not answer.error, answer.error
        yield vector, answer.outputs


def faults(undamaged: Exported, folder: Path, runners: Runners) -> Iterator[Fault]:
    """A wrong scale or zero point of one activation, or a wrong scale of one weight.

    Each fault is in the first tensor of its kind and in the last. The operation that writes an
    activation and the operation that reads it use the same scale and zero point, so most of an
    error in them cancels. An error in a weight's scale does not cancel.
    """
    path = _tflite_file(undamaged.bundle)
    int8_tensors = [
        (n, tensor)
        for n, tensor in enumerate(_read_model(path).subgraphs[0].tensors)
        if tensor.type == schema.TensorType.INT8 and tensor.quantization.scale is not None
    ]
    activations = [n for n, tensor in int8_tensors if tensor.shapeSignature is not None]
    weights = [n for n, tensor in int8_tensors if tensor.shapeSignature is None]
    for position, index in (("first", 0), ("last", -1)):
        for title, change in _ACTIVATION_CHANGES.items():
            full_title = f"{title}, {position} activation"
            yield _changed(undamaged, folder, full_title, activations[index], change, runners)
        for title, change in _SCALE_CHANGES.items():
            full_title = f"{title}, {position} weight"
            yield _changed(undamaged, folder, full_title, weights[index], change, runners)


def _shifted_zero_point(shift: int) -> Any:
    def change(quantization: Any) -> None:
        quantization.zeroPoint = quantization.zeroPoint + shift

    return change


def _multiplied_scale(factor: float) -> Any:
    def change(quantization: Any) -> None:
        quantization.scale = (quantization.scale * factor).astype(np.float32)

    return change


# As if a range were divided into 256 steps instead of 255, or into 127 instead of 128.
_SCALE_CHANGES = {
    "scale one step in 256 too small": _multiplied_scale(255 / 256),
    "scale one step in 127 too large": _multiplied_scale(128 / 127),
}
_ACTIVATION_CHANGES = {
    "zero point one too high": _shifted_zero_point(1),
    "zero point one too low": _shifted_zero_point(-1),
    **_SCALE_CHANGES,
}


def _changed(
    undamaged: Exported, folder: Path, title: str, tensor: int, change: Any, runners: Runners
) -> Fault:
    """The fault that changes the quantisation of the tensor with this index."""
    target = folder / f"{undamaged.name} {title}".replace(" ", "-").replace(",", "")
    shutil.copytree(undamaged.bundle.path, target)
    path = target / _tflite_file(undamaged.bundle).relative_to(undamaged.bundle.path)
    model = _read_model(path)
    change(model.subgraphs[0].tensors[tensor].quantization)
    builder = flatbuffers.Builder(path.stat().st_size)
    builder.Finish(model.Pack(builder), b"TFL3")
    path.write_bytes(bytes(builder.Output()))
    manifest = undamaged.bundle.manifest.model_copy(update={"model": target.name})
    bundle = rewrite_manifest(target, manifest)
    return Fault(undamaged.name, "tflite", title, bundle, _is_equivalent(bundle, runners))


def _is_equivalent(bundle: Bundle, runners: Runners) -> bool:
    """Whether no output of the reference kernels changes by more than one step of its scale."""
    artifact = bundle.manifest.artifacts[0]
    try:
        outputs_by_case = list(_reference_outputs(bundle, runners))
    except AssertionError:  # the kernels refuse the file
        return False
    for vector, outputs in outputs_by_case:
        arrays = bundle.read(vector)
        for name, array in outputs.items():
            step = artifact.budgets[SIGNATURE][name].step
            assert step
            if np.abs(array - arrays[f"tflite-int8/{name}"]).max() > 1.001 * step:
                return False
    return True
