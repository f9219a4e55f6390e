"""The zoo's matrix: model x format x runtime, with the verdict of what counts."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from portproof.bundle.manifest import DECIDING
from portproof.bundle.report import Cell, Report
from portproof.bundle.verdicts import GRADES
from portproof.formats.training_steps import train_step_name
from portproof.reporting.summary import overall
from portproof.sources.keras_models import SIGNATURE
from verify.zoo.known import explanation

Key = tuple[str, str]  # model, artifact


def _steps_once(cells: Iterable[Cell]) -> Iterator[Cell]:
    """The cells, but one for a training step, whose outputs are all the weights: the worst.

    A model of many layers would outweigh all others by its steps.
    """
    steps: dict[tuple[str, ...], list[Cell]] = {}
    for cell in cells:
        if cell.signature == train_step_name(SIGNATURE):
            key = cell.model, cell.full_format, cell.runtime, cell.regime
            steps.setdefault(key, []).append(cell)
        else:
            yield cell
    for found in steps.values():
        yield max(found, key=lambda cell: GRADES.index(cell.verdict))


@dataclass
class Matrix:
    """All cells of the regimes that count, of all models, and what has no cells."""

    cells: list[Cell] = field(default_factory=list)
    left_out: dict[Key, str] = field(default_factory=dict)
    notes: dict[Key, list[str]] = field(default_factory=dict)

    def add(self, report: Report) -> None:
        self.count(report.cells)
        for model, formats in report.left_out.items():
            self.left_out |= {(model, name): reason for name, reason in formats.items()}
        for model, artifacts in report.notes.items():
            self.notes |= {(model, name): list(said) for name, said in artifacts.items()}

    def count(self, cells: Iterable[Cell]) -> None:
        found = [c for c in cells if c.regime in DECIDING and c.verdict != "absent"]
        self.cells += _steps_once(found)

    @property
    def counts(self) -> Counter[str]:
        return Counter(cell.verdict for cell in self.cells)

    @property
    def share(self) -> float:
        """Of the cells, those that are faithful or better, or within a declared budget."""
        return sum(cell.passed for cell in self.cells) / max(len(self.cells), 1)

    @property
    def bad(self) -> dict[tuple[str, str, str], list[Cell]]:
        """What did not pass, by artifact and runtime."""
        found: dict[tuple[str, str, str], list[Cell]] = {}
        for cell in self.cells:
            if not cell.passed:
                key = cell.model, cell.full_format, cell.runtime
                found.setdefault(key, []).append(cell)
        return found

    @property
    def unexplained(self) -> list[str]:
        """What did not pass and is no known limitation of its runtime."""
        return [
            f"{' '.join(key)}: {cells[0].detail}"
            for key, cells in self.bad.items()
            if not explanation(cells[0])
        ]

    def summary(self) -> Iterator[str]:
        said = ", ".join(f"{count} {verdict}" for verdict, count in self.counts.most_common())
        models = len({cell.model for cell in self.cells})
        yield f"{models} models, {len(self.cells)} cells that count: {said}"
        yield f"{self.share:.1%} are faithful or better, or within a declared budget"

    def page(self) -> Iterator[str]:
        """The whole as Markdown."""
        yield "# The zoo"
        yield ""
        yield "What `make zoo` gave: models that nobody here wrote to suit Portproof, with random"
        yield "weights, exported to every format and run in every runtime of this machine. An entry"
        yield "is the worst verdict of an artifact's outputs on the model's own data and on other"
        yield "batches and lengths (`close` within its declared budget, or a shader's). A training"
        yield "step, whose outputs are all the weights, counts as one cell, the worst."
        yield ""
        yield from (f"- {line}" for line in self.summary())
        for artifact in dict.fromkeys(c.full_format for c in self.cells):
            yield from self._table(artifact)
        yield from self._exceptions()
        yield from self._left_out()
        yield from self._made()

    def _table(self, artifact: str) -> Iterator[str]:
        cells = [c for c in self.cells if c.full_format == artifact]
        runtimes = list(dict.fromkeys(cell.runtime for cell in cells))
        yield from ("", f"## {artifact}", "", f"| model | {' | '.join(runtimes)} |")
        yield "| --- " * (len(runtimes) + 1) + "|"
        for model in sorted({cell.model for cell in cells}):
            row = [[c for c in cells if (c.model, c.runtime) == (model, r)] for r in runtimes]
            yield f"| {model} | {' | '.join(overall(found) if found else '' for found in row)} |"

    def _exceptions(self) -> Iterator[str]:
        yield from ("", "## Not proven, and why", "")
        reasons: dict[str, list[str]] = {}
        for (model, artifact, runtime), cells in self.bad.items():
            why = explanation(cells[0]) or f"not explained: {cells[0].detail}"
            reasons.setdefault(f"{runtime}: {why}", []).append(
                f"{model} {artifact} ({overall(cells)})"
            )
        for why, where in sorted(reasons.items()):
            yield f"- {why}. {'; '.join(where)}."

    def _left_out(self) -> Iterator[str]:
        yield from ("", "## Formats that a model was not exported to", "")
        for (model, artifact), reason in sorted(self.left_out.items()):
            yield f"- {model} {artifact}: {reason}"

    def _made(self) -> Iterator[str]:
        yield from ("", "## What was done beyond a plain conversion", "")
        for (model, artifact), said in sorted(self.notes.items()):
            yield f"- {model} {artifact}: {'; '.join(said)}"
