"""Errors element by element, for a plot: of the reference, and of each runtime, in ULPs."""

import numpy as np

from portproof.bundle.bundle import Bundle
from portproof.bundle.errors import BundleError
from portproof.bundle.float_format import Array, is_float, spacing
from portproof.bundle.report import Curve, Errors
from portproof.bundle.tensors import Arrays, in_group

MAX_ELEMENTS = 160  # of an output, spread evenly over all
MAX_OUTPUTS = 12  # of a signature, the first


def is_plotted(outputs: list[str], output: str) -> bool:
    """Whether an output of a signature is plotted: one of the first, and no trained weight."""
    return outputs.index(output) < MAX_OUTPUTS and not output.startswith("weight/")


def curves_of(bundle: Bundle) -> list[Curve]:
    """The curves of each signature's first float outputs, but of no training step's."""
    curves = []
    for name, signature in bundle.manifest.signatures.items():
        typical = [v for v in bundle.vectors(name) if v.regime == "typical"]
        if not typical or any(output.startswith("weight/") for output in signature.outputs):
            continue
        try:
            arrays = bundle.read(typical[0])
        except BundleError:  # its cells say so
            continue
        for output in list(signature.outputs)[:MAX_OUTPUTS]:
            reference, oracle = arrays.get(f"reference/{output}"), arrays.get(f"oracle/{output}")
            if reference is None or oracle is None or not reference.size:
                continue
            axis, at = _axis(in_group(arrays, "inputs"), reference)
            curves.append(
                Curve(
                    model=bundle.manifest.model,
                    signature=name,
                    output=output,
                    axis=axis,
                    at=tuple(at.tolist()),
                    reference=ulp_errors(reference, oracle),
                )
            )
    return curves


def ulp_errors(values: Array, oracle: Array | None) -> Errors:
    """How far some elements are from the oracle, in ULPs; nothing for an output of integers."""
    if oracle is None or not is_float(values.dtype) or values.shape != oracle.shape:
        return ()
    chosen = _chosen_elements(values.size)
    got = values.reshape(-1)[chosen].astype(np.float64)
    exact = oracle.reshape(-1)[chosen]
    with np.errstate(invalid="ignore", over="ignore"):
        units = np.abs(got - exact) / spacing(exact, values.dtype)
    return tuple(float(f"{unit:.4g}") if np.isfinite(unit) else None for unit in units)


def _chosen_elements(size: int) -> Array:
    return np.unique(np.linspace(0, size - 1, min(size, MAX_ELEMENTS)).round().astype(np.int64))


def _axis(inputs: Arrays, output: Array) -> tuple[str, Array]:
    """The values of the input, where it has one number for each element of the output."""
    chosen = _chosen_elements(output.size)
    if len(inputs) == 1:
        [(name, array)] = inputs.items()
        if array.size == output.size and np.isfinite(array.astype(np.float64)).all():
            return name, array.reshape(-1)[chosen].astype(np.float64)
    return "", chosen
