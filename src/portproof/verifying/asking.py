"""One call of an artifact through a runner, by the signature's names."""

import math
from dataclasses import dataclass, field

from portproof.bundle.tensors import Arrays
from portproof.runtimes.process import RunnerError, RunnerProcess, RunnerTimeoutError
from portproof.runtimes.protocol import Inspect, Node, Refusal, Request
from portproof.verifying.trial import Trial


@dataclass
class CallResult:
    """What a runner gave for one call.

    Attributes:
        outputs: By the signature's names; of an inspection, tensors by their own names.
        seconds: How long the runtime computed.
        note: What the runner noted.
        error: Why there are no outputs.
        lacks: What the runtime lacks, where it says that itself.
        late: Whether the time limit passed.
        load: How many seconds loading the artifact took, where the runner tells it.
        nodes: Of `oracle`, the graph's nodes in the order of computation.
        output_nodes: Of `oracle`, the node of each output.
    """

    outputs: Arrays = field(default_factory=dict)
    seconds: float = 0.0
    note: str = ""
    error: str = ""
    lacks: str = ""
    late: bool = False
    load: float | None = None
    nodes: tuple[Node, ...] = ()
    output_nodes: dict[str, str] = field(default_factory=dict)


def ask(
    trial: Trial,
    inputs: Arrays,
    runner: RunnerProcess,
    inspect: Inspect = "",
    timed: bool = False,
    largest: float = math.inf,
) -> CallResult:
    """Have a runner compute one case.

    Args:
        trial: What is to be run.
        inputs: Arrays by the signature's names.
        runner: The runtime's process.
        inspect: Asks for the tensors inside the model instead of the outputs.
        timed: Lets the runner leave out what proves the backend and costs time.
        largest: How many bytes the outputs may have.
    """
    takes_one_row = trial.artifact.name in trial.runtime.one_row or not trial.endpoint.dynamic
    by_row = trial.signature.batched and takes_one_row
    path = trial.endpoint.one_row if by_row else trial.endpoint.path
    if path is None:
        return CallResult(
            error="takes no dynamic dimension, and the artifact has no other form",
            lacks="a dynamic number of rows",
        )
    if by_row and trial.rows_depend and len(next(iter(inputs.values()))) != 1:
        return CallResult(
            error="takes one row at a time",
            lacks="batches whose rows depend on each other",
        )
    names = trial.endpoint.inputs
    request = _request(trial, path, by_row, inspect, timed)
    try:
        named = {names[key]: array for key, array in inputs.items()}
        answer, outputs = runner.compute(request, named, largest)
    except RunnerError as error:  # a runner that died says nothing of itself
        return CallResult(error=str(error), late=isinstance(error, RunnerTimeoutError))
    if isinstance(answer, Refusal):
        return CallResult(error=answer.error, lacks=trial.runtime.lack_in(answer.error))
    if trial.runtime.backend and answer.backend != trial.runtime.backend:
        return CallResult(error=f"computed by the backend {answer.backend!r} instead")
    if not inspect:
        signature_names = {file_name: name for name, file_name in trial.endpoint.outputs.items()}
        renamed = {signature_names.get(name, name): array for name, array in outputs.items()}
        if len(renamed) < len(outputs):
            return CallResult(error=f"two outputs of one name among {', '.join(outputs)}")
        outputs = renamed
    return CallResult(
        outputs,
        answer.seconds,
        answer.note,
        load=answer.load,
        nodes=answer.nodes,
        output_nodes=answer.output_nodes,
    )


def _request(trial: Trial, path: str, by_row: bool, inspect: Inspect, timed: bool) -> Request:
    bundle, artifact = trial.bundle, trial.artifact
    return Request(
        artifact=str(bundle.artifact_path(path)),
        format=artifact.format,
        graph=str(bundle.artifact_path(artifact.graph)) if artifact.graph else None,
        signature=trial.signature_name,
        signatures=len(artifact.endpoints),
        by_row=by_row,
        options=dict(trial.runtime.options),
        inspect=inspect,
        timed=timed,
    )
