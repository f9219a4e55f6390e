"""Bundle -> by signature, why its test vectors prove nothing."""

import math
from collections.abc import Sequence

import numpy as np

from portproof.bundle.bundle import Bundle
from portproof.bundle.errors import one_line
from portproof.bundle.manifest import DECIDING, HeldTo, Vector
from portproof.bundle.tensors import Arrays, in_group
from portproof.bundle.text import printable
from portproof.comparing.agreement import budget_between
from portproof.comparing.yardstick import shortcoming


def shortcomings_of(bundle: Bundle) -> dict[str, str]:
    """By signature a line, of the signatures whose test vectors prove nothing."""
    found = {name: _shortcoming(bundle, name) for name in bundle.manifest.signatures}
    return {name: reason for name, reason in found.items() if reason}


def _shortcoming(bundle: Bundle, name: str) -> str:
    vectors = [vector for vector in bundle.vectors(name) if vector.regime in DECIDING]
    held_to = bundle.manifest.held_to
    try:
        cases = ((vector, bundle.read(vector)) for vector in vectors)
        reason = shortcoming(bundle.manifest.signatures[name], cases)
        if not reason and held_to:
            reason = _of_a_runtime(bundle, name, held_to, vectors)
        return printable(reason)
    except Exception as error:  # whatever a stranger wrote into them
        return f"they cannot be read: {one_line(error)}"


def _of_a_runtime(bundle: Bundle, name: str, held_to: HeldTo, vectors: Sequence[Vector]) -> str:
    """Of a file without its original, the rule says what is allowed, not who made the bundle."""
    [artifact, *others] = bundle.manifest.artifacts
    if others:
        return "it has several artifacts, and no original"
    if bundle.manifest.shader_ops or any(vector.variants for vector in vectors):
        return "it states what shaders or a variant may do, and no original to derive that from"
    for vector in vectors:
        if reason := _beside_references(bundle.read(vector)):
            return f"{vector.case}: {reason}"
    for output, budget in held_to.budgets.get(name, {}).items():
        cases = (bundle.read(vector)[f"reference/{output}"] for vector in vectors)
        allowed = budget_between(cases, artifact.variant)
        if not (allowed and budget.step and math.isclose(budget.step, allowed.step or 0.0)):
            return f"{output} may differ by another step than the rule allows"
        if budget.model_copy(update={"step": allowed.step}) != allowed:
            return f"{output} may differ by more steps than the rule allows"
    return ""


def _beside_references(arrays: Arrays) -> str:
    """What a case states that only an original could tell, or nothing."""
    if {key.split("/")[0] for key in arrays} - {"inputs", "reference", "oracle", "rounding"}:
        return "it has more than inputs and references"
    if any(array.any() for array in in_group(arrays, "rounding").values()):
        return "it has bounds, and no original to derive them from"
    for output, oracle in in_group(arrays, "oracle").items():
        reference = arrays[f"reference/{output}"].astype(np.float64)
        if not np.array_equal(oracle, reference, equal_nan=True):
            return "its oracle is not its reference, and there is no original"
    return ""
