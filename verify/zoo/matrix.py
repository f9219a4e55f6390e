"""The zoo's matrix: a verdict for each model, format and runtime."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from portproof.bundle.manifest import DECIDING
from portproof.bundle.report import Cell, Report
from portproof.bundle.verdicts import GRADES
from portproof.formats.training_steps import train_step_name
from portproof.reporting.summary import overall
from portproof.sources.keras_models import SIGNATURE
from verify.zoo.known import explanation

Key = tuple[str, str]  # model, artifact


def _with_one_cell_per_step(cells: Iterable[Cell]) -> Iterator[Cell]:
    """The cells, with only one cell for each training step: the worst.

    The outputs of a training step are all the weights. With a cell for each of them, a model of
    many layers would count more than all other models together.
    """
    steps: dict[tuple[str, ...], list[Cell]] = {}
    for cell in cells:
        if cell.signature == train_step_name(SIGNATURE):
            key = cell.model, cell.full_format, cell.runtime, cell.regime
            steps.setdefault(key, []).append(cell)
        else:
            yield cell
    for step_cells in steps.values():
        yield max(step_cells, key=lambda cell: GRADES.index(cell.verdict))


def passing_share(cells: Sequence[Cell]) -> float:
    """The share of cells that are faithful or better, or within a declared budget."""
    return sum(cell.passed for cell in cells) / max(len(cells), 1)


def _counted(name: str, cells: Sequence[Cell]) -> str:
    """`in their own precision: 97.8% of 3068 cells pass: 2119 faithful, 874 exact, ...`."""
    counts = Counter(cell.verdict for cell in cells).most_common()
    listed = ", ".join(f"{count} {verdict}" for verdict, count in counts)
    return f"{name}: {passing_share(cells):.1%} of {len(cells)} cells pass: {listed}"


@dataclass
class Matrix:
    """The cells of all models in the deciding regimes, and the formats that have no cells."""

    cells: list[Cell] = field(default_factory=list)
    left_out: dict[Key, str] = field(default_factory=dict)
    notes: dict[Key, list[str]] = field(default_factory=dict)

    def add_report(self, report: Report) -> None:
        self.add_cells(report.cells)
        for model, formats in report.left_out.items():
            self.left_out |= {(model, name): reason for name, reason in formats.items()}
        for model, artifacts in report.notes.items():
            self.notes |= {(model, name): list(notes) for name, notes in artifacts.items()}

    def add_cells(self, cells: Iterable[Cell]) -> None:
        counting = [c for c in cells if c.regime in DECIDING and c.verdict != "absent"]
        self.cells += _with_one_cell_per_step(counting)

    @property
    def not_passed(self) -> dict[tuple[str, str, str], list[Cell]]:
        """The cells that did not pass, by model, artifact and runtime."""
        not_passed: dict[tuple[str, str, str], list[Cell]] = {}
        for cell in self.cells:
            if not cell.passed:
                key = cell.model, cell.full_format, cell.runtime
                not_passed.setdefault(key, []).append(cell)
        return not_passed

    @property
    def unexplained(self) -> list[str]:
        """What did not pass, and is not explained by a known limit of its runtime."""
        return [
            f"{' '.join(key)}: {cells[0].detail}"
            for key, cells in self.not_passed.items()
            if not explanation(cells[0])
        ]

    def summary(self) -> Iterator[str]:
        models = len({cell.model for cell in self.cells})
        yield f"{models} models, {len(self.cells)} cells that count"
        yield _counted("in their own precision", self.own_precision)
        yield _counted("variants", [cell for cell in self.cells if cell.variant])

    @property
    def own_precision(self) -> list[Cell]:
        """The cells of artifacts that change no numbers."""
        return [cell for cell in self.cells if not cell.variant]

    def page(self) -> Iterator[str]:
        """The lines of the page RESULTS.md."""
        yield "# The zoo"
        yield ""
        yield "What `make zoo` gave: models that nobody here wrote to suit Portproof, with random"
        yield "weights, exported to every format and run in every runtime of this machine. An entry"
        yield "is the worst verdict of an artifact's outputs on the model's own data and on other"
        yield "batches and lengths (`close` within its declared budget, or a shader's). A training"
        yield "step, whose outputs are all the weights, counts as one cell, the worst. The largest"
        yield "models are not run in shaders, which software computes here in minutes for each."
        yield ""
        yield from self.results()

    def results(self) -> Iterator[str]:
        """The counts and the tables."""
        yield from (f"- {line}" for line in self.summary())
        for artifact in dict.fromkeys(c.full_format for c in self.cells):
            yield from self._table(artifact)
        yield from self._exceptions()
        yield from self._left_out()
        yield from self._conversion_notes()

    def _table(self, artifact: str) -> Iterator[str]:
        cells = [c for c in self.cells if c.full_format == artifact]
        runtimes = list(dict.fromkeys(cell.runtime for cell in cells))
        yield from ("", f"## {artifact}", "", f"| model | {' | '.join(runtimes)} |")
        yield "| --- " * (len(runtimes) + 1) + "|"
        for model in sorted({cell.model for cell in cells}):
            row = [[c for c in cells if (c.model, c.runtime) == (model, r)] for r in runtimes]
            verdicts = [overall(entry_cells) if entry_cells else "" for entry_cells in row]
            yield f"| {model} | {' | '.join(verdicts)} |"

    def _exceptions(self) -> Iterator[str]:
        yield from ("", "## Not proven, and why", "")
        artifacts_by_reason: dict[str, list[str]] = {}
        for (model, artifact, runtime), cells in self.not_passed.items():
            reason = explanation(cells[0]) or f"not explained: {cells[0].detail}"
            artifacts_by_reason.setdefault(f"{runtime}: {reason}", []).append(
                f"{model} {artifact} ({overall(cells)})"
            )
        for reason, artifacts in sorted(artifacts_by_reason.items()):
            yield f"- {reason}. {'; '.join(artifacts)}."

    def _left_out(self) -> Iterator[str]:
        yield from ("", "## Formats that a model was not exported to", "")
        for (model, artifact), reason in sorted(self.left_out.items()):
            yield f"- {model} {artifact}: {reason}"

    def _conversion_notes(self) -> Iterator[str]:
        yield from ("", "## What was done beyond a plain conversion", "")
        for (model, artifact), notes in sorted(self.notes.items()):
            yield f"- {model} {artifact}: {'; '.join(notes)}"
