"""What a `.tflite` file holds (tensorflow/compiler/mlir/lite/schema/schema.fbs)."""

from collections.abc import Collection
from dataclasses import dataclass
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any

# The generated reader of the schema. Each runtime brings one; a runner uses its own runtime's.
_MAX_OPS = 100_000
LITERT_SCHEMA = "ai_edge_litert.schema_py_generated"


@dataclass(frozen=True)
class Tensor:
    """A signature's input or output: its position in the subgraph, and the tensor's own name."""

    position: int
    name: str


@dataclass(frozen=True)
class FileSignature:
    """A signature's tensors by their names in it, and the number of the subgraph they are in."""

    subgraph: int
    inputs: dict[str, Tensor]
    outputs: dict[str, Tensor]


def read_signature(path: str, key: str, schema: str = LITERT_SCHEMA) -> FileSignature:
    """Read one SignatureDef. Raises KeyError where the file has no such signature.

    Of a file that has none, as old converters wrote them, the empty key is the first subgraph, with
    the tensors' own names.
    """
    model = _model(path, schema)
    if not key:
        graph = model.subgraphs[0]
        return FileSignature(0, _own_names(graph.inputs, graph), _own_names(graph.outputs, graph))
    definition = _definition(model, key)
    graph = model.subgraphs[definition.subgraphIndex]
    return FileSignature(
        definition.subgraphIndex,
        _tensors(definition.inputs, list(graph.inputs), graph),
        _tensors(definition.outputs, list(graph.outputs), graph),
    )


def computed_tensors(path: str, subgraph: int, schema: str = LITERT_SCHEMA) -> set[int]:
    """The positions of the tensors that an op of a subgraph makes: neither weights nor inputs."""
    graph = _model(path, schema).subgraphs[subgraph]
    return {int(n) for operator in graph.operators or [] for n in operator.outputs}


def operations(
    path: str, subgraph: int, schema: str = LITERT_SCHEMA
) -> list[tuple[str, str, tuple[str, ...]]]:
    """What each op of a subgraph makes, the op's name and what it takes, in order of computation.

    Tensors are told by their names; weights and what is left out are not.
    """
    reader = import_module(schema)
    model = _model(path, schema)
    graph = model.subgraphs[subgraph]
    known = {number: name for name, number in vars(reader.BuiltinOperator).items()}
    given = [int(n) for n in graph.inputs]
    made = {*given, *computed_tensors(path, subgraph, schema)}
    found: list[tuple[str, str, tuple[str, ...]]] = [(_name(graph, n), "", ()) for n in given]
    for operator in graph.operators or []:
        code = model.operatorCodes[operator.opcodeIndex]
        own = code.customCode.decode() if code.customCode else ""
        op = own or known.get(max(code.builtinCode, code.deprecatedBuiltinCode), "?")
        taken = tuple(_name(graph, int(n)) for n in operator.inputs if int(n) in made)
        found += [(_name(graph, int(n)), op, taken) for n in operator.outputs]
    return found


def operation_count(path: str, key: str) -> int:
    """How many operations the subgraph of a signature has."""
    subgraph = read_signature(path, key).subgraph
    return len(_model(path, LITERT_SCHEMA).subgraphs[subgraph].operators or [])


def tensors_of_ops(path: str, ops: Collection[str]) -> list[str]:
    """The names of what ops of these names (`GELU`) make, of the first `_MAX_OPS` ops.

    Nothing is unpacked: in a file that was made for it, tables may stand for each other, and be
    more than there is memory for.
    """
    reader = import_module(LITERT_SCHEMA)
    model = reader.Model.GetRootAs(Path(path).read_bytes(), 0)
    known = {number: name for name, number in vars(reader.BuiltinOperator).items()}

    def is_one_of(code: Any) -> bool:
        return known.get(max(code.BuiltinCode(), code.DeprecatedBuiltinCode()), "") in ops

    graphs = (model.Subgraphs(n) for n in range(model.SubgraphsLength()))
    all_ops = (
        (graph, graph.Operators(n)) for graph in graphs for n in range(graph.OperatorsLength())
    )
    return [
        graph.Tensors(operator.Outputs(0)).Name().decode()
        for graph, operator in islice(all_ops, _MAX_OPS)
        if operator.OutputsLength() and is_one_of(model.OperatorCodes(operator.OpcodeIndex()))
    ]


def computed_names(content: bytes) -> dict[str, str]:
    """The names of all tensors that ops make, of a file's content, each with its places in a model.

    The places are the name itself, which converters make of the scopes that a tensor is from. What
    is an output is called after that alone (`StatefulPartitionedCall:0`): its places are those of
    the weights that it is computed with, or else of the first tensor that it is computed from.
    """
    model = import_module(LITERT_SCHEMA).Model.GetRootAs(content, 0)
    places: dict[str, str] = {}
    for graph in (model.Subgraphs(n) for n in range(model.SubgraphsLength())):
        inputs = {graph.Inputs(n) for n in range(graph.InputsLength())}
        for operator in (graph.Operators(n) for n in range(graph.OperatorsLength())):
            read = [operator.Inputs(k) for k in range(operator.InputsLength())]
            names = [graph.Tensors(n).Name().decode() for n in read if n >= 0 and n not in inputs]
            weights = [name for name in names if "/" in name and name not in places]
            before = [places[name] for name in names if name in places]
            for k in range(operator.OutputsLength()):
                name = graph.Tensors(operator.Outputs(k)).Name().decode()
                named = "/" in name or not (weights or before)
                places[name] = name if named else ";".join(weights or before[:1])
    return places


def output_steps(path: str, key: str) -> dict[str, float]:
    """By output, the scale of the int8 tensor that a float output is dequantised from."""
    signature = read_signature(path, key)
    graph = _model(path, LITERT_SCHEMA).subgraphs[signature.subgraph]
    producers = {int(n): operator for operator in graph.operators for n in operator.outputs}
    steps: dict[str, float] = {}
    for name, output in signature.outputs.items():
        operator = producers.get(int(graph.outputs[output.position]))
        if operator is None:
            continue
        quantization = graph.tensors[operator.inputs[0]].quantization
        if quantization is not None and quantization.scale is not None:
            steps[name] = float(quantization.scale[0])
    return steps


def has_dtype(content: bytes, dtype: str) -> bool:
    """Whether a file's content has a tensor of a dtype, named as in the schema: `FLOAT16`."""
    reader = import_module(LITERT_SCHEMA)
    number = getattr(reader.TensorType, dtype)
    model = reader.Model.GetRootAs(content, 0)
    graphs = [model.Subgraphs(n) for n in range(model.SubgraphsLength())]
    return any(g.Tensors(n).Type() == number for g in graphs for n in range(g.TensorsLength()))


def _model(path: str, schema: str) -> Any:
    reader = import_module(schema)
    return reader.ModelT.InitFromObj(reader.Model.GetRootAs(Path(path).read_bytes(), 0))


def _name(graph: Any, number: int) -> str:
    return str(graph.tensors[number].name.decode())


def _definition(model: Any, key: str) -> Any:
    for definition in model.signatureDefs or []:
        if definition.signatureKey.decode() == key:
            return definition
    raise KeyError(f"the file has no signature {key}")


def _own_names(numbers: Any, graph: Any) -> dict[str, Tensor]:
    names = [graph.tensors[number].name.decode() for number in numbers]
    return {name: Tensor(position, name) for position, name in enumerate(names)}


def _tensors(maps: Any, order: list[int], graph: Any) -> dict[str, Tensor]:
    return {
        item.name.decode(): Tensor(
            order.index(item.tensorIndex), graph.tensors[item.tensorIndex].name.decode()
        )
        for item in maps
    }
