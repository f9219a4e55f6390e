"""Runs `.onnx` files in ONNX Runtime on the CPU, with the optimizations that it has by default."""

from collections.abc import Iterator
from typing import Any

from portproof.bundle.tensors import Arrays, Infer
from portproof.runtimes.protocol import Node, Request
from portproof.runtimes.python.loop import serve

# Tensors that a file can carry.
_CARRIED = {"tensor(float)", "tensor(float16)", "tensor(double)", "tensor(bool)"} | {
    f"tensor({sign}int{bits})" for sign in ("", "u") for bits in (8, 16, 32, 64)
}


def main() -> None:
    import onnxruntime

    providers: list[str] = []

    def load(request: Request) -> Infer:
        inspected = _Inspected(request.artifact) if request.inspect else None
        model = inspected.content if inspected else request.artifact
        session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
        providers[:] = session.get_providers()
        outputs = session.get_outputs()
        names = [o.name for o in outputs if not inspected or o.type in _CARRIED]
        if not names:
            raise ValueError("it has no tensor that can be shown")

        def infer(arrays: Arrays) -> Arrays:
            given = dict(zip(names, session.run(names, arrays), strict=True))
            return inspected.tensors(given) if inspected else given

        if inspected:
            infer.answer_fields = {"nodes": inspected.nodes}  # type: ignore[attr-defined]
        return infer

    serve({"onnxruntime": onnxruntime.__version__}, load, lambda: ",".join(providers))


class _Inspected:
    """A model of which everything that its nodes make is an output too.

    ONNX Runtime then fuses less than it does otherwise, for what is fused away is no output.

    Attributes:
        content: The model's bytes.
        nodes: What its nodes make, in the order of computation.
    """

    def __init__(self, path: str) -> None:
        import onnx

        model = onnx.load(path)
        known = {output.name for output in model.graph.output}
        weights = {tensor.name for tensor in model.graph.initializer}
        weights |= {made for n in model.graph.node if n.op_type == "Constant" for made in n.output}
        computed = [n for n in model.graph.node if n.op_type != "Constant"]
        made = [name for node in computed for name in node.output if name]
        self._outputs = [name for name in made if name not in known]
        # Of what type they are, ONNX Runtime finds out.
        model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in self._outputs)
        self.content = model.SerializeToString()
        self._given_back = dict(_given_back(computed))
        inputs = [put.name for put in model.graph.input if put.name not in weights]
        self.nodes = (
            *(Node(name=name, op="", inputs=()) for name in inputs),
            *(
                Node(name=name, op=node.op_type, inputs=_taken(node, weights))
                for node in computed
                for name in node.output
                if name
            ),
        )

    def tensors(self, outputs: Arrays) -> Arrays:
        """The tensors by their names; of one that is quantised, the floats that are left of it."""
        return {name: outputs[self._given_back.get(name, name)] for name in outputs}


def _taken(node: Any, weights: set[str]) -> tuple[str, ...]:
    return tuple(name for name in node.input if name and name not in weights)


def _given_back(nodes: list[Any]) -> Iterator[tuple[str, str]]:
    """What is quantised and given back as floats at once, with the name of these floats."""
    quantised = {n.output[0]: n.input[0] for n in nodes if n.op_type == "QuantizeLinear"}
    for node in nodes:
        if node.op_type == "DequantizeLinear" and node.input[0] in quantised:
            yield quantised[node.input[0]], node.output[0]


if __name__ == "__main__":
    main()
