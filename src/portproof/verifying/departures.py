"""The first tensor inside a model at which a runtime leaves the reference."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from portproof.bundle.layer_names import innermost_layer, plain_name
from portproof.bundle.report import GraphErrors, TensorError
from portproof.bundle.signature import TensorSpec
from portproof.bundle.tensors import Arrays
from portproof.bundle.verdicts import PASSING
from portproof.comparing.judging import Allowance, expected_of, judge
from portproof.runtimes.protocol import Node
from portproof.verifying.diagnosis import ComparedTensor, Diagnosis
from portproof.verifying.trial import Trial

# Ops without inputs that are computed: an input of the model, or a weight.
_SOURCES = {"Const", "Placeholder", "ReadVariableOp"}


def find_departure(
    trial: Trial,
    case: str,
    nodes: list[Node],
    reference: Arrays,
    tensors: Arrays,
    names: Mapping[str, str],
) -> Diagnosis:
    """Compare tensor by tensor, in the order of computation.

    A converter may rearrange a sum, so that a name stands for another part of it. What is computed
    from it is right again then: only what stays wrong is a departure.

    Args:
        trial: What was run, and where.
        case: The case's name.
        nodes: The reference's nodes, in the order of computation.
        reference: Their right values, as `reference/NODE`, `oracle/NODE` and so on.
        tensors: The runtime's values, by node.
        names: The runtime's own names of them, by node.
    """
    allowance = Allowance(shader_ops=trial.allowance("").shader_ops)
    compared: dict[str, ComparedTensor] = {}
    for node in nodes:
        # "Func/" are TensorFlow's own copies of a function's inputs and outputs.
        if node.name in tensors and not node.name.startswith("Func/"):
            own = names.get(node.name, "")
            compared[node.name] = _compare(node, own, tensors[node.name], reference, allowance)
    good = {name for name, tensor in compared.items() if tensor.verdict in PASSING}
    # A shape or a decision may be right although the numbers before it are not.
    healed = _healed(nodes, {name for name in good if f"oracle/{name}" in reference})
    departed = (tensor for tensor in compared.values() if tensor.verdict not in PASSING)
    first = next((tensor for tensor in departed if tensor.node.name not in healed), None)
    by_name = {node.name: node for node in nodes}
    told = tuple(replace(t, before=_before(t.node, by_name, compared)) for t in compared.values())
    total = sum(name.startswith("reference/") for name in reference)
    if first is None:
        return Diagnosis(trial, case, compared=len(compared), total=total, tensors=told)
    path, before = _path_to(first.node, by_name, compared)
    known = [name for name in before if f"reference/{name}" in reference]
    return Diagnosis(
        trial,
        case,
        compared=len(compared),
        total=total,
        tensors=told,
        first=first,
        path=tuple(path),
        entering=tuple(compared[name] for name in before if name in compared),
        ranges={name: _range(reference[f"reference/{name}"]) for name in known},
    )


def graph_errors(diagnosis: Diagnosis) -> GraphErrors:
    """What a diagnosis compared, as a report holds it."""
    trial = diagnosis.trial
    layers = trial.bundle.manifest.layers
    names = [tensor.node.name for tensor in diagnosis.tensors]
    return GraphErrors(
        model=trial.bundle.manifest.model,
        format=trial.artifact.format,
        runtime=trial.runtime.name,
        signature=trial.signature_name,
        case=diagnosis.case,
        tensors=tuple(
            TensorError(
                name=plain_name(tensor.node.name),
                op=tensor.node.op,
                layer=innermost_layer(tensor.node.name, layers),
                verdict=tensor.verdict,
                bound_ratio=tensor.metrics.bound_ratio if tensor.metrics else None,
            )
            for tensor in diagnosis.tensors
        ),
        first=names.index(diagnosis.first.node.name) if diagnosis.first else None,
    )


def _compare(
    node: Node, own: str, got: Any, reference: Arrays, allowance: Allowance
) -> ComparedTensor:
    expected = expected_of(reference, node.name)
    dtype, shape = expected.reference.dtype, expected.reference.shape
    # A runtime without int64 has int32 inside. At the outputs this would be another dtype.
    got = got.astype(dtype) if dtype.kind in "iu" else got
    spec = TensorSpec(dtype=dtype.name, shape=shape)
    judged = judge(got, spec, expected, allowance)
    return ComparedTensor(node, own, *judged, range=_range(expected.reference))


def _before(
    node: Node, nodes: Mapping[str, Node], compared: Mapping[str, ComparedTensor]
) -> float | None:
    """The largest error of what a node is computed from, in units of what rounding allows."""
    metrics = [
        compared[name].metrics for name in _path_to(node, nodes, compared)[1] if name in compared
    ]
    return max((m.bound_ratio for m in metrics if m and m.bound_ratio is not None), default=None)


def _healed(nodes: list[Node], good: set[str]) -> set[str]:
    """The nodes from which a good tensor is computed."""
    healed: set[str] = set()
    for node in reversed(nodes):
        if node.name in good or node.name in healed:
            healed.update(node.inputs)
    return healed


def _path_to(
    node: Node, nodes: Mapping[str, Node], compared: Mapping[str, ComparedTensor]
) -> tuple[list[str], list[str]]:
    """The ops from the compared tensors before a node to it, and those tensors' names.

    A runtime that fuses ops has no tensors between them.
    """
    ops, before, waiting, seen = [], [], [node], set()
    while waiting:
        current = waiting.pop(0)
        ops.append(current.op)
        for name in current.inputs:
            if name in seen:
                continue
            seen.add(name)
            producer = nodes[name]
            if name in compared or producer.op in _SOURCES or not producer.inputs:
                before.append(name)
            else:
                waiting.append(producer)
    return [op for op in reversed(ops) if op != "Identity"] or ["Identity"], before


def _range(array: Any) -> str:
    """`float32[24, 6] from -7.1 to 12.3`."""
    shape = f"{array.dtype}{list(array.shape)}"
    if not array.size or array.dtype == np.bool_:
        return shape
    with np.errstate(invalid="ignore"):
        return f"{shape} from {np.nanmin(array):g} to {np.nanmax(array):g}"
