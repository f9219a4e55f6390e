"""A TFLite file of smaller weights in which some operations have the float weights again."""

from collections.abc import Collection, Iterator
from copy import copy
from typing import Any

import flatbuffers
from ai_edge_litert import schema_py_generated as schema

from portproof.bundle.errors import ExportError

_FLOAT32 = schema.TensorType.FLOAT32
_DEQUANTIZE = schema.BuiltinOperator.DEQUANTIZE
# Weights are read where they lie in the file (`force_align` of Buffer.data in
# tensorflow/compiler/mlir/lite/schema/schema.fbs).
_ALIGNMENT = 16


def with_float_weights(content: bytes, plain: bytes, kept: Collection[str]) -> bytes:
    """The file with the plain file's weights in some of its operations.

    Args:
        content: A file of the variant `float16` or `dynamic-range`.
        plain: The same model in float32, converted in the same way.
        kept: The names of the tensors that these operations make.

    Raises ExportError where other operations read integers from one of them.
    """
    model, source = _read(content), _read(plain)
    for graph, other in zip(model.subgraphs, source.subgraphs, strict=True):
        twins = {_key(source, other, operator): operator for operator in other.operators}
        for operator in graph.operators:
            key = _key(model, graph, operator)
            if key[1] in kept and key in twins:
                _take_weights(model, graph, operator, source, other, twins[key])
                _give_floats(model, graph, operator, other.tensors[twins[key].outputs[0]])
        graph.operators = list(_used_operators(graph))
    _leave_out_unused_tensors(model)
    _leave_out_unused_buffers(model)
    builder = _Builder(len(content))
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _read(content: bytes) -> Any:
    return schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))


def _key(model: Any, graph: Any, operator: Any) -> tuple[int, str]:
    """What an operation is and what it makes: a weight that is unpacked may have its name too."""
    name: bytes = graph.tensors[operator.outputs[0]].name if len(operator.outputs) else b""
    return _kind(model, operator), name.decode()


def _kind(model: Any, operator: Any) -> int:
    code = model.operatorCodes[operator.opcodeIndex]
    return max(int(code.builtinCode), int(code.deprecatedBuiltinCode))


def _take_weights(
    model: Any, graph: Any, operator: Any, source: Any, other: Any, twin: Any
) -> None:
    """Put the float weights of an operation's twin in another file in place of its own."""
    operator.inputs = list(operator.inputs)
    for k, index in enumerate(twin.inputs):
        weight = other.tensors[index] if index >= 0 else None
        if weight is None or weight.type != _FLOAT32:
            continue
        data = source.buffers[weight.buffer].data
        if data is None or not len(data):
            continue  # it is computed
        buffer = schema.BufferT()
        buffer.data = data
        tensor = copy(weight)
        tensor.buffer = len(model.buffers)
        operator.inputs[k] = len(graph.tensors)
        model.buffers.append(buffer)
        graph.tensors.append(tensor)


def _give_floats(model: Any, graph: Any, operator: Any, twin: Any) -> None:
    """Have an operation give floats as its twin does: a table's rows may be integers till then."""
    output = int(operator.outputs[0])
    tensor = graph.tensors[output]
    if tensor.type == twin.type:
        return
    readers = [o for o in graph.operators if output in map(int, o.inputs)]
    if output in map(int, graph.outputs) or any(_kind(model, o) != _DEQUANTIZE for o in readers):
        name = tensor.name.decode()
        raise ExportError(f"{name} is read as integers, so that it cannot be kept in floats")
    tensor.type, tensor.quantization = twin.type, None
    floats = {int(reader.outputs[0]) for reader in readers}
    for owner, name in _index_fields(graph):
        if name != "outputs" or owner is graph:
            indices = [int(n) for n in getattr(owner, name)]
            setattr(owner, name, [output if n in floats else n for n in indices])
    for item in _signature_tensors(model, graph):
        item.tensorIndex = output if item.tensorIndex in floats else item.tensorIndex


def _used_operators(graph: Any) -> Iterator[Any]:
    """Without those that unpacked weights which nothing reads now."""
    read = {int(n) for operator in graph.operators for n in operator.inputs}
    read |= {int(n) for n in graph.outputs}
    for operator in graph.operators:
        if any(int(n) in read for n in operator.outputs):
            yield operator


def _index_fields(graph: Any) -> list[tuple[Any, str]]:
    """Every list of tensors' places in a graph: its owner, and its name there."""
    fields = [(graph, "inputs"), (graph, "outputs")]
    for operator in graph.operators:
        fields += [(operator, name) for name in ("inputs", "outputs", "intermediates")]
    return [(owner, name) for owner, name in fields if getattr(owner, name) is not None]


def _signature_tensors(model: Any, graph: Any) -> Iterator[Any]:
    for definition in model.signatureDefs or ():
        if model.subgraphs[definition.subgraphIndex] is graph:
            yield from (*definition.inputs, *definition.outputs)


def _leave_out_unused_tensors(model: Any) -> None:
    for graph in model.subgraphs:
        fields = _index_fields(graph)
        used = sorted({int(n) for owner, name in fields for n in getattr(owner, name)} - {-1})
        places = {old: new for new, old in enumerate(used)} | {-1: -1}
        graph.tensors = [graph.tensors[old] for old in used]
        for owner, name in fields:
            setattr(owner, name, [places[int(n)] for n in getattr(owner, name)])
        for item in _signature_tensors(model, graph):
            item.tensorIndex = places[item.tensorIndex]


def _leave_out_unused_buffers(model: Any) -> None:
    """The first buffer stands for none, by the schema."""
    owners = [tensor for graph in model.subgraphs for tensor in graph.tensors]
    owners += model.metadata or ()
    used = sorted({0, *(owner.buffer for owner in owners)})
    places = {old: new for new, old in enumerate(used)}
    model.buffers = [model.buffers[old] for old in used]
    model.metadataBuffer = None  # of old files, in place of `metadata`
    for owner in owners:
        owner.buffer = places[owner.buffer]


class _Builder(flatbuffers.Builder):  # type: ignore[misc]
    """A builder that aligns bytes as weights are."""

    def StartVector(self, elemSize: int, numElems: int, alignment: int) -> Any:  # noqa: N802, N803
        aligned = max(alignment, _ALIGNMENT) if elemSize == 1 else alignment
        return super().StartVector(elemSize, numElems, aligned)
