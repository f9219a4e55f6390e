"""A bundle -> all that a browser computes of it: for a page with no server of ours behind it.

The calls are those that the verifier makes, to the byte, so that what comes back can be judged as
if the verifier had asked.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from portproof.bundle import tensors
from portproof.bundle.bundle import Bundle
from portproof.bundle.manifest import DECIDING, Vector
from portproof.bundle.tensors import Arrays, in_group
from portproof.devices.runtimes import DeviceRuntime
from portproof.runtimes.process import RunnerError
from portproof.runtimes.protocol import Answer, Refusal, Request
from portproof.verifying.asking import ask
from portproof.verifying.selecting import Rows
from portproof.verifying.trial import Trial, trials


@dataclass(frozen=True)
class Call:
    """One call of an artifact, and the case of the test vectors that it is of.

    Attributes:
        key: What its answer is found by.
        trial: What is on trial.
        vector: The case.
        arrays: The case's arrays, of the rows that are asked for.
        request: What is asked.
        inputs: The inputs, by the artifact's own names.
    """

    key: str
    trial: Trial
    vector: Vector
    arrays: Arrays
    request: Request
    inputs: Arrays


def calls_of(bundle: Bundle, runtimes: Sequence[DeviceRuntime]) -> Iterator[Call]:
    """The calls of what decides, one after the other.

    An artifact that takes one row where its signature takes several (somebody else's file) is
    called once for each: these calls are not here, and are `absent` in the report.
    """
    numbering = Numbering(bundle)
    for runtime in runtimes:
        for trial in trials([bundle], runtime):
            rows = Rows(trial)
            for vector in _deciding(bundle, trial.signature_name):
                arrays = rows.of(vector)
                if arrays is None:
                    continue
                recorder = _Recorder()
                ask(trial, in_group(arrays, "inputs"), recorder)
                for request, inputs in recorder.asked:
                    key = numbering.key(request, inputs)
                    yield Call(key, trial, vector, arrays, request, inputs)


@dataclass
class Numbering:
    """What each call's answer is found by: a digest of what is asked, and how often it was before.

    A case may repeat another, to find what keeps something from one call to the next.
    """

    bundle: Bundle
    _asked: Counter[str] = field(default_factory=Counter)

    def key(self, request: Request, inputs: Arrays) -> str:
        """The key of the next call."""
        asked = request.model_dump(include={"format", "signature", "by_row", "options"})
        digest = hashlib.sha256(json.dumps([path_in(self.bundle, request), asked]).encode())
        digest.update(tensors.to_bytes(inputs))
        found = digest.hexdigest()[:32]
        self._asked[found] += 1
        return f"{found}-{self._asked[found]}"


def path_in(bundle: Bundle, request: Request) -> str:
    """The path of a request's artifact in its bundle."""
    return Path(request.artifact).relative_to(bundle.artifact_path("")).as_posix()


def _deciding(bundle: Bundle, signature: str) -> list[Vector]:
    vectors = bundle.vectors(signature)
    return [v for regime in DECIDING for v in vectors if v.regime == regime]


@dataclass
class _Recorder:
    """A runner that notes what it is asked, and answers nothing."""

    asked: list[tuple[Request, Arrays]] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)
    peak_memory: int = 0

    def start_if_needed(self) -> None: ...

    def compute(
        self,
        request: Request,
        inputs: Arrays,
        largest: float = 0,  # noqa: ARG002
    ) -> tuple[Answer | Refusal, Arrays]:
        self.asked.append((request, inputs))
        raise RunnerError("it was noted")

    def reset_peak_memory(self) -> None:
        """Nothing, as of the others: it runs nothing."""

    def stop(self) -> None: ...

    def close(self) -> None: ...
