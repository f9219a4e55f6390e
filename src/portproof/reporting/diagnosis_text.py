"""A diagnosis as a person reads it."""

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from portproof.bundle.layer_names import innermost_layer
from portproof.reporting.table import STYLES
from portproof.runtimes.protocol import Node
from portproof.verifying.diagnosis import ComparedTensor, Diagnosis

# TensorFlow's prefix of every name in a SavedModel's graph.
_PREFIX = "StatefulPartitionedCall/"


def render(diagnosis: Diagnosis) -> RenderableType:
    """What was run, and indented below it what came out."""
    trial = diagnosis.trial
    artifact = " ".join(filter(None, [trial.bundle.manifest.model, trial.artifact.name]))
    title = f"{artifact} in {trial.runtime.name}, {trial.signature_name}, {diagnosis.case}"
    return Group(Text(title, "bold"), *(Padding(line, (0, 0, 0, 2)) for line in _lines(diagnosis)))


def _lines(diagnosis: Diagnosis) -> Iterator[Text]:
    if diagnosis.refused:
        yield Text.assemble(("refused", STYLES["failed"]), f": {diagnosis.refused}")
        for node in diagnosis.suspects:
            yield Text(f"it names {_named(diagnosis, node)}")
        if not diagnosis.suspects:
            yield Text("it names no op of the graph")
        return
    yield Text(f"compared {diagnosis.compared} of the {diagnosis.total} tensors in the graph")
    if diagnosis.first is None:
        if diagnosis.compared:
            yield Text.assemble(("nothing leaves the reference", STYLES["exact"]))
        else:
            yield Text("no tensor of the runtime has a name in the graph", STYLES["failed"])
        return
    yield from _departure(diagnosis, diagnosis.first)


def _departure(diagnosis: Diagnosis, first: ComparedTensor) -> Iterator[Text]:
    verdict = Text.assemble((first.verdict, STYLES[first.verdict]))
    yield Text.assemble(verdict, f" first at {_named(diagnosis, first.node)}")
    if len(diagnosis.path) > 1:
        yield Text(f"by way of {' -> '.join(diagnosis.path)}, fused or without names of their own")
    for name, text in diagnosis.ranges.items():
        yield Text(f"input     {name.removeprefix(_PREFIX)}: {text}")
    entering = [_error(tensor) for tensor in diagnosis.entering if tensor.metrics]
    yield Text(f"entering  {'; '.join(entering) or 'inputs of the model, and weights'}")
    yield Text(f"leaving   {_error(first)}")


def _named(diagnosis: Diagnosis, node: Node) -> str:
    layer = innermost_layer(node.name, diagnosis.trial.bundle.manifest.layers)
    of = f" of layer {layer}" if layer else ""
    op = "the weight" if node.name.endswith("/ReadVariableOp") else node.op
    return f"{op}{of} ({node.name.removeprefix(_PREFIX)})"


def _error(tensor: ComparedTensor) -> str:
    metrics = tensor.metrics
    if metrics is None or metrics.misplaced or metrics.bound_ratio is None:
        return tensor.reason or tensor.verdict
    share = (
        f"off by up to {metrics.max_abs:.3g}, {metrics.bound_ratio:.3g} times what rounding allows"
    )
    if tensor.verdict in ("exact", "faithful"):
        return f"{tensor.verdict}, {share}"
    assert metrics.worst
    where = f" at {list(metrics.worst.index)}" if metrics.worst.index else ""
    return f"{share}: {metrics.worst.got:.9g} for {metrics.worst.reference:.9g}{where}"
