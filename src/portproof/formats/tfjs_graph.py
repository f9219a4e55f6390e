"""TF.js graph model: `model.json` and its weight shards, for browsers and Node."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import tensorflow as tf
from google.protobuf.json_format import MessageToDict
from tensorflow.core.framework import graph_pb2
from tensorflow.core.framework.node_def_pb2 import NodeDef as Node
from tensorflow.core.protobuf import meta_graph_pb2

from portproof.bundle.errors import ExportError
from portproof.bundle.manifest import Endpoint
from portproof.formats.format import Written
from portproof.formats.savedmodel import with_same_names
from portproof.formats.table import SAVEDMODEL
from portproof.formats.tfjs_optimizing import optimized
from portproof.formats.tfjs_weights import write_weights
from portproof.graphs import checks, known_shapes, unrolling
from portproof.graphs.freezing import FrozenGraph, freeze, with_weights
from portproof.graphs.references import node_name
from portproof.graphs.rewrites.table import TFJS, rewritten
from portproof.sources.source import SavedSource

# The dtypes that a TF.js tensor can have (tfjs-core/src/types.ts), of those in a bundle.
DTYPES = ("float32", "int32", "bool")


def write(source: SavedSource, root: Path, folder: str) -> Written:
    """Write `root/folder/SIGNATURE/model.json` for each: a TF.js model has but one.

    Raises ExportError where an input or output has a dtype that TF.js does not have.
    """
    loaded = tf.saved_model.load(str(root / SAVEDMODEL))
    endpoints: dict[str, Endpoint] = {}
    notes: list[str] = []
    for name in source.signatures:
        _check_dtypes(source, name)
        path = f"{folder}/{quote(name, safe='')}"
        notes += _write_signature(loaded.signatures[name], root / path)
        endpoints[name] = with_same_names(f"{path}/model.json", source, name)
    return Written(endpoints, tuple(dict.fromkeys(notes)))


def _check_dtypes(source: SavedSource, name: str) -> None:
    signature = source.signatures[name]
    for key, spec in {**signature.inputs, **signature.outputs}.items():
        if spec.dtype not in DTYPES:
            raise ExportError(
                f"{name}: {key} is {spec.dtype}, and TF.js has {', '.join(DTYPES)} alone. Cast it "
                "inside the model"
            )


def _write_signature(concrete: Any, folder: Path) -> tuple[str, ...]:
    """Write one signature's graph; notes on what was changed in it."""
    frozen = freeze(concrete, inline=True)
    ends = [tensor.op.name for tensor in (*frozen.inputs.values(), *frozen.outputs)]
    plain, notes = checks.stripped(frozen.graph, ends)
    graph = unrolling.unrolled(plain)
    notes += (unrolling.NOTE,) if graph is not plain else ()
    if unrolling.has_loops(graph):
        if unrolling.has_lists(graph):
            raise ExportError(
                "TF.js does not get through a recurrent layer's loop, and this one cannot be "
                "written out, for its length is not known: give the sequence a fixed length"
            )
        frozen = freeze(concrete, loops=False, inline=True)
        graph = frozen.graph
    graph, rewrites = rewritten(graph, TFJS)
    graph = with_weights(known_shapes.with_known_shapes(graph), frozen.weights)
    signature = _signature(concrete, frozen)
    write_graph_model(optimized(graph, signature), signature, folder)
    return (*frozen.notes, *notes, *rewrites)


def write_graph_model(
    graph: graph_pb2.GraphDef, signature: meta_graph_pb2.SignatureDef, folder: Path
) -> None:
    """Write an optimized graph as a TF.js graph model (tfjs-core/src/io/types.ts, `ModelJSON`)."""
    folder.mkdir(parents=True)
    weights = dict(_extract_weights(graph))
    content = {
        "format": "graph-model",
        "generatedBy": tf.__version__,
        "convertedBy": "Portproof",
        "signature": MessageToDict(signature),
        "modelTopology": MessageToDict(graph),
        "weightsManifest": write_weights(weights, folder),
    }
    # In TF.js the order of the signature's outputs is that of `predict`'s list: sorted by name, as
    # TensorFlow flattens a dict.
    (folder / "model.json").write_text(json.dumps(content, sort_keys=True))


def _extract_weights(graph: graph_pb2.GraphDef) -> Iterator[tuple[str, np.ndarray[Any, Any]]]:
    """Take the values of all constants out of a graph and its functions; by the constants' names.

    TF.js finds a weight by its name, so a function's constants get the function's name before
    their own.
    """
    yield from _values(list(graph.node))
    for function in graph.library.function:
        constants = {node.name for node in function.node_def if node.op == "Const"}
        prefix = f"{function.signature.name}/"
        for node in function.node_def:
            node.input[:] = [
                ref.replace(name, prefix + name, 1)
                if (name := node_name(ref)) in constants
                else ref
                for ref in node.input
            ]
            if node.op == "Const":
                node.name = prefix + node.name
        yield from _values(list(function.node_def))


def _values(nodes: list[Node]) -> Iterator[tuple[str, np.ndarray[Any, Any]]]:
    for node in nodes:
        if node.op == "Const":
            tensor = node.attr["value"].tensor
            yield node.name, tf.make_ndarray(tensor)
            dtype, shape = tensor.dtype, tensor.tensor_shape
            node.attr["value"].tensor.CopyFrom(type(tensor)(dtype=dtype, tensor_shape=shape))


def _signature(concrete: Any, frozen: FrozenGraph) -> meta_graph_pb2.SignatureDef:
    """The tensors of the frozen graph under the signature's names.

    TF.js's converter guesses an output's name by its dtype and shape, or calls it `Identity_1`.
    """
    signature = meta_graph_pb2.SignatureDef()
    for name, tensor in frozen.inputs.items():
        signature.inputs[name].CopyFrom(_tensor_info(tensor))
    for name, tensor in zip(sorted(concrete.structured_outputs), frozen.outputs, strict=True):
        signature.outputs[name].CopyFrom(_tensor_info(tensor))
    return signature


def _tensor_info(tensor: Any) -> meta_graph_pb2.TensorInfo:
    return meta_graph_pb2.TensorInfo(
        name=tensor.name, dtype=tensor.dtype.as_datatype_enum, tensor_shape=tensor.shape.as_proto()
    )
