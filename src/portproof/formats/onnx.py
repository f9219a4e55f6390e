"""ONNX: one file a signature, for ONNX Runtime on servers, in Node and in browsers, and others."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import tensorflow as tf
from tensorflow.core.framework import graph_pb2

from portproof.bundle.errors import ExportError
from portproof.bundle.manifest import Endpoint
from portproof.formats.format import Written
from portproof.formats.refusals import UnsupportedOpsError
from portproof.formats.savedmodel import with_same_names
from portproof.formats.table import SAVEDMODEL
from portproof.graphs import checks, unrolling
from portproof.graphs.freezing import MAX_GRAPH, FrozenGraph, Weights, freeze, with_weights
from portproof.graphs.rewrites.table import ONNX, rewritten
from portproof.sources.source import SavedSource

# The newest that tf2onnx 1.17 converts to.
OPSET = 18
# Bytes of weights above which they go into a file of their own: the rest of the model has to have
# room in what protobuf can write.
LARGEST_FILE = MAX_GRAPH // 16 * 15


def write(
    source: SavedSource, root: Path, folder: str, variant: str = "", largest: int = LARGEST_FILE
) -> Written:
    """Write `root/folder/SIGNATURE.onnx` for each: an ONNX model has but one.

    Weights of more than `largest` bytes are in a file beside it, `SIGNATURE.onnx.data`.

    Variants: `float16` and `int8`, which have float inputs and outputs. Raises ExportError where
    tf2onnx is not installed, and UnsupportedOpsError where it does not know an operation.
    """
    try:
        import onnx
        import onnxruntime  # noqa: F401  (all are looked for before the graph is made)
        import tf2onnx  # noqa: F401
    except ImportError as error:
        raise ExportError(
            f"{error.name} is not installed: pip install 'portproof[onnx]'"
        ) from error
    from portproof.formats import onnx_variants, onnx_weights

    onnx_variants.check(variant, source)
    loaded = tf.saved_model.load(str(root / SAVEDMODEL))
    (root / folder).mkdir()
    endpoints: dict[str, Endpoint] = {}
    notes: list[str] = []
    for name in source.signatures:
        path = f"{folder}/{quote(name, safe='')}.onnx"
        model, weights, told = _converted(loaded.signatures[name], largest)
        notes += told
        if variant and weights:
            raise ExportError(
                "its weights are 2 GB or more, and ONNX Runtime's quantiser takes no such model: "
                "ship the onnx file"
            )
        if variant:
            if source.keep_float:
                notes.append(source.kept_note(onnx_variants.places(model).values()))
            model = onnx_variants.made(variant, model, source, name)
        if weights:
            onnx_weights.save(model, weights, root / path)
            onnx.checker.check_model(root / path, full_check=True)
        else:
            onnx.checker.check_model(model, full_check=True)
            onnx.save(model, root / path)
        endpoints[name] = with_same_names(path, source, name)
    return Written(endpoints, tuple(dict.fromkeys(notes)))


def _converted(concrete: Any, largest: int) -> tuple[Any, Weights, tuple[str, ...]]:
    """The model of one signature, under its own names; notes on what was changed.

    Where its large weights are together more than `largest` bytes, they are inputs of the model,
    and given beside it.
    """
    from tf2onnx import utils
    from tf2onnx.convert import from_graph_def

    # It numbers the names that it makes up from here on: each export is to give the same bytes.
    utils.INTERNAL_NAME = 0
    # It warns of functions of TensorFlow's that it calls itself.
    tf.get_logger().setLevel("ERROR")
    frozen = freeze(concrete, inline=True)
    ends = [tensor.op.name for tensor in (*frozen.inputs.values(), *frozen.outputs)]
    plain, notes = checks.stripped(frozen.graph, ends)
    graph = unrolling.unrolled(plain)
    notes += (unrolling.NOTE,) if graph is not plain else ()
    graph, rewrites = rewritten(graph, ONNX)
    left = {node.name for node in graph.node}
    weights = {f"{name}:0": value for name, value in frozen.weights.items() if name in left}
    if sum(value.nbytes for value in weights.values()) <= largest:
        graph, weights = with_weights(graph, frozen.weights), {}
    feeds = {tensor.name: name for name, tensor in frozen.inputs.items()}
    fetches = dict(_outputs(graph, concrete, frozen))
    model, _ = from_graph_def(
        graph,
        input_names=[*feeds, *weights],
        output_names=list(fetches),
        tensors_to_rename={**feeds, **fetches},
        opset=OPSET,
    )
    if unknown := sorted(set(_unknown_ops(model))):
        raise UnsupportedOpsError(unknown)
    return model, weights, (*frozen.notes, *notes, *rewrites)


def _outputs(
    graph: graph_pb2.GraphDef, concrete: Any, frozen: FrozenGraph
) -> Iterator[tuple[str, str]]:
    """A tensor for each output, with its name: two outputs may be one tensor, or an input."""
    names = sorted(concrete.structured_outputs)
    for number, (name, tensor) in enumerate(zip(names, frozen.outputs, strict=True)):
        node = graph.node.add(name=f"portproof_output_{number}", op="Identity")
        node.input.append(tensor.name.removesuffix(":0"))
        node.attr["T"].type = tensor.dtype.as_datatype_enum
        yield f"{node.name}:0", name


def _unknown_ops(model: Any) -> Iterator[str]:
    """Operations of TensorFlow's that tf2onnx has left as they are."""
    from onnx import defs

    graphs = [model.graph]
    while graphs:
        for node in graphs.pop().node:
            if not node.domain and not defs.has(node.op_type, OPSET):
                yield node.op_type
            graphs += [attribute.g for attribute in node.attribute if attribute.HasField("g")]
