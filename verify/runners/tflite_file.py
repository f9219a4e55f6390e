"""What a `.tflite` file says of its signatures, for runtimes that know positions alone."""

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Tensor:
    """A signature's input or output: its position in the subgraph, and the tensor's own name."""

    position: int
    name: str


@dataclass(frozen=True)
class Signature:
    """A signature's tensors by their names in it, and the subgraph they are in."""

    subgraph: int
    inputs: dict[str, Tensor]
    outputs: dict[str, Tensor]


def signature(path: str, key: str, schema: str) -> Signature:
    """Read one SignatureDef (tensorflow/compiler/mlir/lite/schema/schema.fbs).

    `schema` is the module with the schema's generated reader, of which each runtime brings one.
    Raises KeyError where the file has no such signature.
    """
    model = _model(path, schema)
    for found in model.signatureDefs or []:
        if found.signatureKey.decode() == key:
            graph = model.subgraphs[found.subgraphIndex]
            return Signature(
                found.subgraphIndex,
                _tensors(found.inputs, list(graph.inputs), graph),
                _tensors(found.outputs, list(graph.outputs), graph),
            )
    raise KeyError(f"the file has no signature {key}")


def computed(path: str, subgraph: int, schema: str) -> set[int]:
    """The positions of the tensors that an op of a subgraph makes: neither weights nor inputs."""
    graph = _model(path, schema).subgraphs[subgraph]
    return {int(n) for operator in graph.operators or [] for n in operator.outputs}


def _model(path: str, schema: str) -> Any:
    reader = import_module(schema)
    return reader.ModelT.InitFromObj(reader.Model.GetRootAs(Path(path).read_bytes(), 0))


def _tensors(maps: Any, order: list[int], graph: Any) -> dict[str, Tensor]:
    return {
        item.name.decode(): Tensor(
            order.index(item.tensorIndex), graph.tensors[item.tensorIndex].name.decode()
        )
        for item in maps
    }
