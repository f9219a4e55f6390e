"""Diagnoses: where inside the graph a runtime leaves the reference.

The right values of the tensors inside come from the bundle's SavedModel, whose graph TensorFlow
evaluates as it is and in float64, every tensor by its name. Of a file that nobody has the original
of they are what the runtime gives that it is held to. Their values in the runtime on trial come
from its runner.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from portproof.bundle.bundle import Bundle
from portproof.bundle.errors import BundleError, UsageError
from portproof.bundle.manifest import Vector
from portproof.bundle.tensors import Arrays, in_group
from portproof.bundle.verdicts import PASSING
from portproof.comparing.agreement import LARGEST, allowed_mean
from portproof.comparing.judging import expected_of, judge
from portproof.runtimes.process import Limits
from portproof.runtimes.runtime import Runtime
from portproof.runtimes.table import select
from portproof.sandbox.sandbox import Sandbox, sandbox_if_possible
from portproof.verifying.asking import CallResult, ask
from portproof.verifying.departures import find_departure
from portproof.verifying.diagnosis import Diagnosis
from portproof.verifying.node_names import in_layout_of, named_in, own_names
from portproof.verifying.noise import noise_of_layers, signal_to_noise
from portproof.verifying.trial import Trial, trials

REFERENCE = "tensorflow"
# The artifacts that can tell the right values: the SavedModel, and the checkpoint in its graph.
REFERENCE_FORMATS = ("savedmodel", "checkpoint")
# How many rows the noise of a variant's layers is told by.
_NOISE_ROWS = 8


def diagnose_bundle(
    bundle: Bundle, name: str, *, format_: str = "", case: str = "", limits: Limits | None = None
) -> Iterator[Diagnosis]:
    """A diagnosis for each artifact and signature that the runtime `name` knows.

    On the case named, else on the first that is not as it should be, else on the model's own data.
    Raises UsageError where the runtime shows no inner tensors, knows nothing of the bundle, or is
    absent.
    """
    held_to = bundle.manifest.held_to
    [runtime] = select([name], [])
    [reference] = select([held_to.runtime if held_to else REFERENCE], [])
    _check_runtimes(runtime, reference)
    with sandbox_if_possible() as box:
        bundle = box.admitted(bundle) if box else bundle
        chosen = [
            trial
            for trial in trials([bundle], runtime)
            if trial.artifact.name in runtime.inspects and format_ in ("", trial.artifact.name)
        ]
        if not chosen:
            raise UsageError(
                f"{bundle.path} has nothing for {name} to show: it shows the tensors of "
                f"{', '.join(runtime.inspects)}."
            )
        with _Runners(runtime, reference, limits or Limits(), box) as runners:
            for trial in chosen:
                yield runners.diagnose(trial, case)


def _check_runtimes(runtime: Runtime, reference: Runtime) -> None:
    if not runtime.inspects:
        raise UsageError(
            f"{runtime.name} shows no tensors from inside a model. These do: "
            f"{', '.join(r.name for r in select([], []) if r.inspects)}."
        )
    if runtime.name == reference.name != REFERENCE:
        raise UsageError(f"it is held to {runtime.name} itself: name another runtime.")
    if not reference.inspects:
        raise UsageError(f"{reference.name}, to which it is held, shows no tensors from inside.")
    for needed in (runtime, reference):
        if missing := needed.missing():
            raise UsageError(f"{needed.name} is absent; to have it: {missing}")


class _Runners:
    """The runtime on trial and the reference, TensorFlow, each in a process of its own."""

    def __init__(
        self, runtime: Runtime, reference: Runtime, limits: Limits, box: Sandbox | None
    ) -> None:
        self._reference = reference
        self._on_trial = runtime.runner(limits, box)
        # Every tensor of the graph, many times over, takes longer than a call of the model.
        longer = replace(limits, request=10 * limits.request)
        self._right = reference.runner(longer, box)

    def __enter__(self) -> "_Runners":
        return self

    def __exit__(self, *_: object) -> None:
        self._on_trial.stop()
        self._right.stop()

    def diagnose(self, trial: Trial, case: str) -> Diagnosis:
        """Compare each tensor with its right value; of a variant, tell its layers' noise."""
        vector = self._case(trial, case)
        inputs = in_group(trial.bundle.read(vector), "inputs")
        variant = trial.is_variant
        if variant:
            inputs = _first_rows(trial, inputs)
        reference, right = self._right_values(trial, vector, inputs, bounds=not variant)
        values = right.outputs if variant else in_group(right.outputs, "reference")
        inner = ask(trial, inputs, self._on_trial, "tensors")
        if inner.error:
            suspects = tuple(named_in(inner.error, list(right.nodes)))
            return Diagnosis(trial, vector.case, refused=inner.error, suspects=suspects)
        found = _match(right, values, inner.outputs, ask(trial, inputs, self._on_trial).outputs)
        if variant:
            noise = self._noise(reference, inputs, right, found)
            return replace(
                noise, trial=trial, case=vector.case, passes=self._is_right(trial, vector)
            )
        nodes = list(right.nodes)
        return find_departure(trial, vector.case, nodes, right.outputs, found.tensors, found.names)

    def _noise(
        self, reference: Trial, inputs: Arrays, right: CallResult, found: "_Matched"
    ) -> Diagnosis:
        """The noise of each layer of a variant.

        Args:
            reference: What computes the original.
            inputs: What of.
            right: Its nodes and their values.
            found: The variant's values.
        """

        def evaluate(nodes: Sequence[str], fed: Arrays) -> Arrays:
            result = ask(reference, inputs, self._right, "tensors", nodes=nodes, fed=fed)
            if result.error:
                raise BundleError(f"TensorFlow does not compute the layers alone: {result.error}")
            return result.outputs

        layers, tensors = reference.bundle.manifest.layers, found.tensors
        outputs = {name: right.output_nodes[name] for name in reference.outputs}
        noise = noise_of_layers(
            right.nodes, layers, right.outputs, tensors, outputs, found.names, evaluate
        )
        whole = {
            name: signal_to_noise(right.outputs[node], tensors[node])
            for name, node in outputs.items()
            if node in tensors and right.outputs[node].dtype.kind == "f"
        }
        compared, total = len(tensors), len(right.outputs)
        return Diagnosis(
            reference, "", compared=compared, total=total, noise=tuple(noise), whole=whole
        )

    def _case(self, trial: Trial, case: str) -> Vector:
        """The case named; else the first that is wrong; else, and of a variant, the first."""
        vectors = [v for v in trial.bundle.vectors(trial.signature_name) if not v.sweep]
        if case:
            for vector in vectors:
                if vector.case == case:
                    return vector
            names = ", ".join(vector.case for vector in vectors)
            raise UsageError(f"there is no case {case!r}: they are {names}.")
        for vector in [] if trial.is_variant else vectors:
            if not self._is_right(trial, vector):
                return vector
        return vectors[0]

    def _is_right(self, trial: Trial, vector: Vector) -> bool:
        """Whether the runtime on trial gives the outputs of a case as they should be."""
        arrays = trial.bundle.read(vector)
        return _passes(trial, arrays, ask(trial, in_group(arrays, "inputs"), self._on_trial))

    def _right_values(
        self, trial: Trial, vector: Vector, inputs: Arrays, *, bounds: bool
    ) -> tuple[Trial, CallResult]:
        """The reference's nodes in order, which make the outputs, and the right value of each.

        And what gave them: the SavedModel, or the checkpoint in its graph.

        Args:
            trial: What is diagnosed.
            vector: A case, of which the reference has to give the outputs.
            inputs: What the values are computed of.
            bounds: Whether to have the values in float64 too, and what rounding may do to them.

        Raises BundleError where the SavedModel itself is not what was exported: then nothing
        in the bundle tells the right values of its inner tensors.
        """
        if trial.bundle.manifest.held_to:
            return self._of_other_runtime(trial, inputs)
        refused = ""
        for other in _reference_trials(trial, self._reference):
            arrays = trial.bundle.read(vector)
            plain = ask(other, in_group(arrays, "inputs"), self._right)
            if _passes(other, arrays, plain):
                result = ask(other, inputs, self._right, "oracle" if bounds else "tensors")
                if not result.error:
                    return other, result
                refused = result.error
        if refused:
            raise BundleError(f"TensorFlow does not show the tensors inside: {refused}")
        raise BundleError(
            "neither the SavedModel nor the checkpoint in its graph gives the original's outputs "
            f"for {vector.case} in TensorFlow, so nothing here says what the tensors inside should "
            "be. Export the model again."
        )

    def _of_other_runtime(self, trial: Trial, inputs: Arrays) -> tuple[Trial, CallResult]:
        """What the runtime that the file is held to gives inside, and how near others must be."""
        other = replace(trial, runtime=self._reference)
        result = ask(other, inputs, self._right, "tensors")
        if result.error:
            raise BundleError(f"{other.runtime.name} does not show what is inside: {result.error}")
        arrays: Arrays = {}
        for name, array in result.outputs.items():
            arrays[f"reference/{name}"] = array
            if array.dtype.kind == "f":
                allowed = LARGEST * allowed_mean([array], trial.artifact.variant)
                arrays[f"oracle/{name}"] = array.astype(np.float64)
                arrays[f"rounding/{name}"] = np.full_like(array, allowed)
        return other, replace(result, outputs=arrays)


def _first_rows(trial: Trial, inputs: Arrays) -> Arrays:
    """Rows enough to tell noise by, whose tensors inside a large model fit into memory."""
    if not trial.signature.batched or trial.rows_depend:
        return inputs
    return {name: array[:_NOISE_ROWS] for name, array in inputs.items()}


@dataclass(frozen=True)
class _Matched:
    """An artifact's tensors by the reference's nodes, and the artifact's own names of them."""

    tensors: Arrays
    names: dict[str, str]


def _match(right: CallResult, values: Arrays, inner: Arrays, outputs: Arrays) -> _Matched:
    """Match by name, and outputs by the signature's names: a file may call them anything.

    Args:
        right: The reference's nodes.
        values: Their right values.
        inner: The artifact's tensors, by their own names.
        outputs: Its outputs, by the signature's.
    """
    names = own_names(inner, list(right.nodes), values)
    tensors = {node: in_layout_of(values[node], inner[name]) for node, name in names.items()}
    for name, node in right.output_nodes.items():
        expected = values.get(node)
        if name in outputs and expected is not None and outputs[name].shape == expected.shape:
            tensors[node] = outputs[name]
            names.setdefault(node, _own_name(outputs[name], inner, names.values()))
    return _Matched(tensors, names)


def _own_name(output: Any, inner: Arrays, known: Collection[str]) -> str:
    """The file's own name of an output: that of the one tensor inside with its numbers, or none."""
    same = [
        name
        for name, array in inner.items()
        if name not in known and array.dtype == output.dtype and np.array_equal(array, output)
    ]
    return same[0] if len(same) == 1 else ""


def _reference_trials(trial: Trial, reference: Runtime) -> list[Trial]:
    """The same signature in the formats that can tell the right values, in their order."""
    others = trials([trial.bundle], reference)
    same = [other for other in others if other.signature_name == trial.signature_name]
    return sorted(same, key=lambda other: REFERENCE_FORMATS.index(other.artifact.format))


def _passes(trial: Trial, arrays: Arrays, result: CallResult) -> bool:
    """Whether every output of a case is as it should be."""
    if result.error or set(result.outputs) != set(trial.outputs):
        return False
    for name, spec in trial.signature.outputs.items():
        expected = expected_of(arrays, name, trial.artifact.group)
        verdict, _, _ = judge(result.outputs[name], spec, expected, trial.allowance(name))
        if verdict not in PASSING:
            return False
    return True
