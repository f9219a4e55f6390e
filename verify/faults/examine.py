"""Runs an artifact on its test vectors, and records how every judge decides on every output.

A judge is Portproof or one of the common tolerances of tolerances.py.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from portproof.bundle import tensors
from portproof.bundle.bundle import Bundle
from portproof.bundle.manifest import DECIDING, Regime, Vector
from portproof.bundle.verdicts import Verdict, worst
from portproof.comparing.judging import expected_of, judge, mean_share, unexpected_names
from portproof.runtimes.process import Limits
from portproof.runtimes.runner import Runner
from portproof.runtimes.runtime import Runtime
from portproof.runtimes.table import RUNTIMES
from portproof.verifying.asking import CallResult, ask
from portproof.verifying.trial import Trial
from verify.faults.tolerances import TOLERANCES, rejecting_tolerances

PORTPROOF = "Portproof"
JUDGES = (PORTPROOF, *TOLERANCES)
NOT_PASSING = ("wrong", "failed")

OutputKey = tuple[Regime, str, str]  # regime, case, output


@dataclass
class Observation:
    """What was observed of one artifact in one runtime.

    Attributes:
        verdict: The worst verdict in the regimes that decide the exit status.
        reason: The reason of that verdict.
        bound_ratio: The largest error, in units of what is allowed of an element.
        mean_share: The largest mean error, in units of what is allowed of a mean.
        flagged: For each judge, the outputs that it did not accept.
    """

    verdict: Verdict = "exact"
    reason: str = ""
    bound_ratio: float = 0.0
    mean_share: float = 0.0
    flagged: dict[str, set[OutputKey]] = field(
        default_factory=lambda: {judge: set() for judge in JUDGES}
    )

    def flagged_in_deciding(self, judge: str) -> bool:
        """Whether a judge flagged an output in a regime that decides the exit status."""
        return any(regime in DECIDING for regime, _, _ in self.flagged[judge])

    def flagged_beyond(self, undamaged: "Observation", judge: str) -> set[OutputKey]:
        """The outputs that a judge flagged here but not in the undamaged artifact."""
        return self.flagged[judge] - undamaged.flagged[judge]


class Runners:
    """Runner processes, one for each command: started when first needed, stopped together."""

    def __init__(self) -> None:
        self._running: dict[object, Runner] = {}

    def of(self, runtime: Runtime) -> Runner:
        if runtime.process not in self._running:
            self._running[runtime.process] = runtime.runner(Limits(start=180, request=300))
        return self._running[runtime.process]

    def stop(self) -> None:
        for runner in self._running.values():
            runner.stop()
        self._running.clear()


def runtime_named(name: str) -> Runtime:
    return next(runtime for runtime in RUNTIMES if runtime.name == name)


def examine(
    bundle: Bundle,
    format_: str,
    runtime: Runtime,
    runners: Runners,
    regimes: Iterable[Regime] = ("typical", "batch", "edge"),
    shuffle: bool = False,
) -> Observation:
    """Run the only artifact of a format in a runtime. `shuffle` changes the order of the rows."""
    observation = Observation()
    [artifact] = [a for a in bundle.manifest.artifacts if a.format == format_]
    for signature, endpoint in artifact.endpoints.items():
        trial = Trial(bundle, artifact, signature, endpoint, runtime)
        for vector in bundle.vectors(signature):
            if vector.regime in regimes:
                arrays = bundle.read(vector)
                inputs = tensors.in_group(arrays, "inputs")
                answer = _ask(trial, inputs, runners.of(runtime), shuffle)
                _judge_outputs(observation, trial, vector, arrays, answer)
    return observation


def _ask(trial: Trial, inputs: tensors.Arrays, runner: Runner, shuffle: bool) -> CallResult:
    """Run one case. Shuffled rows are put back in their first order in the answer."""
    output_specs = trial.bundle.manifest.signatures[trial.signature_name].outputs.values()
    by_row = trial.signature.batched and all(spec.shape[:1] == (None,) for spec in output_specs)
    rows = len(next(iter(inputs.values()))) if by_row else 0
    if not shuffle or rows < 2:
        return ask(trial, inputs, runner)
    order = np.random.default_rng(rows).permutation(rows)
    answer = ask(trial, {name: array[order] for name, array in inputs.items()}, runner)
    original_order = np.argsort(order)
    answer.outputs = {name: array[original_order] for name, array in answer.outputs.items()}
    return answer


def _judge_outputs(
    observation: Observation,
    trial: Trial,
    vector: Vector,
    arrays: Mapping[str, np.ndarray],
    answer: CallResult,
) -> None:
    """Add to the observation how every judge decides on every output of one case."""
    specs = trial.bundle.manifest.signatures[trial.signature_name].outputs
    problem = answer.error or unexpected_names(answer.outputs, set(specs))
    for name, spec in specs.items():
        key = (vector.regime, vector.case, name)
        if problem:
            _add_verdict(observation, key, "failed" if answer.error else "wrong", problem)
            for tolerance in TOLERANCES:
                observation.flagged[tolerance].add(key)
            continue
        expected = expected_of(dict(arrays), name, trial.artifact.group)
        output = answer.outputs.get(name)
        verdict, reason, metrics = judge(output, spec, expected, trial.allowance(name))
        _add_verdict(observation, key, verdict, reason)
        if metrics and vector.regime in DECIDING:
            observation.bound_ratio = max(observation.bound_ratio, metrics.bound_ratio or 0.0)
            observation.mean_share = max(observation.mean_share, mean_share(metrics))
        for tolerance in rejecting_tolerances(output, expected.reference):
            observation.flagged[tolerance].add(key)


def _add_verdict(observation: Observation, key: OutputKey, verdict: Verdict, reason: str) -> None:
    regime, case, _ = key
    if verdict in NOT_PASSING:
        observation.flagged[PORTPROOF].add(key)
    if regime in DECIDING and worst([verdict, observation.verdict]) != observation.verdict:
        observation.verdict, observation.reason = verdict, f"{case}: {reason}"
