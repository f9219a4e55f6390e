"""The error for a model that a converter refuses: the op, where it comes from, and what to do."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from portproof.bundle.errors import ExportError, PortproofError, described, one_line
from portproof.formats.format import Format, Refusal, Written
from portproof.graphs.functions import operations
from portproof.sources.keras_models import layers_of
from portproof.sources.source import SavedSource, Source

# How the TFLite converter names an op: in MLIR locations, and in lists of Flex and custom ops.
_NAMES = (
    re.compile(r"'tf\.(\w+)' op"),
    re.compile(r"\btf\.(\w+)\(tensor"),
    re.compile(r"Flex ops: ([\w, ]+?)(?: Details|$)"),
    re.compile(r"Custom ops: ([\w, ]+?)(?: Details|$)"),
)
_RUNTIMES = {
    "tflite": "LiteRT on phones, in browsers and on microcontrollers, and OpenVINO from that file",
    "tfjs-graph": "TF.js in browsers and in Node",
}
_ADVICE = {
    "tflite": "Write it with operations that LiteRT has (ai.google.dev/edge/litert, 'Op "
    "compatibility'), or serve the SavedModel, which has all of them.",
    "tfjs-graph": "Write it with operations that TF.js has (tfjs-converter's "
    "docs/supported_ops.md), move it out of the model, or serve the SavedModel.",
}
_OF_OPS = {
    "TensorListReserve": "A recurrent layer: build it with unroll=True.",
    "TensorListStack": "A recurrent layer: build it with unroll=True.",
}


class UnsupportedOpsError(Exception):
    """A format has nothing for some ops of a graph.

    Args:
        ops: Their names in TensorFlow.
    """

    def __init__(self, ops: Sequence[str]) -> None:
        super().__init__(", ".join(ops))
        self.ops = list(ops)


def attempt(format_: Format, source: Source | SavedSource, root: Path) -> Written | Refusal:
    """Write a format, or say why it was not written, as another process can be told."""
    try:
        return format_.write(source, root, format_.folder)
    except PortproofError as error:
        return Refusal(str(error), is_told=True)
    except Exception as error:  # whatever a converter raises
        return Refusal(described(error, 600), tuple(_ops(error)))


def refused(format_: Format, source: Source, refusal: Refusal) -> ExportError:
    """A refusal as one message. Ops that it names are looked up in the graph."""
    if refusal.is_told:
        return ExportError(refusal.reason)
    start, ops = f"{source.name} cannot be written as {format_.full_name}", refusal.ops
    places = [place for op in ops if (place := _place(source, op))]
    if not places:
        return ExportError(f"{start}: {refusal.reason}")
    runtimes = _RUNTIMES.get(format_.name)
    advice = [*(_OF_OPS[op] for op in ops if op in _OF_OPS), _ADVICE.get(format_.name, "")]
    parts = [
        f"{start}: the converter has no {'; '.join(dict.fromkeys(places))}",
        f"Without it there is nothing for {runtimes}" if runtimes else "",
        advice[0].rstrip("."),
    ]
    return ExportError(". ".join(part for part in parts if part) + ".")


def _ops(error: Exception) -> list[str]:
    """The ops that a converter could not convert."""
    if isinstance(error, UnsupportedOpsError):
        return error.ops
    text = one_line(error, 10_000)
    names = [n for p in _NAMES for match in p.findall(text) for n in re.split(r"[, ]+", match)]
    return list(dict.fromkeys(name.removeprefix("Flex") for name in names if name))


def _place(source: Source, op: str) -> str:
    """An op, the layer and the line that it comes from; nothing where no graph has it."""
    for name in source.functions:
        for operation in operations(source.concrete(name).graph):
            if operation.type == op:
                kind = f" of {operation.outputs[0].dtype.name}" if operation.outputs else ""
                return f"{op}{kind}{_layer(source, operation.name)}{_line(operation)}"
    return ""


def _layer(source: Source, name: str) -> str:
    parts = {re.sub(r"_\d+$", "", part) for part in name.split("/")} | set(name.split("/"))
    for layer in layers_of(source.own_model):
        if layer.name in parts or re.sub(r"_\d+$", "", layer.name) in parts:
            return f" (layer {layer.name}, {type(layer).__name__})"
    return ""


def _line(operation: Any) -> str:
    """Where the op was created: the innermost line that is not TensorFlow's own."""
    package = str(Path(tf.__file__).parent)
    frames = [f for f in operation.traceback or () if not f.filename.startswith(package)]
    if not frames:
        return ""
    frame = frames[-1]
    # Keras's own lines by their module, a person's by the path that they would type.
    for folder in (Path(keras.__file__).parent.parent, Path.cwd()):
        if Path(frame.filename).is_relative_to(folder):
            return f", made at {Path(frame.filename).relative_to(folder)}:{frame.lineno}"
    return f", made at {frame.filename}:{frame.lineno}"
