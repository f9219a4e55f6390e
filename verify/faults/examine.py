"""Runs an artifact on its vectors, and keeps what every judge says of every output."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from portproof.bundle import tensors
from portproof.bundle.bundle import Bundle
from portproof.bundle.manifest import DECIDING, Regime, Vector
from portproof.bundle.verdicts import Verdict, worst
from portproof.comparing.judging import expected_of, judge, mean_share, unexpected_names
from portproof.runtimes.process import Limits, RunnerProcess
from portproof.runtimes.runtime import Runtime
from portproof.runtimes.table import RUNTIMES
from portproof.verifying.asking import CallResult, ask
from portproof.verifying.trial import Trial
from verify.faults.tolerances import TOLERANCES, flags

OURS = "Portproof"
JUDGES = (OURS, *TOLERANCES)
BAD = ("wrong", "failed")


@dataclass
class Seen:
    """What one artifact in one runtime looked like.

    `flagged` has, for each judge, the outputs of cases that it did not let pass, by regime.
    """

    verdict: Verdict = "exact"
    reason: str = ""
    bound_ratio: float = 0.0
    mean_share: float = 0.0
    flagged: dict[str, set[tuple[Regime, str, str]]] = field(
        default_factory=lambda: {judge: set() for judge in JUDGES}
    )

    def counted(self, judge: str) -> bool:
        """Whether a judge flagged what decides the exit status."""
        return any(regime in DECIDING for regime, _, _ in self.flagged[judge])

    def beyond(self, right: "Seen", judge: str) -> set[tuple[Regime, str, str]]:
        """What a judge flagged here and not where nothing is wrong."""
        return self.flagged[judge] - right.flagged[judge]


class Runners:
    """Runner processes, one for each command, started when needed and ended together."""

    def __init__(self) -> None:
        self._running: dict[object, RunnerProcess] = {}

    def of(self, runtime: Runtime) -> RunnerProcess:
        key = (*runtime.command(), *runtime.environment.items())
        if key not in self._running:
            limits = Limits(start=180, request=300)
            self._running[key] = RunnerProcess(runtime.command(), runtime.environment, limits)
        return self._running[key]

    def stop(self) -> None:
        for runner in self._running.values():
            runner.stop()
        self._running.clear()


def runtime(name: str) -> Runtime:
    return next(runtime for runtime in RUNTIMES if runtime.name == name)


def examine(
    bundle: Bundle,
    format_: str,
    where: Runtime,
    runners: Runners,
    regimes: Iterable[Regime] = ("typical", "batch", "edge"),
    shuffle: bool = False,
) -> Seen:
    """Run the one artifact of a format. `shuffle` gives the rows in another order."""
    seen = Seen()
    [artifact] = [a for a in bundle.manifest.artifacts if a.format == format_]
    for signature, endpoint in artifact.endpoints.items():
        trial = Trial(bundle, artifact, signature, endpoint, where)
        for vector in bundle.vectors(signature):
            if vector.regime in regimes:
                arrays = bundle.read(vector)
                inputs = tensors.in_group(arrays, "inputs")
                answer = _ask(trial, inputs, runners.of(where), shuffle)
                _judge(seen, trial, vector, arrays, answer)
    return seen


def _ask(trial: Trial, inputs: tensors.Arrays, runner: RunnerProcess, shuffle: bool) -> CallResult:
    made = trial.bundle.manifest.signatures[trial.signature_name].outputs.values()
    by_row = trial.signature.batched and all(spec.shape[:1] == (None,) for spec in made)
    rows = len(next(iter(inputs.values()))) if by_row else 0
    if not shuffle or rows < 2:
        return ask(trial, inputs, runner)
    order = np.random.default_rng(rows).permutation(rows)
    answer = ask(trial, {name: array[order] for name, array in inputs.items()}, runner)
    back = np.argsort(order)
    answer.outputs = {name: array[back] for name, array in answer.outputs.items()}
    return answer


def _judge(
    seen: Seen, trial: Trial, vector: Vector, arrays: Mapping[str, np.ndarray], answer: CallResult
) -> None:
    specs = trial.bundle.manifest.signatures[trial.signature_name].outputs
    problem = answer.error or unexpected_names(answer.outputs, set(specs))
    for name, spec in specs.items():
        key = (vector.regime, vector.case, name)
        if problem:
            _note(seen, key, "failed" if answer.error else "wrong", problem)
            for tolerance in TOLERANCES:
                seen.flagged[tolerance].add(key)
            continue
        held_to = expected_of(dict(arrays), name, trial.artifact.variant)
        got = answer.outputs.get(name)
        verdict, reason, metrics = judge(got, spec, held_to, trial.allowance(name))
        _note(seen, key, verdict, reason)
        if metrics and vector.regime in DECIDING:
            seen.bound_ratio = max(seen.bound_ratio, metrics.bound_ratio or 0.0)
            seen.mean_share = max(seen.mean_share, mean_share(metrics))
        for tolerance in flags(got, held_to.reference):
            seen.flagged[tolerance].add(key)


def _note(seen: Seen, key: tuple[Regime, str, str], verdict: Verdict, reason: str) -> None:
    if verdict in BAD:
        seen.flagged[OURS].add(key)
    if key[0] in DECIDING and worst([verdict, seen.verdict]) != seen.verdict:
        seen.verdict, seen.reason = verdict, f"{key[1]}: {reason}"
