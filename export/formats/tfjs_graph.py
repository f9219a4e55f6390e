"""TF.js graph model: `model.json` and its weight shards, for browsers and Node."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2

from bundle.errors import ExportError
from bundle.manifest import Endpoint
from export.formats import SAVEDMODEL
from export.formats.format import Written
from export.formats.savedmodel import unchanged
from export.formats.tfjs_converter import write_graph_model
from export.rewrites import TFJS, loops, rewritten, shapes
from export.source import Source
from oracle.frozen import Frozen, filled, freeze

# The dtypes that a TF.js tensor can have (tfjs-core/src/types.ts), of those in a bundle.
DTYPES = ("float32", "int32", "bool")


def write(source: Source, root: Path, folder: str) -> Written:
    """Write `root/folder/SIGNATURE/model.json` for each: a TF.js model has but one.

    Raises ExportError where an input or output has a dtype that TF.js has not.
    """
    loaded = tf.saved_model.load(str(root / SAVEDMODEL))
    endpoints: dict[str, Endpoint] = {}
    notes: list[str] = []
    for name in source.functions:
        _check_dtypes(source, name)
        path = f"{folder}/{quote(name, safe='')}"
        notes += _write_signature(loaded.signatures[name], root / path)
        endpoints[name] = unchanged(f"{path}/model.json", source, name)
    return Written(endpoints, tuple(dict.fromkeys(notes)))


def _check_dtypes(source: Source, name: str) -> None:
    signature = source.signatures[name]
    for key, spec in {**signature.inputs, **signature.outputs}.items():
        if spec.dtype not in DTYPES:
            raise ExportError(
                f"{name}: {key} is {spec.dtype}, and TF.js has {', '.join(DTYPES)} alone. Cast it "
                "inside the model"
            )


def _write_signature(concrete: Any, folder: Path) -> tuple[str, ...]:
    """Write one signature's graph; what was rewritten in it."""
    frozen = freeze(concrete, inline=True)
    straight = loops.unrolled(frozen.graph)
    unrolled = (loops.NOTE,) if straight is not frozen.graph else ()
    if loops.has_loops(straight):
        if loops.has_lists(straight):
            raise ExportError(
                "TF.js does not get through a recurrent layer's loop, and this one cannot be "
                "written out, for its length is not known: give the sequence a fixed length"
            )
        frozen = freeze(concrete, loops=False, inline=True)
        straight = frozen.graph
    graph, notes = rewritten(straight, TFJS)
    graph = filled(shapes.written_down(graph), frozen.weights)
    folder.mkdir(parents=True)
    write_graph_model(graph, _signature(concrete, frozen), folder)
    # The converter writes maps in an order that changes from run to run, and in TF.js the order
    # of the outputs is that of `predict`'s list: sorted by name, as TensorFlow flattens a dict.
    path = folder / "model.json"
    model = json.loads(path.read_text())
    model["signature"] = {part: dict(sorted(m.items())) for part, m in model["signature"].items()}
    path.write_text(json.dumps(model, sort_keys=True))
    return (*unrolled, *notes)


def _signature(concrete: Any, frozen: Frozen) -> meta_graph_pb2.SignatureDef:
    """The tensors of the frozen graph under the signature's names."""
    signature = meta_graph_pb2.SignatureDef()
    for name, tensor in frozen.inputs.items():
        signature.inputs[name].CopyFrom(_info(tensor))
    for name, tensor in zip(sorted(concrete.structured_outputs), frozen.outputs, strict=True):
        signature.outputs[name].CopyFrom(_info(tensor))
    return signature


def _info(tensor: Any) -> meta_graph_pb2.TensorInfo:
    return meta_graph_pb2.TensorInfo(
        name=tensor.name, dtype=tensor.dtype.as_datatype_enum, tensor_shape=tensor.shape.as_proto()
    )
