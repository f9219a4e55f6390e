"""A trial's cells: each case is read, asked for and judged, and a regime's cases are merged."""

import math
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from portproof.bundle.errors import described
from portproof.bundle.manifest import DECIDING, REGIMES, Regime, Vector
from portproof.bundle.report import Cell, NotRun
from portproof.bundle.tensors import Arrays, in_group
from portproof.bundle.verdicts import PASSING, Verdict
from portproof.comparing.judging import unexpected_names
from portproof.runtimes.runner import Runner
from portproof.verifying.asking import ask
from portproof.verifying.lacking import lack_text
from portproof.verifying.outcomes import Outcome, merge, outcomes_of
from portproof.verifying.selecting import Rows, rows_of
from portproof.verifying.trial import Trial

# Bytes that an answer may have beyond twice the reference: an output may be wrong, and of float64.
_ANSWER_BYTES = 16 << 20
# Calls of one trial that may pass the time limit: a third one would, too.
MAX_LATE = 2


class Budget:
    """Seconds that may be spent on what does not decide, by several threads."""

    def __init__(self, seconds: float = math.inf) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()

    def allows(self, seconds: float) -> bool:
        with self._lock:
            return seconds < self._seconds

    def spend(self, seconds: float) -> None:
        with self._lock:
            self._seconds -= seconds


@dataclass
class TrialRun:
    """One trial in its runner's process: first what decides, later the edge cases.

    Attributes:
        trial: The trial.
        runner: The process.
        seconds: By number of rows, how long the runtime computed, call by call.
    """

    trial: Trial
    runner: Runner
    seconds: dict[int, list[float]] = field(default_factory=dict)
    _opening: float = 0.0
    _late: list[str] = field(default_factory=list)
    _rows_left: list[str] = field(default_factory=list)
    _edge_left: list[str] = field(default_factory=list)
    _deciding: dict[str, dict[Regime, Cell]] = field(default_factory=dict)

    def deciding(self) -> Iterator[Cell]:
        """The cells that decide, which there are in any case."""
        rows = Rows(self.trial)
        self._edge_left = [vector.case for vector in self._cases("edge")]
        for regime in DECIDING:
            outcomes = [self._run_case(vector, rows.of) for vector in self._cases(regime)]
            for cell in self._merged(regime, [outcome for outcome in outcomes if outcome]):
                if regime == "typical" and rows.left_out:
                    # A plot shows them beside the reference's, which are of all rows.
                    cell = cell.model_copy(update={"errors": ()})
                self._deciding.setdefault(cell.output, {})[regime] = cell
                yield cell
        self._rows_left = rows.left_out

    @property
    def passed(self) -> bool:
        """Whether something of the model's own data passed."""
        return any(cells["typical"].verdict in PASSING for cells in self._deciding.values())

    def edge(self, budget: Budget) -> Iterator[Cell]:
        """The cells of the edge cases, as many as a budget allows, which this spends."""

        outcomes: list[dict[str, Outcome]] = []

        def affordable(vector: Vector) -> Arrays | None:
            arrays = self.trial.bundle.read(vector)
            opening = 0.0 if outcomes else self._opening  # another artifact was loaded since
            return arrays if budget.allows(opening + self._expected_seconds(arrays)) else None

        if not self.seconds:  # nothing of the model's own data ran, and nothing else will
            return
        for vector in self._cases("edge"):
            started = time.monotonic()
            outcome = self._run_case(vector, affordable)
            budget.spend(time.monotonic() - started)
            if outcome:
                outcomes.append(outcome)
                self._edge_left.remove(vector.case)
        if outcomes:
            yield from self._merged("edge", outcomes)

    def _cases(self, regime: Regime) -> list[Vector]:
        vectors = self.trial.bundle.vectors(self.trial.signature_name)
        return [vector for vector in vectors if vector.regime == regime]

    def _expected_seconds(self, arrays: Arrays) -> float:
        """By the call that took least for each of its rows."""
        rates = [min(seconds) / max(rows, 1) for rows, seconds in self.seconds.items()]
        return min(rates, default=0.0) * rows_of(arrays)

    @property
    def not_run(self) -> list[NotRun]:
        """What was left out so far."""
        deciding = len(self._cases("typical")) + len(self._cases("batch"))
        entries: list[tuple[Regime, list[str], int]] = [
            ("batch", self._rows_left, deciding),
            ("edge", self._edge_left, len(self._cases("edge"))),
        ]
        trial = self.trial
        return [
            NotRun(
                model=trial.bundle.manifest.model,
                format=trial.artifact.format,
                variant=trial.artifact.variant,
                runtime=trial.runtime.name,
                signature=trial.signature_name,
                regime=regime,
                cases=tuple(cases),
                of=of,
                hopeless=not self.seconds,
            )
            for regime, cases, of in entries
            if cases
        ]

    def _merged(self, regime: Regime, outcomes: list[dict[str, Outcome]]) -> Iterator[Cell]:
        for output in self.trial.outputs:
            of_output = [by_output[output] for by_output in outcomes]
            known = self._deciding.get(output, {}).get("typical")
            typical = known.verdict if known else "faithful"
            yield merge(self.trial, output, regime, of_output, typical)

    def _run_case(
        self, vector: Vector, read: Callable[[Vector], Arrays | None]
    ) -> dict[str, Outcome]:
        """Run one case and judge each output; nothing where `read` leaves the case out.

        An error costs this case and no other.
        """
        trial = self.trial

        def all_outputs(verdict: Verdict, reason: str, lacks: str = "") -> dict[str, Outcome]:
            return dict.fromkeys(trial.outputs, Outcome(vector.case, verdict, reason, lacks=lacks))

        try:
            if len(self._late) == MAX_LATE:
                return all_outputs("failed", f"not asked any more: {' and '.join(self._late)}")
            arrays = read(vector)
            if arrays is None:
                return {}
            started = time.monotonic()
            size = sum(array.nbytes for array in in_group(arrays, "reference").values())
            inputs = in_group(arrays, "inputs")
            result = ask(trial, inputs, self.runner, largest=2 * size + _ANSWER_BYTES)
            if not self.seconds:
                self._opening = max(0.0, time.monotonic() - started - result.seconds)
            if result.lacks:
                return all_outputs("unsupported", lack_text(trial, result.lacks), result.lacks)
            if result.late:
                self._late.append(f"{vector.case} {result.error}")
            if result.error:
                return all_outputs("absent" if result.gone else "failed", result.error)
            if problem := unexpected_names(result.outputs, set(trial.outputs)):
                return all_outputs("wrong", problem)
            rows = rows_of(arrays) if trial.signature.batched else 1
            self.seconds.setdefault(rows, []).append(result.seconds)
            return outcomes_of(trial, vector, arrays, result)
        except Exception as error:  # a full disk, a damaged vector
            return all_outputs("failed", f"cannot be compared: {described(error)}")


def absent_cells(trial: Trial, how_to_get: str) -> Iterator[Cell]:
    """The cells of a trial whose runtime is not here."""
    for regime in REGIMES:
        for output in trial.outputs:
            yield trial.cell(output, regime, "absent", detail=f"to have it: {how_to_get}")
