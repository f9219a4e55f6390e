"""Errors element by element, for a plot: of the reference, and of each runtime, in ULPs."""

import numpy as np
from pydantic import BaseModel, ConfigDict

from bundle import tensors
from bundle.bundle import Bundle
from verify.float_format import Array, is_float, spacing

MOST = 160  # elements of an output, spread evenly over all
OUTPUTS = 12  # of a signature, the first

Errors = tuple[float | None, ...]


class Curve(BaseModel):
    """One output on the model's own data: where its elements are, and the reference's error there.

    `axis` is the input whose value each element belongs to, or empty where it is the element's
    place in the output. Errors are in units in the last place of the output's dtype at the
    oracle's value; `None` where a value is not finite.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    signature: str
    output: str
    axis: str
    at: tuple[float, ...]
    reference: Errors


def of_bundle(bundle: Bundle) -> list[Curve]:
    """The curves of each signature's first float outputs, but of no training step's: weights."""
    found = []
    for name, signature in bundle.manifest.signatures.items():
        typical = [v for v in bundle.vectors(name) if v.regime == "typical"]
        if not typical or any(output.startswith("weight/") for output in signature.outputs):
            continue
        arrays = bundle.read(typical[0])
        for output in list(signature.outputs)[:OUTPUTS]:
            reference, oracle = arrays.get(f"reference/{output}"), arrays.get(f"oracle/{output}")
            if reference is None or oracle is None or not reference.size:
                continue
            axis, at = _axis(tensors.grouped(arrays, "inputs"), reference)
            found.append(
                Curve(
                    model=bundle.manifest.model,
                    signature=name,
                    output=output,
                    axis=axis,
                    at=tuple(at.tolist()),
                    reference=errors(reference, oracle),
                )
            )
    return found


def errors(values: Array, oracle: Array | None) -> Errors:
    """How far some elements are from the oracle, in ULPs; nothing for an output of integers."""
    if oracle is None or not is_float(values.dtype) or values.shape != oracle.shape:
        return ()
    chosen = _chosen(values.size)
    got = values.reshape(-1)[chosen].astype(np.float64)
    want = oracle.reshape(-1)[chosen]
    with np.errstate(invalid="ignore", over="ignore"):
        units = np.abs(got - want) / spacing(want, values.dtype)
    return tuple(float(f"{unit:.4g}") if np.isfinite(unit) else None for unit in units)


def _chosen(size: int) -> Array:
    return np.unique(np.linspace(0, size - 1, min(size, MOST)).round().astype(np.int64))


def _axis(inputs: tensors.Arrays, output: Array) -> tuple[str, Array]:
    """The input's own values where there is one number of it for each element of the output."""
    chosen = _chosen(output.size)
    if len(inputs) == 1:
        [(name, array)] = inputs.items()
        if array.size == output.size and np.isfinite(array.astype(np.float64)).all():
            return name, array.reshape(-1)[chosen].astype(np.float64)
    return "", chosen
