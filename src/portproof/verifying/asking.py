"""One call of an artifact through a runner, by the signature's names."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np

from portproof.bundle.tensors import Arrays
from portproof.runtimes.process import RunnerError, RunnerGoneError, RunnerTimeoutError
from portproof.runtimes.protocol import Answer, Inspect, Node, Refusal, Request
from portproof.runtimes.runner import Runner
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
        gone: Whether nobody was there to answer.
        load: How many seconds loading the artifact took, where the runner tells it.
        nodes: As of an `Answer`.
        output_nodes: As of an `Answer`.
    """

    outputs: Arrays = field(default_factory=dict)
    seconds: float = 0.0
    note: str = ""
    error: str = ""
    lacks: str = ""
    late: bool = False
    gone: bool = False
    load: float | None = None
    nodes: tuple[Node, ...] = ()
    output_nodes: dict[str, str] = field(default_factory=dict)


def ask(
    trial: Trial,
    inputs: Arrays,
    runner: Runner,
    inspect: Inspect = "",
    timed: bool = False,
    largest: float = math.inf,
    nodes: Sequence[str] = (),
    fed: Mapping[str, np.ndarray[Any, Any]] = MappingProxyType({}),
) -> CallResult:
    """Have a runner compute one case.

    Args:
        trial: What is to be run.
        inputs: Arrays by the signature's names.
        runner: The runtime's process.
        inspect: Asks for the tensors inside the model instead of the outputs.
        timed: Lets the runner leave out what proves the backend and costs time.
        largest: How many bytes the outputs may have.
        nodes: As of a `Request`.
        fed: By node, what these nodes are taken to give.
    """
    takes_one_row = trial.artifact.name in trial.runtime.one_row or not trial.endpoint.dynamic
    endpoint = trial.endpoint
    forms = (*endpoint.input_forms.values(), *endpoint.output_forms.values())
    each_alone = any(form.one_row for form in forms)
    # Without the axis of the rows it is called for each row here, and not by the runner.
    by_row = trial.signature.batched and takes_one_row and not each_alone
    path = trial.endpoint.one_row if by_row else trial.endpoint.path
    if path is None:
        return CallResult(
            error="takes no dynamic dimension, and the artifact has no other form",
            lacks="a dynamic number of rows",
        )
    if (by_row or each_alone) and trial.rows_depend and len(next(iter(inputs.values()))) != 1:
        return CallResult(
            error="takes one row at a time",
            lacks="batches whose rows depend on each other",
        )
    if inspect:  # tensors keep their own names
        endpoint = endpoint.model_copy(update={"outputs": {}, "output_forms": {}})
    request = _request(trial, path, by_row, inspect, timed)
    request = request.model_copy(update={"nodes": tuple(nodes)})
    calls = _Calls(trial, runner, request, largest, {f"fed/{n}": a for n, a in fed.items()})
    try:
        outputs = endpoint.translated(calls, trial.signature)(inputs)
    except _RefusedError as error:
        return CallResult(error=str(error), lacks=trial.runtime.lack_in(str(error)))
    except RunnerError as error:  # a runner that died says nothing of itself
        late, gone = (isinstance(error, kind) for kind in (RunnerTimeoutError, RunnerGoneError))
        return CallResult(error=str(error), late=late, gone=gone)
    except (ValueError, IndexError, ArithmeticError, TypeError) as error:  # of the forms
        return CallResult(error=str(error), lacks=trial.runtime.lack_in(str(error)))
    first = calls.answers[0]
    return CallResult(
        outputs,
        sum(answer.seconds for answer in calls.answers),
        first.note,
        load=first.load,
        nodes=first.nodes,
        output_nodes=first.output_nodes,
    )


class _RefusedError(Exception):
    """What a runner said instead of an answer."""


@dataclass
class _Calls:
    """Calls of an artifact by its own names. Raises RunnerError and _RefusedError."""

    trial: Trial
    runner: Runner
    request: Request
    largest: float
    fed: Arrays
    answers: list[Answer] = field(default_factory=list)

    def __call__(self, inputs: Arrays) -> Arrays:
        answer, outputs = self.runner.compute(self.request, {**inputs, **self.fed}, self.largest)
        if isinstance(answer, Refusal):
            raise _RefusedError(answer.error)
        if self.trial.runtime.backend not in ("", answer.backend):
            raise RunnerError(f"computed by the backend {answer.backend!r} instead")
        self.answers.append(answer)
        self.largest -= sum(array.nbytes for array in outputs.values())  # of all calls together
        return outputs


def _request(trial: Trial, path: str, by_row: bool, inspect: Inspect, timed: bool) -> Request:
    bundle, artifact = trial.bundle, trial.artifact
    return Request(
        artifact=str(bundle.artifact_path(path)),
        format=artifact.format,
        graph=str(bundle.artifact_path(artifact.graph)) if artifact.graph else None,
        signature=own if (own := trial.endpoint.signature) is not None else trial.signature_name,
        signatures=len(artifact.endpoints),
        by_row=by_row,
        options=dict(trial.runtime.options),
        inspect=inspect,
        timed=timed,
    )
