"""A diagnosis for Model Explorer, which shows a graph with a figure on each of its nodes.

Each file is the node data of one figure, as `GraphNodeData` of the package ai-edge-model-explorer
has it (node_data_builder.py): values by the names of the nodes' output tensors.
"""

import json
import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from portproof.bundle import atomic
from portproof.verifying.diagnosis import ComparedTensor, Diagnosis

# What rounding allows is 1: up to there it is green, and far beyond it red.
_THRESHOLDS = [
    {"value": 1, "bgColor": "#a6d96a"},
    {"value": 10, "bgColor": "#fee08b"},
    {"value": 1e300, "bgColor": "#d7191c"},
]


def _share(tensor: ComparedTensor) -> Any:
    return tensor.metrics.bound_ratio if tensor.metrics else None


def _error(tensor: ComparedTensor) -> Any:
    return tensor.metrics.max_abs if tensor.metrics else None


# By the file's name: its figure of a tensor, or None, and whether the thresholds are of it.
_FIGURES: dict[str, tuple[Callable[[ComparedTensor], Any], bool]] = {
    "share-of-bound": (_share, True),
    "share-of-bound-before": (lambda tensor: tensor.before, True),
    "error": (_error, False),
    "range": (lambda tensor: tensor.range, False),
    "verdict": (lambda tensor: tensor.verdict, False),
}


def _figures(diagnosis: Diagnosis) -> Iterator[tuple[str, dict[str, Any], bool]]:
    """Each figure's name, its values by tensor, and whether the thresholds are of it."""
    for name, (figure, has_thresholds) in _FIGURES.items():
        yield name, {t.name: figure(t) for t in diagnosis.tensors if t.name}, has_thresholds
    for output in diagnosis.whole:
        sqnr = {name: layer.sqnr[output] for layer in diagnosis.noise for name in layer.tensors}
        yield f"signal-to-noise-of-{output}", sqnr, False


def _is_shown(value: Any) -> bool:
    """JSON has no infinity: the verdict says of such a tensor that it is wrong."""
    return value is not None and not (isinstance(value, float) and not math.isfinite(value))


def write_node_data(diagnosis: Diagnosis, folder: Path) -> list[Path]:
    """Write a file for each figure, and return their paths; none where nothing was compared.

    Args:
        diagnosis: The diagnosis of one artifact's signature.
        folder: Where to; it is made where it is not there.

    Raises OSError where that cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    trial = diagnosis.trial
    stem = f"{trial.artifact.name}-{trial.signature_name}-{trial.runtime.name}"
    paths = []
    for name, values, has_thresholds in _figures(diagnosis):
        results = {key: {"value": value} for key, value in values.items() if _is_shown(value)}
        if not results:
            continue
        data: dict[str, Any] = {"name": f"{name} in {trial.runtime.name}", "results": results}
        if has_thresholds:
            data["thresholds"] = _THRESHOLDS
        file = re.sub(r"[^\w.@-]+", "_", f"{stem}-{name}")
        paths.append(folder / f"{file}.json")
        atomic.write_text(paths[-1], json.dumps(data, indent=2, allow_nan=False) + "\n")
    return paths
