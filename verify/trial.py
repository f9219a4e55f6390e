"""One signature of one artifact in one runtime: asks its runner case by case, and judges."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bundle import tensors
from bundle.bundle import Bundle
from bundle.manifest import REGIMES, Artifact, Endpoint, Regime, Vector
from bundle.tensors import Arrays
from verify.compare import Metrics
from verify.process import RunnerError, RunnerProcess
from verify.report import GATING, Cell
from verify.runtimes.runtime import Runtime
from verify.verdict import Verdict, judge, unexpected, worst


@dataclass(frozen=True)
class Trial:
    """What is on trial, and where."""

    bundle: Bundle
    artifact: Artifact
    signature: str
    endpoint: Endpoint
    runtime: Runtime

    @property
    def batched(self) -> bool:
        return self.bundle.manifest.signatures[self.signature].batched

    @property
    def outputs(self) -> list[str]:
        return list(self.bundle.manifest.signatures[self.signature].outputs)

    def cell(self, output: str, regime: Regime, verdict: Verdict, **rest: Any) -> Cell:
        return Cell(
            model=self.bundle.manifest.model,
            format=self.artifact.format,
            variant=self.artifact.variant,
            runtime=self.runtime.name,
            signature=self.signature,
            output=output,
            regime=regime,
            verdict=verdict,
            **rest,
        )


@dataclass
class _Outcome:
    """What one case gave for one output. `note` is what a runner has to say of a good one."""

    case: str
    verdict: Verdict
    reason: str
    metrics: Metrics | None = None
    seconds: float = 0.0
    note: str = ""


@dataclass
class _Answer:
    """What a runner gave for one case: outputs by the signature's names, or why there are none."""

    outputs: Arrays = field(default_factory=dict)
    seconds: float = 0.0
    note: str = ""
    error: str = ""


def trials(bundles: list[Bundle], runtime: Runtime) -> Iterator[Trial]:
    """Everything in some bundles that a runtime knows the format of."""
    for bundle in bundles:
        for artifact in bundle.manifest.artifacts:
            if artifact.format in runtime.formats:
                for signature, endpoint in artifact.endpoints.items():
                    yield Trial(bundle, artifact, signature, endpoint, runtime)


def absent(trial: Trial, how_to_get: str) -> Iterator[Cell]:
    """The cells of a trial whose runtime is not here."""
    for regime in REGIMES:
        for output in trial.outputs:
            yield trial.cell(output, regime, "absent", detail=f"to have it: {how_to_get}")


def run(trial: Trial, runner: RunnerProcess) -> Iterator[Cell]:
    """The cells of a trial, a regime at a time. A regime that counts has cells in any case."""
    vectors = trial.bundle.vectors(trial.signature)
    for regime in REGIMES:
        cases = [vector for vector in vectors if vector.regime == regime]
        if not cases and regime not in GATING:
            continue
        outcomes: dict[str, list[_Outcome]] = {output: [] for output in trial.outputs}
        for vector in cases:
            for output, outcome in _judged(trial, vector, runner).items():
                outcomes[output].append(outcome)
        for output, found in outcomes.items():
            yield _merged(trial, output, regime, found)


def _judged(trial: Trial, vector: Vector, runner: RunnerProcess) -> dict[str, _Outcome]:
    """Run one case and judge each of its outputs. An error anywhere is the case's, no other's."""

    def all_outputs(verdict: Verdict, reason: str) -> dict[str, _Outcome]:
        return {output: _Outcome(vector.case, verdict, reason) for output in trial.outputs}

    try:
        arrays = trial.bundle.read(vector)
        answer = _ask(trial, tensors.grouped(arrays, "inputs"), runner)
        if answer.error:
            return all_outputs("failed", answer.error)
        if problem := unexpected(answer.outputs, set(trial.outputs)):
            return all_outputs("wrong", problem)
        reference = tensors.grouped(arrays, "reference")
        oracle = tensors.grouped(arrays, "oracle")
        specs = trial.bundle.manifest.signatures[trial.signature].outputs
        return {
            output: _Outcome(
                vector.case,
                *judge(answer.outputs.get(output), spec, reference[output], oracle.get(output)),
                answer.seconds,
                answer.note,
            )
            for output, spec in specs.items()
        }
    except Exception as error:  # a full disk, a damaged vector: it costs this case, and is said
        return all_outputs("failed", f"cannot be compared: {type(error).__name__}: {error}")


def _ask(trial: Trial, inputs: Arrays, runner: RunnerProcess) -> _Answer:
    """Have the runner compute one case, in the artifact's own names."""
    names, root, runtime = trial.endpoint, trial.bundle.path.resolve(), trial.runtime
    by_row = trial.batched and runtime.rows != "any"
    signature: str | None = trial.signature
    if by_row and runtime.rows == "one_row":
        signature = names.one_row
        if signature is None:
            return _Answer(error="takes no dynamic dimension, and the artifact has no other form")
    with tempfile.TemporaryDirectory(prefix="portproof-") as scratch:
        given, made = Path(scratch, "inputs.safetensors"), Path(scratch, "outputs.safetensors")
        tensors.write(given, {names.inputs[name]: array for name, array in inputs.items()})
        request = {
            "artifact": str(root / names.path),
            "format": trial.artifact.format,
            "graph": str(root / trial.artifact.graph) if trial.artifact.graph else None,
            "signature": signature,
            "signatures": len(trial.artifact.endpoints),
            "by_row": by_row,
            "options": dict(runtime.options),
            "inputs": str(given),
            "outputs": str(made),
        }
        try:
            answer = runner.ask(request)
        except RunnerError as error:
            return _Answer(error=str(error))
        if "error" in answer:
            return _Answer(error=str(answer["error"]))
        if runtime.backend and answer.get("backend") != runtime.backend:
            return _Answer(error=f"computed by the backend {answer.get('backend')!r} instead")
        outputs = tensors.read(made)
    signature_names = {own: name for name, own in names.outputs.items()}
    renamed = {signature_names.get(own, own): array for own, array in outputs.items()}
    if len(renamed) < len(outputs):
        return _Answer(error=f"two outputs of one name among {', '.join(outputs)}")
    return _Answer(renamed, float(answer["seconds"]), str(answer.get("note", "")))


def _merged(trial: Trial, output: str, regime: Regime, outcomes: list[_Outcome]) -> Cell:
    """One cell of all the cases of a regime: the worst verdict, the largest metrics."""
    if not outcomes:
        return trial.cell(output, regime, "failed", detail="the bundle has no vectors for this")
    metrics = [outcome.metrics for outcome in outcomes if outcome.metrics]
    samples = sum(m.samples for m in metrics)
    verdict = worst([outcome.verdict for outcome in outcomes])
    detail = _detail(outcomes, verdict)
    if not samples and verdict not in ("wrong", "failed"):
        verdict, detail = "failed", "no element was compared"
    ratios = [m.error_ratio for m in metrics if m.error_ratio is not None]
    return trial.cell(
        output,
        regime,
        verdict,
        max_abs=max((m.max_abs for m in metrics), default=None),
        max_ulp=max((m.max_ulp for m in metrics), default=None),
        error_ratio=max(ratios, default=None),
        samples=samples,
        seconds=sum(outcome.seconds for outcome in outcomes) if metrics else None,
        detail=detail,
    )


def _detail(outcomes: list[_Outcome], verdict: Verdict) -> str:
    """Why the verdict is what it is; of a good one, what the runner noted."""
    reasons = [f"{o.case}: {o.reason}" for o in outcomes if o.verdict == verdict and o.reason]
    if not reasons:
        return "; ".join(dict.fromkeys(o.note for o in outcomes if o.note))
    return reasons[0] + (f" (and {len(reasons) - 1} more)" if reasons[1:] else "")
