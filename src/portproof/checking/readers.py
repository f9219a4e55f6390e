"""Files and folders of each format -> what can be called in them."""

import json
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from portproof.bundle.errors import UsageError, described, needs_extra
from portproof.bundle.reading import MANIFEST_LIMIT, read_file
from portproof.bundle.signature import DTYPES
from portproof.checking.interface import Contents, Interface, OwnTensor
from portproof.tflite.file import LITERT_SCHEMA

KINDS = "a .tflite or .onnx file, a TF.js folder with its model.json, a SavedModel or a .keras file"
_FILE_LIMIT = 1 << 34


def read_contents(path: Path) -> Contents:
    """What a file or a folder holds. Raises UsageError where it is of no known kind."""
    kind = path.suffix if path.is_file() else _kind_of_folder(path)
    reader = _READERS.get(kind)
    if reader is None:
        raise UsageError(f"{path} is none of what can be checked: give {KINDS}.")
    try:
        contents = reader(path)
    except UsageError:
        raise
    except Exception as error:  # whatever a parser raises of a damaged file
        raise UsageError(f"{path} cannot be read: {described(error)}") from None
    if not contents.interfaces:
        raise UsageError(f"{path} has nothing that can be called.")
    return contents


def _kind_of_folder(path: Path) -> str:
    if (path / "model.json").is_file():
        return "tfjs"
    return "savedmodel" if (path / "saved_model.pb").is_file() else ""


def _tflite(path: Path) -> Contents:
    reader = import_module(LITERT_SCHEMA)
    content = read_file(path, _FILE_LIMIT)
    if content[4:8] != b"TFL3":
        raise UsageError(f"{path} is no TFLite flatbuffer: it does not begin as one.")
    model = reader.ModelT.InitFromObj(reader.Model.GetRootAs(content, 0))
    dtypes = {number: name.lower() for name, number in vars(reader.TensorType).items()}

    def tensors(graph: Any, items: Any) -> dict[str, OwnTensor]:
        return {name: _tflite_tensor(graph.tensors[n], dtypes) for name, n in items}

    def of_signature(items: Any) -> list[tuple[str, int]]:
        return [(item.name.decode(), item.tensorIndex) for item in items]

    def of_graph(graph: Any, numbers: Any) -> list[tuple[str, int]]:
        return [(graph.tensors[n].name.decode(), n) for n in numbers]

    interfaces = []
    for definition in model.signatureDefs or []:
        graph = model.subgraphs[definition.subgraphIndex]
        inputs = tensors(graph, of_signature(definition.inputs))
        outputs = tensors(graph, of_signature(definition.outputs))
        interfaces.append(Interface(definition.signatureKey.decode(), inputs, outputs))
    if not interfaces:
        graph = model.subgraphs[0]
        inputs = tensors(graph, of_graph(graph, graph.inputs))
        outputs = tensors(graph, of_graph(graph, graph.outputs))
        interfaces = [Interface("", inputs, outputs)]
    return Contents("tflite", _tflite_variant(model, dtypes), tuple(interfaces))


def _tflite_tensor(tensor: Any, dtypes: Mapping[int, str]) -> OwnTensor:
    shape = tensor.shapeSignature if tensor.shapeSignature is not None else tensor.shape
    dtype = dtypes[tensor.type]
    dtype = dtype if dtype in DTYPES else ""
    scale, zero = None, 0
    quantization = tensor.quantization
    if _has_scale(quantization) and "int" in dtype:
        scale = float(quantization.scale[0])
        if not 0 < scale < float("inf"):
            raise UsageError(f"{tensor.name.decode()} has the scale {scale}, which is none.")
        zero = int(quantization.zeroPoint[0]) if quantization.zeroPoint is not None else 0
    sizes = tuple(None if size < 0 else int(size) for size in (() if shape is None else shape))
    return OwnTensor(dtype, sizes, scale, zero)


def _has_scale(quantization: Any) -> bool:
    scale = None if quantization is None else quantization.scale
    return scale is not None and len(scale) > 0


def _tflite_variant(model: Any, dtypes: Mapping[int, str]) -> str:
    """By what has weights of its own, and what is computed between."""
    weights: set[str] = set()
    between: set[str] = set()
    for graph in model.subgraphs:
        rows = [row for o in graph.operators or [] for row in (o.inputs, o.outputs)]
        used = {int(n) for row in rows if row is not None for n in row}
        for tensor in (graph.tensors[n] for n in sorted(used) if n >= 0):
            buffer = model.buffers[tensor.buffer]
            is_weight = buffer.data is not None and len(buffer.data)
            if _has_scale(tensor.quantization):
                (weights if is_weight else between).add("int8")
            elif is_weight and dtypes[tensor.type] == "float16":
                weights.add("float16")
    if "int8" in between:
        return "int8"
    if "int8" in weights:
        return "dynamic-range"
    return "float16" if weights else ""


def _onnx(path: Path) -> Contents:
    with needs_extra("onnx"):
        import onnx
    model = onnx.load(path, load_external_data=False)
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    if any(t.data_location == onnx.TensorProto.EXTERNAL for t in weights.values()):
        raise UsageError(
            f"{path} has its weights in other files: save it as one, with "
            "onnx.save(onnx.load('model.onnx'), 'whole.onnx')."
        )

    def tensor(info: Any) -> OwnTensor:
        kind = info.type.tensor_type
        dtype = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type).name
        sizes = None
        if kind.HasField("shape"):
            sizes = tuple(d.dim_value if d.HasField("dim_value") else None for d in kind.shape.dim)
        return OwnTensor(dtype if dtype in DTYPES else "", sizes)

    interface = Interface(
        "",
        {put.name: tensor(put) for put in model.graph.input if put.name not in weights},
        {put.name: tensor(put) for put in model.graph.output},
    )
    ops = {node.op_type for node in model.graph.node}
    used = {name for node in model.graph.node for name in node.input}
    variant = ""
    if ops & {"DynamicQuantizeLinear", "MatMulInteger", "ConvInteger", "DynamicQuantizeMatMul"}:
        variant = "dynamic-range"
    elif ops & {"QuantizeLinear", "QLinearConv", "QLinearMatMul"}:
        variant = "int8"
    elif "DequantizeLinear" in ops:
        variant = "dynamic-range"
    elif any(
        w.data_type == onnx.TensorProto.FLOAT16 and w.dims and w.name in used
        for w in weights.values()
    ):
        variant = "float16"
    return Contents("onnx", variant, (interface,))


def _tfjs(path: Path) -> Contents:
    content = json.loads(read_file(path / "model.json", MANIFEST_LIMIT))
    groups = content.get("weightsManifest") or []
    kinds = {
        str(weight["quantization"].get("dtype"))
        for group in groups
        for weight in group["weights"]
        if weight.get("quantization")
    }
    variant = "dynamic-range" if kinds - {"float16"} else "float16" if kinds else ""
    topology = content["modelTopology"]
    if content.get("format") == "layers-model" or "model_config" in topology:
        return Contents("tfjs-layers", variant, (_layers_interface(topology),), "model.json")
    return Contents("tfjs-graph", variant, (_graph_interface(content),), "model.json")


def _graph_interface(content: Any) -> Interface:
    """By the signature, where there is one; else the placeholders, and what nothing takes from."""
    signature = content.get("signature") or content.get("userDefinedMetadata", {}).get("signature")
    if signature and signature.get("inputs") and signature.get("outputs"):
        inputs, outputs = (
            {name: _tfjs_tensor(info) for name, info in signature[kind].items()}
            for kind in ("inputs", "outputs")
        )
        return Interface("serving_default", inputs, outputs)
    nodes = content["modelTopology"]["node"]
    taken = {ref.lstrip("^").split(":")[0] for node in nodes for ref in node.get("input", ())}
    inputs = {
        node["name"]: _tfjs_tensor(
            {
                "dtype": node.get("attr", {}).get("dtype", {}).get("type", ""),
                "tensorShape": node.get("attr", {}).get("shape", {}).get("shape"),
            }
        )
        for node in nodes
        if node["op"] == "Placeholder"
    }
    kinds = ("Const", "Placeholder", "NoOp")
    ends = [n["name"] for n in nodes if n["name"] not in taken and n["op"] not in kinds]
    return Interface("", inputs, {name: OwnTensor() for name in ends})


def _tfjs_tensor(info: Any) -> OwnTensor:
    known = {"DT_FLOAT": "float32", "DT_INT32": "int32", "DT_BOOL": "bool", "DT_INT64": "int32"}
    shape = info.get("tensorShape")
    sizes = None
    if shape is not None and not shape.get("unknownRank"):
        given = [int(d.get("size", -1)) for d in shape.get("dim", ())]
        sizes = tuple(None if size < 0 else size for size in given)
    return OwnTensor(known.get(str(info.get("dtype", "")), ""), sizes)


def _layers_interface(topology: Any) -> Interface:
    """TF.js's own names: of the layers where its inputs and outputs are."""
    config = topology.get("model_config", topology)["config"]
    layers = config["layers"] if isinstance(config, dict) else config
    named = {_layer_name(layer): layer for layer in layers}
    if isinstance(config, dict) and "input_layers" in config:
        inputs = [name for name, *_ in _triples(config["input_layers"])]
        outputs = [name for name, *_ in _triples(config["output_layers"])]
    else:
        first = layers[0]
        is_input = first["class_name"] == "InputLayer"
        inputs = [_layer_name(first) if is_input else f"{_layer_name(first)}_input"]
        named[inputs[0]] = first
        outputs = [_layer_name(layers[-1])]
    return Interface(
        "serving_default",
        {name: _layer_input(named[name]) for name in inputs},
        {name: OwnTensor() for name in outputs},
    )


def _layer_name(layer: Any) -> str:
    return str(layer.get("name") or layer["config"]["name"])


def _triples(entries: Any) -> Iterator[Any]:
    """`["x", 0, 0]` alone, or a list of such."""
    yield from [entries] if entries and isinstance(entries[0], str) else entries


def _layer_input(layer: Any) -> OwnTensor:
    config = layer["config"]
    shape = config.get("batch_input_shape") or config.get("batch_shape")
    dtype = config.get("dtype")
    known = isinstance(dtype, str) and dtype in DTYPES
    return OwnTensor(str(dtype) if known else "", tuple(shape) if shape else None)


def _saved_model(path: Path) -> Contents:
    import tensorflow as tf
    from tensorflow.core.protobuf import saved_model_pb2

    model = saved_model_pb2.SavedModel()
    model.ParseFromString(read_file(path / "saved_model.pb", _FILE_LIMIT))
    graphs = [g for g in model.meta_graphs if "serve" in g.meta_info_def.tags]
    if not graphs:
        raise UsageError(f"{path} has no graph with the tag serve.")

    def tensor(info: Any) -> OwnTensor:
        dtype = tf.as_dtype(info.dtype).name
        unknown = info.tensor_shape.unknown_rank
        sizes = tuple(None if d.size < 0 else d.size for d in info.tensor_shape.dim)
        return OwnTensor(
            dtype if dtype in DTYPES else "", None if unknown else sizes, feed=info.name
        )

    interfaces = [
        Interface(
            name,
            {key: tensor(info) for key, info in sorted(definition.inputs.items())},
            {key: tensor(info) for key, info in sorted(definition.outputs.items())},
        )
        for name, definition in sorted(graphs[0].signature_def.items())
        if name != "__saved_model_init_op" and definition.outputs
    ]
    return Contents("savedmodel", "", tuple(interfaces))


def _keras(path: Path) -> Contents:
    from portproof.sources.keras2_models import is_keras2
    from portproof.sources.keras_files import load_keras_file
    from portproof.sources.opening import make_source

    model = load_keras_file(path)
    if is_keras2(model):
        raise UsageError(
            f"{path} is of Keras 2, which no runtime here loads: it is checked against nothing, "
            f"and another file is against it: portproof check FILE --against {path.name}."
        )
    signature = make_source(model, name=path.stem).signatures["serving_default"]
    inputs, outputs = (
        {name: OwnTensor(spec.dtype, spec.shape) for name, spec in specs.items()}
        for specs in (signature.inputs, signature.outputs)
    )
    return Contents("keras", "", (Interface("serving_default", inputs, outputs),))


_READERS: dict[str, Callable[[Path], Contents]] = {
    ".tflite": _tflite,
    ".onnx": _onnx,
    "tfjs": _tfjs,
    "savedmodel": _saved_model,
    ".keras": _keras,
}
