"""One signature of one artifact in one runtime: asks its runner case by case, and judges."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bundle import tensors
from bundle.bundle import Bundle
from bundle.manifest import REGIMES, Artifact, Endpoint, Regime, Sweep, Vector
from bundle.signature import TensorSpec
from bundle.tensors import Arrays
from verify.compare import Measure
from verify.curves import OUTPUTS, Errors, errors
from verify.envelope import Envelope, Point, envelope, magnitude
from verify.float_format import Array
from verify.metrics import Metrics, merged
from verify.process import RunnerError, RunnerProcess
from verify.report import GATING, Cell, described
from verify.runtimes.runtime import Runtime
from verify.verdict import PASSING, Allowance, Verdict, judge, unexpected, worst


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

    def allowance(self, output: str) -> Allowance:
        """What the artifact and the runtime declare of an output."""
        budget = self.artifact.budgets.get(self.signature, {}).get(output)
        shaded = self.bundle.manifest.shaded.get(self.signature, ())
        return Allowance(budget, shaded if self.runtime.shader else ())

    @property
    def own_data(self) -> Arrays:
        """The inputs of the model's own data, by name."""
        [vector, *_] = [v for v in self.bundle.vectors(self.signature) if v.regime == "typical"]
        return tensors.grouped(self.bundle.read(vector), "inputs")

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
    sweep: Sweep | None = None
    points: list[Point] = field(default_factory=list)
    errors: Errors = ()


@dataclass
class Answer:
    """What a runner gave for one case: outputs by the signature's names, or why there are none.

    `load` is seconds that loading the artifact took, where the runner tells them.
    """

    outputs: Arrays = field(default_factory=dict)
    seconds: float = 0.0
    note: str = ""
    error: str = ""
    load: float | None = None
    about: dict[str, Any] = field(default_factory=dict)


def trials(bundles: list[Bundle], runtime: Runtime) -> Iterator[Trial]:
    """Everything in some bundles that a runtime knows the format of."""
    for bundle in bundles:
        for artifact in bundle.manifest.artifacts:
            if artifact.name in runtime.formats:
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
    typical: dict[str, Verdict] = {}
    for regime in REGIMES:
        cases = [vector for vector in vectors if vector.regime == regime]
        if not cases and regime not in GATING:
            continue
        outcomes: dict[str, list[_Outcome]] = {output: [] for output in trial.outputs}
        for vector in cases:
            for output, outcome in _judged(trial, vector, runner).items():
                outcomes[output].append(outcome)
        for output, found in outcomes.items():
            cell = _merged(trial, output, regime, found, typical.get(output, "faithful"))
            if regime == "typical":
                typical[output] = cell.verdict
            yield cell


def _judged(trial: Trial, vector: Vector, runner: RunnerProcess) -> dict[str, _Outcome]:
    """Run one case and judge each of its outputs. An error anywhere is the case's, no other's."""

    def all_outputs(verdict: Verdict, reason: str) -> dict[str, _Outcome]:
        return {output: _Outcome(vector.case, verdict, reason) for output in trial.outputs}

    try:
        arrays = trial.bundle.read(vector)
        answer = ask(trial, tensors.grouped(arrays, "inputs"), runner)
        if answer.error:
            return all_outputs("failed", answer.error)
        if problem := unexpected(answer.outputs, set(trial.outputs)):
            return all_outputs("wrong", problem)
        return {output: _outcome(trial, vector, output, arrays, answer) for output in trial.outputs}
    except Exception as error:  # a full disk, a damaged vector: it costs this case, and is said
        return all_outputs("failed", f"cannot be compared: {type(error).__name__}: {error}")


def measure(arrays: Arrays, output: str, variant: str = "") -> Measure:
    """What a case's arrays say of one output. Raises KeyError where there is no reference."""
    groups = ("oracle", "rounding", "shader", variant)
    rest = (arrays.get(f"{group}/{output}") for group in groups)
    return Measure(arrays[f"reference/{output}"], *rest)


def _outcome(trial: Trial, vector: Vector, output: str, arrays: Arrays, answer: Answer) -> _Outcome:
    spec = trial.bundle.manifest.signatures[trial.signature].outputs[output]
    allowance, held_to = trial.allowance(output), measure(arrays, output, trial.artifact.variant)
    got = answer.outputs.get(output)
    verdict, reason, metrics = judge(got, spec, held_to, allowance)
    outcome = _Outcome(vector.case, verdict, reason, metrics, answer.seconds, answer.note)
    drawn = trial.outputs.index(output) < OUTPUTS and not output.startswith("weight/")
    if vector.regime == "typical" and got is not None and drawn:
        outcome.errors = errors(got, held_to.oracle)
    if vector.sweep and got is not None and metrics is not None:
        outcome.sweep = vector.sweep
        given = arrays[f"inputs/{vector.sweep.input}"]
        for row in _points(given, held_to.reference, spec, trial.batched):
            part = held_to.rows(row)
            found = judge(got[row], spec, part, allowance)
            sizes = magnitude(given[row]), magnitude(part.reference)
            outcome.points.append(Point(*sizes, found[0], found[1]))
    return outcome


def _points(given: Array, made: Array, spec: TensorSpec, batched: bool) -> Iterator[Any]:
    """What selects each point of a sweep, where an output has points: else it mixes all rows."""
    if not batched:
        yield ...
    elif spec.shape[:1] == (None,) and len(made) == len(given):
        yield from (slice(n, n + 1) for n in range(len(given)))


def ask(
    trial: Trial, inputs: Arrays, runner: RunnerProcess, inspect: str = "", timed: bool = False
) -> Answer:
    """Have the runner compute one case, in the artifact's own names.

    `inspect` asks for the tensors inside instead of the outputs; they keep their names. `timed`
    lets it leave out what proves the backend and costs time.
    """
    names, root, runtime = trial.endpoint, trial.bundle.path.resolve(), trial.runtime
    fixed = trial.artifact.name in runtime.one_row or not names.dynamic
    by_row = trial.batched and fixed
    path = names.one_row if by_row else names.path
    if path is None:
        return Answer(error="takes no dynamic dimension, and the artifact has no other form")
    with tempfile.TemporaryDirectory(prefix="portproof-") as scratch:
        given, made = Path(scratch, "inputs.safetensors"), Path(scratch, "outputs.safetensors")
        tensors.write(given, {names.inputs[name]: array for name, array in inputs.items()})
        request = {
            "artifact": str(root / path),
            "format": trial.artifact.format,
            "graph": str(root / trial.artifact.graph) if trial.artifact.graph else None,
            "signature": trial.signature,
            "signatures": len(trial.artifact.endpoints),
            "by_row": by_row,
            "options": dict(runtime.options),
            "inspect": inspect,
            "timed": timed,
            "inputs": str(given),
            "outputs": str(made),
        }
        try:
            answer = runner.ask(request)
        except RunnerError as error:
            return Answer(error=str(error))
        if "error" in answer:
            return Answer(error=str(answer["error"]))
        if runtime.backend and answer.get("backend") != runtime.backend:
            return Answer(error=f"computed by the backend {answer.get('backend')!r} instead")
        outputs = tensors.read(made)
    if inspect:
        return Answer(outputs, float(answer["seconds"]), about=answer)
    signature_names = {own: name for name, own in names.outputs.items()}
    renamed = {signature_names.get(own, own): array for own, array in outputs.items()}
    if len(renamed) < len(outputs):
        return Answer(error=f"two outputs of one name among {', '.join(outputs)}")
    return Answer(
        renamed, float(answer["seconds"]), str(answer.get("note", "")), load=answer.get("load")
    )


def _merged(
    trial: Trial, output: str, regime: Regime, outcomes: list[_Outcome], typical: Verdict
) -> Cell:
    """One cell of all the cases of a regime: the worst verdict, the metrics of all together."""
    if not outcomes:
        return trial.cell(output, regime, "failed", detail="the bundle has no vectors for this")
    metrics = [outcome.metrics for outcome in outcomes if outcome.metrics]
    found = merged(metrics) if metrics else None
    verdict = worst([outcome.verdict for outcome in outcomes])
    detail = _detail(outcomes, verdict)
    if not (found and found.samples) and verdict not in ("wrong", "failed"):
        verdict, detail = "failed", "no element was compared"
    farthest = max((o for o in outcomes if o.metrics), key=_distance, default=None)
    return trial.cell(
        output,
        regime,
        verdict,
        **(described(found, farthest.case) if found and farthest else {}),
        seconds=sum(outcome.seconds for outcome in outcomes) if metrics else None,
        detail=detail,
        envelope=_envelopes(trial, output, outcomes, typical),
        errors=outcomes[0].errors,
    )


def _distance(outcome: _Outcome) -> float:
    return outcome.metrics.worst_by if outcome.metrics else -1.0


def _envelopes(
    trial: Trial, output: str, outcomes: list[_Outcome], typical: Verdict
) -> tuple[Envelope, ...]:
    """Of each input that was swept, the region in which the output keeps its verdict."""
    swept: dict[str, list[_Outcome]] = {}
    for outcome in outcomes:
        if outcome.sweep:
            swept.setdefault(outcome.sweep.input, []).append(outcome)
    if not swept or typical not in PASSING:
        return ()
    own = trial.own_data
    found = []
    for name, parts in swept.items():
        assert parts[0].sweep
        points = [point for part in parts for point in part.points]
        formula = parts[0].sweep.of.get(output, "")
        needed = worst([typical, "faithful"])
        found.append(envelope(name, formula, magnitude(own[name]), points, needed))
    return tuple(region for region in found if region)


def _detail(outcomes: list[_Outcome], verdict: Verdict) -> str:
    """Why the verdict is what it is; of a good one, what the runner noted."""
    reasons = [f"{o.case}: {o.reason}" for o in outcomes if o.verdict == verdict and o.reason]
    if not reasons:
        return "; ".join(dict.fromkeys(o.note for o in outcomes if o.note))
    return reasons[0] + (f" (and {len(reasons) - 1} more)" if reasons[1:] else "")
