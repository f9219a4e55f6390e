"""Integer models with a declared budget, and files in which a scale or a zero point is off."""

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
from verify.faults.corpus import Fault, Right
from verify.faults.damage import sign
from verify.faults.examine import Runners, runtime

ARCHITECTURES = ("dense", "conv", "depthwise", "softmax", "pooling")
SIGNATURE = "serving_default"
FORMAT = "tflite int8"


def quantised(of: Right, folder: Path) -> Right:
    """The model as TFLite in int8 alone, with its budget, on the cases that a budget is for."""
    bundle = export_source(of.source, folder / f"{of.name}-int8", formats=select([FORMAT]))
    [artifact] = [a for a in bundle.manifest.artifacts if a.name == FORMAT]
    vectors = tuple(v for v in bundle.vectors(SIGNATURE) if v.regime != "edge")
    update = {"artifacts": (artifact,), "vectors": vectors, "model": bundle.path.name}
    for other in bundle.path.iterdir():
        if other.is_dir() and other.name not in (artifact.folder, "vectors"):
            shutil.rmtree(other)
    bundle = sign(bundle.path, bundle.manifest.model_copy(update=update))
    return Right(f"{of.name} int8", bundle, of.source, of.fresh)


def _file(bundle: Bundle) -> Path:
    return bundle.path / bundle.manifest.artifacts[0].endpoints[SIGNATURE].path


def _model(path: Path) -> Any:
    return schema.ModelT.InitFromObj(schema.Model.GetRootAs(path.read_bytes(), 0))


def _computed(bundle: Bundle, runners: Runners) -> Iterator[tuple[Vector, tensors.Arrays]]:
    """What the reference kernels give for each case."""
    where = runtime("litert-reference")
    artifact = bundle.manifest.artifacts[0]
    trial = Trial(bundle, artifact, SIGNATURE, artifact.endpoints[SIGNATURE], where)
    for vector in bundle.vectors(SIGNATURE):
        inputs = tensors.in_group(bundle.read(vector), "inputs")
        answer = ask(trial, inputs, runners.of(where))
        assert not answer.error, answer.error
        yield vector, answer.outputs


def faults(of: Right, folder: Path, runners: Runners) -> Iterator[Fault]:
    """The scale or the zero point of a tensor off by one: of the first and the last of each kind.

    An activation's are read by who writes it and by who reads it, so most of what is wrong with
    them cancels; a weight's are not.
    """
    path = _file(of.bundle)
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
    path = target / _file(of.bundle).relative_to(of.bundle.path)
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
            assert step
            if np.abs(array - arrays[f"int8/{name}"]).max() > 1.001 * step:
                return False
    return True
