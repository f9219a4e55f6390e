"""A trial's cells: each case is read, asked for and judged, and a regime's cases are merged."""

from collections.abc import Iterator

from portproof.bundle.errors import described
from portproof.bundle.manifest import DECIDING, REGIMES, Vector
from portproof.bundle.report import Cell
from portproof.bundle.tensors import in_group
from portproof.bundle.verdicts import Verdict
from portproof.comparing.judging import unexpected_names
from portproof.runtimes.process import RunnerProcess
from portproof.verifying.asking import ask
from portproof.verifying.lacking import lack_text
from portproof.verifying.outcomes import Outcome, merge, outcomes_of
from portproof.verifying.trial import Trial


def run_trial(trial: Trial, runner: RunnerProcess) -> Iterator[Cell]:
    """The cells of a trial, regime by regime. A regime that decides has cells in any case."""
    vectors = trial.bundle.vectors(trial.signature_name)
    typical: dict[str, Verdict] = {}
    for regime in REGIMES:
        cases = [vector for vector in vectors if vector.regime == regime]
        if not cases and regime not in DECIDING:
            continue
        outcomes = [_run_case(trial, vector, runner) for vector in cases]
        for output in trial.outputs:
            of_output = [by_output[output] for by_output in outcomes]
            cell = merge(trial, output, regime, of_output, typical.get(output, "faithful"))
            if regime == "typical":
                typical[output] = cell.verdict
            yield cell


def _run_case(trial: Trial, vector: Vector, runner: RunnerProcess) -> dict[str, Outcome]:
    """Run one case and judge each of its outputs. An error costs this case and no other."""

    def all_outputs(verdict: Verdict, reason: str, lacks: str = "") -> dict[str, Outcome]:
        outcome = Outcome(vector.case, verdict, reason, lacks=lacks)
        return dict.fromkeys(trial.outputs, outcome)

    try:
        arrays = trial.bundle.read(vector)
        result = ask(trial, in_group(arrays, "inputs"), runner)
        if result.lacks:
            return all_outputs("unsupported", lack_text(trial, result.lacks), result.lacks)
        if result.error:
            return all_outputs("failed", result.error)
        if problem := unexpected_names(result.outputs, set(trial.outputs)):
            return all_outputs("wrong", problem)
        return outcomes_of(trial, vector, arrays, result)
    except Exception as error:  # a full disk, a damaged vector
        return all_outputs("failed", f"cannot be compared: {described(error)}")


def absent_cells(trial: Trial, how_to_get: str) -> Iterator[Cell]:
    """The cells of a trial whose runtime is not here."""
    for regime in REGIMES:
        for output in trial.outputs:
            yield trial.cell(output, regime, "absent", detail=f"to have it: {how_to_get}")
