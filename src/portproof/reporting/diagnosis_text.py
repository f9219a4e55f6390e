"""A diagnosis as a person reads it."""

import math
from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from portproof.bundle.layer_names import innermost_layer
from portproof.reporting.table import STYLES
from portproof.runtimes.protocol import Node
from portproof.verifying.diagnosis import ComparedTensor, Diagnosis

# How many layers a person reads of.
_LAYERS = 15
# TensorFlow's prefix of every name in a SavedModel's graph.
_PREFIX = "StatefulPartitionedCall/"


def render(diagnosis: Diagnosis) -> RenderableType:
    """What was run, and indented below it what came out."""
    trial = diagnosis.trial
    artifact = " ".join(filter(None, [trial.bundle.manifest.model, trial.artifact.name]))
    title = f"{artifact} in {trial.runtime.name}, {trial.signature_name}, {diagnosis.case}"
    return Group(Text(title, "bold"), *(Padding(line, (0, 0, 0, 2)) for line in _lines(diagnosis)))


def _lines(diagnosis: Diagnosis) -> Iterator[RenderableType]:
    if diagnosis.refused:
        yield Text.assemble(("refused", STYLES["failed"]), f": {diagnosis.refused}")
        for node in diagnosis.suspects:
            yield Text(f"it names {_named(diagnosis, node)}")
        if not diagnosis.suspects:
            yield Text("it names no op of the graph")
        return
    yield Text(f"compared {diagnosis.compared} of the {diagnosis.total} tensors in the graph")
    if diagnosis.trial.is_variant:
        yield from _noise(diagnosis)
        return
    if diagnosis.first is None:
        if diagnosis.compared:
            yield Text.assemble(("nothing leaves the reference", STYLES["exact"]))
        else:
            yield Text("no tensor of the runtime has a name in the graph", STYLES["failed"])
        return
    yield from _departure(diagnosis, diagnosis.first)


def _noise(diagnosis: Diagnosis) -> Iterator[RenderableType]:
    """What each layer adds by itself, the loudest first, in dB below the signal."""
    if not diagnosis.whole:
        yield Text("no output is a float, and noise is told of floats alone")
        return
    if not diagnosis.noise:
        yield Text("no tensor of the runtime has a name in the graph", STYLES["failed"])
        return
    if not diagnosis.passes:
        yield Text("its outputs are not what it declares of itself", STYLES["wrong"])
    noisy = [noise for noise in diagnosis.noise if noise.loudest < math.inf]
    if not noisy:
        yield Text("no layer adds any noise", STYLES["exact"])
        return
    told, quiet = noisy[:_LAYERS], noisy[_LAYERS:]
    yield Text("signal to noise of each layer alone, in dB: the first cost the most", "dim")
    outputs = list(diagnosis.whole)
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=True, header_style="dim")
    table.add_column("", overflow="fold")
    for name in outputs:
        table.add_column(name, justify="right")
    for noise in told:
        table.add_row(" + ".join(noise.layers), *(f"{noise.sqnr[name]:.1f}" for name in outputs))
    table.add_row("together", *(f"{diagnosis.whole[name]:.1f}" for name in outputs), style="bold")
    yield table
    if quiet:
        yield Text(f"and {len(quiet)} more, of {quiet[0].loudest:.1f} dB and above", "dim")
    words = " ".join(f"--keep-float {layer}" for layer in told[0].layers)
    yield Text(f"to keep the first in floats: portproof export ... {words}")


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
    share = f"off by up to {metrics.max_abs:.3g}, {metrics.bound_ratio:.3g} times what is allowed"
    if tensor.verdict in ("exact", "faithful"):
        return f"{tensor.verdict}, {share}"
    assert metrics.worst
    where = f" at {list(metrics.worst.index)}" if metrics.worst.index else ""
    return f"{share}: {metrics.worst.got:.9g} for {metrics.worst.reference:.9g}{where}"
