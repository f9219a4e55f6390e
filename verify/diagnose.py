"""Where inside the graph a runtime leaves the reference: the first tensor that is not faithful.

What the tensors should be comes from the bundle's SavedModel, whose graph TensorFlow evaluates as
it is and in float64, every tensor by its name; what they are, from the runtime on trial.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from bundle import tensors
from bundle.bundle import Bundle
from bundle.errors import PortproofError, UsageError
from bundle.manifest import Vector
from bundle.signature import TensorSpec
from bundle.tensors import Arrays
from verify.compare import Measure
from verify.metrics import Metrics
from verify.process import Limits, RunnerProcess
from verify.runtimes import select
from verify.runtimes.runtime import Runtime
from verify.trial import Answer, Trial, ask, measure, trials
from verify.verdict import PASSING, Allowance, Verdict, judge

REFERENCE = "tensorflow"


@dataclass(frozen=True)
class Node:
    """A node of the reference's graph."""

    name: str
    op: str
    inputs: tuple[str, ...]


@dataclass(frozen=True)
class Finding:
    """One tensor of the reference that the runtime has too, and how near the runtime's is."""

    node: Node
    verdict: Verdict
    reason: str
    metrics: Metrics | None


@dataclass(frozen=True)
class Diagnosis:
    """What came of one artifact's signature in a runtime on one case.

    `first` is the first tensor that is not faithful; `via` are the ops from the tensors before it
    that could be compared, which `entering` has, to it. `refused` is why nothing was computed, and
    `suspects` the nodes that this names.
    """

    trial: Trial
    case: str
    compared: int = 0
    total: int = 0
    first: Finding | None = None
    via: tuple[str, ...] = ()
    entering: tuple[Finding, ...] = ()
    ranges: Mapping[str, str] = field(default_factory=dict)
    refused: str = ""
    suspects: tuple[Node, ...] = ()

    @property
    def agrees(self) -> bool:
        return self.first is None and not self.refused and self.compared > 0


def diagnose(
    bundle: Bundle, name: str, *, format_: str = "", case: str = "", limits: Limits | None = None
) -> Iterator[Diagnosis]:
    """A diagnosis for each artifact and signature that the runtime `name` knows.

    On the case named, else on the first that is not as it should be, else on the model's own data.
    Raises UsageError where the runtime shows no inner tensors, knows nothing of the bundle, or is
    absent.
    """
    [runtime] = select([name], [])
    [reference] = select([REFERENCE], [])
    _check(runtime, reference)
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
    with _Lab(runtime, reference, limits or Limits()) as lab:
        for trial in chosen:
            yield lab.diagnosis(trial, case)


def _check(runtime: Runtime, reference: Runtime) -> None:
    if not runtime.inspects:
        raise UsageError(
            f"{runtime.name} shows no tensors from inside a model. These do: "
            f"{', '.join(r.name for r in select([], []) if r.inspects)}."
        )
    for needed in (runtime, reference):
        if missing := needed.missing():
            raise UsageError(f"{needed.name} is absent; to have it: {missing}")


class _Lab:
    """The runtime on trial and TensorFlow, each in a process of its own."""

    def __init__(self, runtime: Runtime, reference: Runtime, limits: Limits) -> None:
        self._runtime, self._reference = runtime, reference
        self._suspect = RunnerProcess(runtime.command(), runtime.environment, limits)
        # Every tensor of the graph, many times over, takes longer than a call of the model.
        patient = replace(limits, request=10 * limits.request)
        self._witness = RunnerProcess(reference.command(), reference.environment, patient)

    def __enter__(self) -> "_Lab":
        return self

    def __exit__(self, *_: object) -> None:
        self._suspect.stop()
        self._witness.stop()

    def diagnosis(self, trial: Trial, case: str) -> Diagnosis:
        vector = self._case(trial, case)
        inputs = tensors.grouped(trial.bundle.read(vector), "inputs")
        nodes, ends, right = self._measured(trial, inputs, vector)
        outputs = ask(trial, inputs, self._suspect)
        made = ask(trial, inputs, self._suspect, "tensors")
        if made.error:
            suspects = tuple(_named_in(made.error, nodes))
            return Diagnosis(trial, vector.case, refused=made.error, suspects=suspects)
        theirs = _by_node(made.outputs, nodes, right)
        for name, node in ends.items():  # by the signature: a file may call them what it likes
            if name in outputs.outputs and outputs.outputs[name].shape == _shape(right, node):
                theirs[node] = outputs.outputs[name]
        return _first_departure(trial, vector.case, nodes, right, theirs)

    def _case(self, trial: Trial, wanted: str) -> Vector:
        """The case named; else the first that is wrong; else the first."""
        vectors = [v for v in trial.bundle.vectors(trial.signature) if not v.sweep]
        if wanted:
            found = [vector for vector in vectors if vector.case == wanted]
            if not found:
                raise UsageError(
                    f"there is no case {wanted!r}: they are {', '.join(v.case for v in vectors)}."
                )
            return found[0]
        for vector in vectors:
            arrays = trial.bundle.read(vector)
            answer = ask(trial, tensors.grouped(arrays, "inputs"), self._suspect)
            if not _passes(trial, arrays, answer):
                return vector
        return vectors[0]

    def _measured(
        self, trial: Trial, inputs: Arrays, vector: Vector
    ) -> tuple[list[Node], dict[str, str], Arrays]:
        """The reference's nodes in order, which make the outputs, and what each should give.

        Raises PortproofError where the SavedModel itself is not what was exported: then nothing
        in the bundle says what its inner tensors should be.
        """
        refused = ""
        for witness in _witnesses(trial, self._reference):
            plain = ask(witness, inputs, self._witness)
            if _passes(witness, trial.bundle.read(vector), plain):
                answer = ask(witness, inputs, self._witness, "oracle")
                if not answer.error:
                    nodes = [
                        Node(n["name"], n["op"], tuple(n["inputs"])) for n in answer.about["nodes"]
                    ]
                    return nodes, answer.about["outputs"], answer.outputs
                refused = answer.error
        if refused:
            raise PortproofError(f"TensorFlow does not show the tensors inside: {refused}")
        raise PortproofError(
            "neither the SavedModel nor the checkpoint in its graph gives the original's outputs "
            f"for {vector.case} in TensorFlow, so nothing here says what the tensors inside should "
            "be. Export the model again."
        )


def _witnesses(trial: Trial, reference: Runtime) -> list[Trial]:
    """Who can say what the tensors should be: the SavedModel, and the checkpoint in its graph."""
    known = [t for t in trials([trial.bundle], reference) if t.signature == trial.signature]
    order = ("savedmodel", "checkpoint")
    return sorted(known, key=lambda t: order.index(t.artifact.format))


def _passes(trial: Trial, arrays: Arrays, answer: Answer) -> bool:
    if answer.error or set(answer.outputs) != set(trial.outputs):
        return False
    specs = trial.bundle.manifest.signatures[trial.signature].outputs
    for name, spec in specs.items():
        held_to = measure(arrays, name, trial.artifact.variant)
        if judge(answer.outputs[name], spec, held_to, trial.allowance(name))[0] not in PASSING:
            return False
    return True


def _first_departure(
    trial: Trial, case: str, nodes: list[Node], right: Arrays, theirs: Arrays
) -> Diagnosis:
    """Compare tensor by tensor, in the order of computation.

    A converter may rearrange a sum, so that a name stands for another part of it. Then what is
    computed from it is right again: only what stays wrong is a departure.
    """
    shaded = trial.allowance("").shaded
    found: dict[str, Finding] = {}
    for node in nodes:
        # TensorFlow's own copies of what goes into a function and comes out of it.
        if node.name not in theirs or node.name.startswith("Func/"):
            continue
        found[node.name] = _compared(node, theirs[node.name], right, Allowance(shaded=shaded))
    good = {name for name, finding in found.items() if finding.verdict in PASSING}
    # A shape or a decision may be right of numbers that are not.
    healed = _healed(nodes, {name for name in good if f"oracle/{name}" in right})
    departed = (f for f in found.values() if f.verdict not in PASSING)
    first = next((f for f in departed if f.node.name not in healed), None)
    total = sum(name.startswith("reference/") for name in right)
    if first is None:
        return Diagnosis(trial, case, compared=len(found), total=total)
    known = {node.name: node for node in nodes}
    via, before = _back(first.node, known, found)
    return Diagnosis(
        trial,
        case,
        compared=len(found),
        total=total,
        first=first,
        via=tuple(via),
        entering=tuple(found[name] for name in before if name in found),
        ranges={name: _range(right[f"reference/{name}"]) for name in _given(before, right)},
    )


def _healed(nodes: list[Node], good: set[str]) -> set[str]:
    """The nodes of which something is made that is as it should be."""
    healed: set[str] = set()
    for node in reversed(nodes):
        if node.name in good or node.name in healed:
            healed.update(node.inputs)
    return healed


def _shape(right: Arrays, node: str) -> tuple[int, ...] | None:
    reference = right.get(f"reference/{node}")
    return None if reference is None else reference.shape


def _given(names: list[str], right: Arrays) -> list[str]:
    return [name for name in names if f"reference/{name}" in right]


def _compared(node: Node, got: Any, right: Arrays, allowance: Allowance) -> Finding:
    held_to: Measure = measure(right, node.name)
    reference = held_to.reference
    # A runtime without int64 has int32 inside; at the outputs this would be another dtype.
    got = got.astype(reference.dtype) if reference.dtype.kind in "iu" else got
    spec = TensorSpec(dtype=reference.dtype.name, shape=reference.shape)
    verdict, reason, metrics = judge(got, spec, held_to, allowance)
    return Finding(node, verdict, reason, metrics)


# What is computed from nothing: an input, or a weight.
_GIVEN = {"Const", "Placeholder", "ReadVariableOp"}


def _back(
    node: Node, known: Mapping[str, Node], found: Mapping[str, Finding]
) -> tuple[list[str], list[str]]:
    """The ops on the way to a node from what was compared before it, and those tensors' names.

    A runtime that fuses ops has no tensors between them.
    """
    ops, before, left, seen = [], [], [node], set()
    while left:
        current = left.pop(0)
        ops.append(current.op)
        for name in current.inputs:
            if name in seen:
                continue
            seen.add(name)
            through = known[name]
            if name in found or through.op in _GIVEN or not through.inputs:
                before.append(name)
            else:
                left.append(through)
    return [op for op in reversed(ops) if op != "Identity"] or ["Identity"], before


def _by_node(made: Arrays, nodes: list[Node], right: Arrays) -> Arrays:
    """A runtime's tensors by the names of the reference's nodes, where name and shape agree.

    TF.js keeps TensorFlow's names. A TFLite file leaves out the function's own, and names what it
    fused after all of its parts (`a;b;c`), of which the last computed is what the tensor holds.
    """
    places = {node.name: n for n, node in enumerate(nodes)}
    plain = {_plain(node.name): node.name for node in nodes}
    found: Arrays = {}
    for name, array in made.items():
        parts = [plain[part] for p in name.split(";") if (part := _plain(p)) in plain]
        for node in sorted(parts, key=places.__getitem__, reverse=True):
            reference = right.get(f"reference/{node}")
            if reference is not None and reference.shape == array.shape:
                found[node] = array
                break
    return found


def _plain(name: str) -> str:
    """A tensor's name without the functions that it is in."""
    return re.sub(r"^(?:(?:Stateful)?PartitionedCall(?:_\d+)?/)+", "", name.removesuffix(":0"))


def _named_in(error: str, nodes: list[Node]) -> Iterator[Node]:
    """The nodes that an error speaks of: by their name, or else by their op's."""
    named = [node for node in nodes if len(_plain(node.name)) > 3 and _plain(node.name) in error]
    if named:
        yield max(named, key=lambda node: len(node.name))
        return
    words = {_letters(word) for word in error.replace("(", " ").replace("'", " ").split()}
    yield from (node for node in nodes if _letters(node.op) in words - {"const", "identity"})


def _letters(word: str) -> str:
    """An op's name without what tells runtimes' spellings apart: FULLY_CONNECTED, FlexErf."""
    return "".join(c for c in word.lower() if c.isalnum()).removeprefix("flex")


def _range(array: Any) -> str:
    """`float32[24, 6] from -7.1 to 12.3`."""
    what = f"{array.dtype}{list(array.shape)}"
    if not array.size or array.dtype == np.bool_:
        return what
    with np.errstate(invalid="ignore"):
        return f"{what} from {np.nanmin(array):g} to {np.nanmax(array):g}"
