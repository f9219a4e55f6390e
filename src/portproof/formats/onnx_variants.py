"""Variants of ONNX models that change numbers, made by ONNX Runtime, and what they compute."""

import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.transformers.float16 import convert_float_to_float16
from onnxruntime.transformers.onnx_model import OnnxModel

from portproof.bundle import temporary
from portproof.bundle.errors import ExportError, described
from portproof.bundle.manifest import Artifact
from portproof.bundle.tensors import Arrays, Infer, row_by_row
from portproof.formats.variant_budgets import Arithmetic, KernelError, MeasuredOn
from portproof.sources.source import SavedSource

_NO_WEIGHTS = "it has no weights that this makes smaller: it would be the onnx file"
_ERRORS = 3  # of ONNX Runtime's levels: it warns of what its own rewrites do
# Float16's own limits: `convert_float_to_float16` would cut smaller ones to zero.
_SMALLEST, _LARGEST = 2.0**-24, 65504.0


def check(variant: str, source: SavedSource) -> None:
    """Raises ExportError where a source does not have what a variant needs."""
    if variant == "int8" and source.generated_inputs:
        raise ExportError(
            "int8 is calibrated on the model's own data, and no example inputs were given: "
            "give some with --inputs data.npz, or inputs={...} in Python"
        )


def places(model: Any) -> dict[str, str]:
    """By node, the names by whose scopes it is told to which layers it belongs.

    tf2onnx gives some nodes names of its own, and keeps those of what they make.
    """
    nodes = (node for node in model.graph.node if node.name)
    return {node.name: ";".join([node.name, *node.output]) for node in nodes}


def made(variant: str, model: Any, source: SavedSource, signature: str) -> Any:
    """A signature's variant.

    Args:
        variant: `float16` or `int8`.
        model: The plain model of the signature.
        source: Where the data for the calibration is.
        signature: The signature.

    Raises ExportError where it would be the plain model.
    """
    before = _dtypes(model)
    kept = source.kept(places(model))
    if variant == "float16":
        changed = _float16(model, kept)
    else:
        changed = _int8(model, source, signature, kept)
    if _dtypes(changed) == before:
        raise ExportError(_NO_WEIGHTS)
    return changed


def _float16(model: Any, kept: list[str]) -> Any:
    changed = convert_float_to_float16(
        model,
        min_positive_val=_SMALLEST,
        max_finite_val=_LARGEST,
        keep_io_types=True,
        node_block_list=kept,
    )
    # It appends the casts of the inputs after the nodes that read them.
    OnnxModel(changed).topological_sort()
    return changed


def _int8(model: Any, source: SavedSource, signature: str, kept: list[str]) -> Any:
    """Eight bits for weights, a scale for each channel of them, and for what flows between.

    Both are unsigned, the weights about 128: of signed weights beside unsigned data, ONNX Runtime's
    kernels for processors with AVX2 and no VNNI add two products in 16 bits and cut the sum off
    (docs/performance/model-optimizations/quantization.md, "When to use reduce-range and
    per-channel quantization"), so that the numbers would depend on the processor.
    """
    with tempfile.TemporaryDirectory(dir=temporary.root()) as folder:
        target = Path(folder, "model.onnx")
        logging.disable(logging.WARNING)  # advice to preprocess, of which our graph has no need
        quantize_static(
            model,
            target,
            _Examples(source, signature),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QUInt8,
            nodes_to_exclude=kept,
            extra_options={"WeightSymmetric": True},
        )
        return onnx.load(target)


class _Examples(CalibrationDataReader):  # type: ignore[misc]
    """A signature's examples, a row at a time where it is batched."""

    def __init__(self, source: SavedSource, signature: str) -> None:
        self._rows = self._each(source, signature)

    @staticmethod
    def _each(source: SavedSource, signature: str) -> Iterator[Arrays]:
        examples = dict(source.examples[signature])
        if not source.signatures[signature].batched:
            yield examples
            return
        for n in range(len(next(iter(examples.values())))):
            yield {name: array[n : n + 1] for name, array in examples.items()}

    def get_next(self) -> Arrays | None:
        return next(self._rows, None)


def _dtypes(model: Any) -> set[int]:
    return {tensor.data_type for tensor in model.graph.initializer if tensor.dims}


def arithmetic(artifact: Artifact, signature: str, on: MeasuredOn) -> Arithmetic:
    """A variant's own numbers are those of each node as it is written, without any optimization.

    ONNX Runtime fuses nodes by default: of dequantizing, computing in floats and quantizing again
    it makes one kernel on integers.
    """
    endpoint, spec = artifact.endpoints[signature], on.signatures[signature]
    path = on.folder / endpoint.path
    by_row = spec.batched and not endpoint.dynamic

    def computer(level: Any) -> Infer:
        infer = _session(path, level)
        own = endpoint.translated(row_by_row(infer) if by_row else infer, spec)
        return on.each_row_once(signature, own)

    levels = onnxruntime.GraphOptimizationLevel
    plain, fused = map(computer, (levels.ORT_DISABLE_ALL, levels.ORT_ENABLE_ALL))
    known = _output_steps(path) if artifact.variant == "int8" else {}
    steps = {name: known[own] for name, own in endpoint.outputs.items() if own in known}
    return Arithmetic(plain, [fused], steps)


def _session(path: Path, level: Any) -> Infer:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERRORS
    options.graph_optimization_level = level
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # of ONNX Runtime's own kinds
        raise KernelError(described(error)) from None
    names = [output.name for output in session.get_outputs()]

    def infer(inputs: Arrays) -> Arrays:
        try:
            return dict(zip(names, session.run(names, inputs), strict=True))
        except Exception as error:
            raise KernelError(described(error)) from None

    return infer


def _output_steps(path: Path) -> dict[str, float]:
    """By output, the scale of what makes it, where that dequantizes."""
    graph = onnx.load(path).graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    makers = {output: node for node in graph.node for output in node.output}
    steps = {}
    for output in graph.output:
        node = makers.get(output.name)
        while node is not None and node.op_type == "Identity":
            node = makers.get(node.input[0])
        if node is not None and node.op_type == "DequantizeLinear" and node.input[1] in constants:
            steps[output.name] = float(onnx.numpy_helper.to_array(constants[node.input[1]]))
    return steps
