"""Test vectors made again from a bundle's own SavedModel, and compared with those in the bundle."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from portproof.bundle.bundle import Bundle
from portproof.bundle.errors import BundleError, described
from portproof.bundle.manifest import Vector, is_training
from portproof.bundle.tensors import Arrays, in_group
from portproof.vectors.cases import Case
from portproof.vectors.computing import CaseComputer, TestedFunction

# A bound is the largest of some samples, whose signs depend on the last bits of a machine's
# functions: of a whole output it may be larger than ours by this factor, and not more.
BOUND_FACTOR = 1.5
# That of an edge case is a multiple of the reference's own error, which each machine has its own.
EDGE_BOUND_FACTOR = 16.0
LARGEST = 1e30  # a bound from which a value may be anything


def check_vectors(bundle: Bundle, log: Callable[[str], None] = lambda _: None) -> None:
    """Compute every reference, oracle and bound again, and compare.

    Training steps are not in a SavedModel: their vectors are not checked, which `log` is told.

    Raises BundleError where one of them is not what the SavedModel gives on this machine.
    """
    model = bundle.manifest.model
    for name in bundle.manifest.signatures:
        if is_training(name):
            log(f"{model}: {name} is not in the SavedModel, so its vectors are taken as they are")
            continue
        compute = _computer(bundle, name)
        vectors = bundle.vectors(name)
        for vector in vectors:
            for problem in _problems(bundle, vector, compute):
                raise BundleError(
                    f"{bundle.path}: its test vectors are not what its SavedModel gives here: "
                    f"{name} {vector.case}: {problem}. Do not trust it, or export it again."
                )
        log(f"{model}: {name}: {len(vectors)} cases are what its SavedModel gives")


def _computer(bundle: Bundle, signature: str) -> CaseComputer:
    for artifact in bundle.manifest.artifacts:
        if artifact.format == "savedmodel" and signature in artifact.endpoints:
            try:
                loaded = tf.saved_model.load(str(bundle.path / artifact.endpoints[signature].path))
                function = loaded.signatures[signature]
            except Exception as error:
                raise BundleError(f"{bundle.path}: its SavedModel: {described(error)}") from None
            tested = TestedFunction(signature, function, {})
            computer = CaseComputer(tested)
            computer.loaded = loaded  # type: ignore[attr-defined]  # keeps its variables alive
            return computer
    raise BundleError(f"{bundle.path} has no SavedModel of {signature} to compute again.")


def _problems(bundle: Bundle, vector: Vector, compute: CaseComputer) -> Iterator[str]:
    stored = bundle.read(vector)
    with np.errstate(all="ignore"):
        again = compute(Case(vector.regime, vector.case, in_group(stored, "inputs")))
    if again is None:
        yield "the SavedModel refuses its inputs"
        return
    for name, reference in in_group(again, "reference").items():
        given = stored.get(f"reference/{name}")
        if given is None or given.dtype != reference.dtype or given.shape != reference.shape:
            yield f"the reference of {name} is missing, or of another dtype or shape"
        elif f"oracle/{name}" not in again:
            if not np.array_equal(given, reference):
                yield f"the reference of {name} differs"
        else:
            factor = EDGE_BOUND_FACTOR if vector.regime == "edge" else BOUND_FACTOR
            yield from _float_problems(name, stored, again, factor)


def _float_problems(name: str, stored: Arrays, again: Arrays, factor: float) -> Iterator[str]:
    with np.errstate(invalid="ignore", over="ignore"):
        exact, reference = (
            again[f"{group}/{name}"].astype(np.float64) for group in ("oracle", "reference")
        )
        # How far this machine's reference, and any other correct one, may be from the oracle.
        bound = again[f"rounding/{name}"].astype(np.float64)
        bound = np.maximum(bound, np.abs(reference - exact)) + 2.0**-22 * np.abs(reference)
        for group in ("reference", "oracle"):
            given = stored.get(f"{group}/{name}")
            if given is None or given.shape != exact.shape:
                yield f"the {group} of {name} is missing, or of another shape"
                return
            off = np.abs(given.astype(np.float64) - again[f"{group}/{name}"].astype(np.float64))
            beyond = np.isfinite(off) & (off > 2 * bound)
            if beyond.any():
                yield f"the {group} of {name} is off by {off[beyond].max():.3g}"
    for group in ("rounding", "shader"):
        yield from _bound_problems(group, name, stored, again, bound, factor)


def _bound_problems(
    group: str, name: str, stored: Arrays, again: Arrays, floor: Any, factor: float
) -> Iterator[str]:
    given, own = stored.get(f"{group}/{name}"), again.get(f"{group}/{name}")
    if given is None or not given.size:
        return  # none is no larger than any
    ours = np.maximum(own.astype(np.float64) if own is not None else 0.0, floor)
    usual = (ours < LARGEST) & (given < LARGEST)  # the rest is beyond any bound anyway
    size, stored_size = (np.linalg.norm(a[usual].astype(np.float64)) for a in (ours, given))
    if stored_size > factor * size:
        yield f"the {group} bound of {name} is {stored_size / size:.3g} times the one computed here"
    if (given[ours < LARGEST] >= LARGEST).any():
        yield f"a {group} bound of {name} is beyond anything that is computed here"
