"""Bundle -> Report: which cells, in what order, with what limits."""

import os
import platform
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

from bundle import tensors
from bundle.bundle import Bundle
from bundle.errors import BundleError, UsageError
from bundle.manifest import REGIMES, Artifact, Endpoint, Vector
from bundle.tensors import Arrays
from verify.compare import Metrics
from verify.process import Limits, RunnerError, RunnerProcess
from verify.report import Cell, Environment, Report, finished
from verify.runtimes.runtime import Runtime
from verify.verdict import Verdict, judge, unexpected, worst

OnCell = Callable[[Cell], None]


@dataclass(frozen=True)
class _Trial:
    """One signature of one artifact in one runtime."""

    bundle: Bundle
    artifact: Artifact
    signature: str
    endpoint: Endpoint
    runtime: Runtime

    def cell(self, output: str, regime: str, verdict: Verdict, **metrics: object) -> Cell:
        return Cell.model_validate(
            {
                "model": self.bundle.manifest.model,
                "format": self.artifact.format,
                "variant": self.artifact.variant,
                "runtime": self.runtime.name,
                "signature": self.signature,
                "output": output,
                "regime": regime,
                "verdict": verdict,
                **metrics,
            }
        )

    @property
    def outputs(self) -> list[str]:
        return list(self.bundle.manifest.signatures[self.signature].outputs)


@dataclass
class _Outcome:
    """What one case gave for one output."""

    case: str
    verdict: Verdict
    reason: str
    metrics: Metrics | None = None
    seconds: float | None = None


@dataclass
class _Answer:
    """What a runner gave for one case: outputs by the signature's names, or why there are none."""

    outputs: Arrays = field(default_factory=dict)
    seconds: float | None = None
    error: str = ""


def check(
    bundles: Sequence[Bundle],
    runtimes: Sequence[Runtime],
    *,
    asked: Sequence[str] = (),
    refused: Mapping[str, str] | None = None,
    limits: Limits | None = None,
    on_cell: OnCell = lambda _: None,
) -> Report:
    """Run every artifact in every runtime that knows its format, and judge each cell.

    Each runtime has a process of its own, started once; as many runtimes are at work as there are
    cores. `refused` goes into the report as it is. Raises UsageError where two bundles are of one
    model.
    """
    digests = {bundle.manifest.model: bundle.digest for bundle in bundles}
    if len(digests) < len(bundles):
        raise UsageError("two of the bundles are of one model: verify them one after the other.")
    limits = limits or Limits()
    runners = {r.name: RunnerProcess(r.command(), limits) for r in runtimes if not r.missing()}

    def run(runtime: Runtime) -> list[Cell]:
        cells: list[Cell] = []
        for trial in _trials(bundles, runtime):
            for cell in _cells(trial, runners.get(runtime.name)):
                cells.append(cell)
                on_cell(cell)
        if runtime.name in runners:
            runners[runtime.name].stop()
        return cells

    try:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            try:
                cells = [cell for found in pool.map(run, runtimes) for cell in found]
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                for runner in runners.values():
                    runner.close()
                raise
    finally:
        for runner in runners.values():
            runner.stop()
    environment = Environment(
        platform=platform.platform(),
        processor=_processor(),
        python=platform.python_version(),
        portproof=version("portproof"),
        runtimes={name: runner.versions for name, runner in runners.items() if runner.versions},
    )
    return finished(
        Report(
            bundle=digests,
            refused=dict(refused or {}),
            environment=environment,
            asked=tuple(asked),
            cells=cells,
        )
    )


def _trials(bundles: Sequence[Bundle], runtime: Runtime) -> Iterator[_Trial]:
    for bundle in bundles:
        for artifact in bundle.manifest.artifacts:
            if artifact.format in runtime.formats:
                for signature, endpoint in artifact.endpoints.items():
                    yield _Trial(bundle, artifact, signature, endpoint, runtime)


def _cells(trial: _Trial, runner: RunnerProcess | None) -> Iterator[Cell]:
    """The cells of a trial, a regime at a time."""
    for regime in REGIMES:
        if runner is None:
            reason = f"to have it: {trial.runtime.missing()}"
            for output in trial.outputs:
                yield trial.cell(output, regime, "absent", detail=reason)
            continue
        outcomes: dict[str, list[_Outcome]] = {output: [] for output in trial.outputs}
        for vector in trial.bundle.vectors(trial.signature):
            if vector.regime == regime:
                for output, outcome in _judged(trial, vector, runner).items():
                    outcomes[output].append(outcome)
        for output, found in outcomes.items():
            yield _merged(trial, output, regime, found)


def _judged(trial: _Trial, vector: Vector, runner: RunnerProcess) -> dict[str, _Outcome]:
    """Run one case and judge each of its outputs. An error anywhere is the case's, no other's."""
    try:
        arrays = trial.bundle.read(vector)
        answer = _ask(trial, tensors.grouped(arrays, "inputs"), runner)
        if answer.error:
            return {o: _Outcome(vector.case, "failed", answer.error) for o in trial.outputs}
        reference = tensors.grouped(arrays, "reference")
        oracle = tensors.grouped(arrays, "oracle")
        if problem := unexpected(answer.outputs, set(trial.outputs)):
            return {o: _Outcome(vector.case, "wrong", problem) for o in trial.outputs}
        specs = trial.bundle.manifest.signatures[trial.signature].outputs
        return {
            output: _Outcome(
                vector.case,
                *judge(answer.outputs.get(output), spec, reference[output], oracle.get(output)),
                answer.seconds,
            )
            for output, spec in specs.items()
        }
    except (BundleError, KeyError, ValueError) as error:
        reason = f"cannot be compared: {error}"
        return {output: _Outcome(vector.case, "failed", reason) for output in trial.outputs}


def _ask(trial: _Trial, inputs: Arrays, runner: RunnerProcess) -> _Answer:
    """Have the runner compute one case, in the artifact's own names."""
    names, root = trial.endpoint, trial.bundle.path.resolve()
    with tempfile.TemporaryDirectory(prefix="portproof-") as scratch:
        given, made = Path(scratch, "inputs.safetensors"), Path(scratch, "outputs.safetensors")
        tensors.write(given, {names.inputs[name]: array for name, array in inputs.items()})
        request = {
            "artifact": str(root / names.path),
            "format": trial.artifact.format,
            "graph": str(root / trial.artifact.graph) if trial.artifact.graph else None,
            "signature": trial.signature,
            "inputs": str(given),
            "outputs": str(made),
        }
        try:
            answer = runner.ask(request)
        except RunnerError as error:
            return _Answer(error=str(error))
        if "error" in answer:
            return _Answer(error=str(answer["error"]))
        if trial.runtime.backend and answer.get("backend") != trial.runtime.backend:
            return _Answer(error=f"computed by the backend {answer.get('backend')!r} instead")
        outputs = tensors.read(made)
    signature_names = {own: name for name, own in names.outputs.items()}
    renamed = {signature_names.get(own, own): array for own, array in outputs.items()}
    return _Answer(renamed, float(answer["seconds"]))


def _merged(trial: _Trial, output: str, regime: str, outcomes: list[_Outcome]) -> Cell:
    """One cell of all the cases of a regime: the worst verdict, the largest metrics."""
    if not outcomes:
        return trial.cell(output, regime, "failed", detail="the bundle has no vectors for this")
    verdict = worst([outcome.verdict for outcome in outcomes])
    reasons = [f"{o.case}: {o.reason}" for o in outcomes if o.verdict == verdict and o.reason]
    metrics = [outcome.metrics for outcome in outcomes if outcome.metrics]
    ratios = [m.error_ratio for m in metrics if m.error_ratio is not None]
    samples = sum(m.samples for m in metrics)
    if not samples and verdict not in ("wrong", "failed"):
        verdict, reasons = "failed", ["no element was compared"]
    return trial.cell(
        output,
        regime,
        verdict,
        max_abs=max((m.max_abs for m in metrics), default=None),
        max_ulp=max((m.max_ulp for m in metrics), default=None),
        error_ratio=max(ratios, default=None),
        samples=samples,
        seconds=sum(o.seconds or 0.0 for o in outcomes) if metrics else None,
        detail=reasons[0] + (f" (and {len(reasons) - 1} more)" if reasons[1:] else "")
        if reasons
        else "",
    )


def _processor() -> str:
    """The processor's name, where the system tells it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor()
