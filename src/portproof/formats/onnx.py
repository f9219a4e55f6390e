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
from portproof.graphs.freezing import FrozenGraph, freeze, with_weights
from portproof.graphs.rewrites.table import ONNX, rewritten
from portproof.sources.source import SavedSource

# The newest that tf2onnx 1.17 converts to.
OPSET = 18


def write(source: SavedSource, root: Path, folder: str, variant: str = "") -> Written:
    """Write `root/folder/SIGNATURE.onnx` for each: an ONNX model has but one.

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
    from portproof.formats import onnx_variants

    onnx_variants.check(variant, source)
    loaded = tf.saved_model.load(str(root / SAVEDMODEL))
    (root / folder).mkdir()
    endpoints: dict[str, Endpoint] = {}
    notes: list[str] = []
    for name in source.signatures:
        path = f"{folder}/{quote(name, safe='')}.onnx"
        model, told = _converted(loaded.signatures[name])
        notes += told
        if variant:
            if source.keep_float:
                notes.append(source.kept_note(onnx_variants.places(model).values()))
            model = onnx_variants.made(variant, model, source, name)
        onnx.checker.check_model(model, full_check=True)
        onnx.save(model, root / path)
        endpoints[name] = with_same_names(path, source, name)
    return Written(endpoints, tuple(dict.fromkeys(notes)))


def _converted(concrete: Any) -> tuple[Any, tuple[str, ...]]:
    """The model of one signature, under its own names; notes on what was changed."""
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
    graph = with_weights(graph, frozen.weights)
    feeds = {tensor.name: name for name, tensor in frozen.inputs.items()}
    fetches = dict(_outputs(graph, concrete, frozen))
    model, _ = from_graph_def(
        graph,
        input_names=list(feeds),
        output_names=list(fetches),
        tensors_to_rename={**feeds, **fetches},
        opset=OPSET,
    )
    if unknown := sorted(set(_unknown_ops(model))):
        raise UnsupportedOpsError(unknown)
    return model, (*frozen.notes, *notes, *rewrites)


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
