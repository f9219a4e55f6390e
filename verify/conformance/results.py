"""What the conformance run shows: RESULTS.md."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from portproof.bundle.bundle import REPORT
from portproof.bundle.manifest import DECIDING
from portproof.bundle.report import Cell, Report
from portproof.bundle.verdicts import GRADES
from verify.conformance.known import explanation

# Which engine computes in a runtime. Three that agree on other numbers than the oracle's are more
# probable to be right than the rule.
ENGINES = {
    "tensorflow": "TensorFlow",
    "tensorflow-c": "TensorFlow",
    "keras": "TensorFlow",
    "keras-jax": "XLA",
    "keras-openvino": "OpenVINO",
    "openvino": "OpenVINO",
    "litert": "LiteRT with XNNPACK",
    "litert-reference": "LiteRT's reference kernels",
    "tflite-micro": "LiteRT's reference kernels",
    "tfjs-node-cpu": "TF.js",
    "tfjs-node-wasm": "TF.js with XNNPACK",
    "onnxruntime": "ONNX Runtime",
    "onnxruntime-node": "ONNX Runtime",
}
SHARED = 3  # engines that make a `wrong` the rule's fault, until a person has explained it


@dataclass(frozen=True)
class Finding:
    """One model whose numbers are wrong in some runtimes, for one reason each."""

    model: str
    cells: tuple[Cell, ...]

    @property
    def engines(self) -> set[str]:
        return {ENGINES[cell.runtime] for cell in self.cells}

    @property
    def explained(self) -> dict[str, list[Cell]]:
        """The cells by the explanation that a person gave; "" for none."""
        by_reason: dict[str, list[Cell]] = {}
        for cell in self.cells:
            by_reason.setdefault(explanation(cell), []).append(cell)
        return by_reason

    @property
    def is_false_alarm(self) -> bool:
        """Whether engines of so many origins share it that the rule must be at fault."""
        unexplained = {ENGINES[cell.runtime] for cell in self.explained.get("", [])}
        return len(unexplained) >= SHARED


class Conformance:
    """The reports of a run, and what has no report."""

    def __init__(self, names: Sequence[str], folder: Path, no_bundle: Mapping[str, str]) -> None:
        self._names, self._no_bundle = names, no_bundle
        paths = (folder / name / REPORT for name in names)
        reports = [Report.model_validate_json(p.read_text()) for p in paths if p.is_file()]
        self.models = len(reports)
        self.cells = [
            cell
            for report in reports
            for cell in report.cells
            if cell.regime in DECIDING and cell.verdict != "absent"
        ]

    @property
    def findings(self) -> list[Finding]:
        wrong: dict[str, list[Cell]] = {}
        for cell in self.cells:
            if cell.verdict in ("wrong", "failed"):
                wrong.setdefault(cell.model, []).append(cell)
        return [Finding(model, tuple(cells)) for model, cells in wrong.items()]

    @property
    def false_alarms(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.is_false_alarm]

    @property
    def unexplained(self) -> list[Finding]:
        return [finding for finding in self.findings if "" in finding.explained]

    def summary(self) -> Iterator[str]:
        counted = Counter(cell.verdict for cell in self.cells)
        verdicts = ", ".join(f"{counted[word]} {word}" for word in GRADES if counted[word])
        yield f"{len(self._names)} configurations, {self.models} of them models that were exported"
        yield f"{len(self.cells)} cells: {verdicts}"
        ill = len({(c.model, c.output) for c in self.cells if c.ill_conditioned})
        yield f"{ill} outputs are ill-conditioned"
        yield f"{len(self.false_alarms)} false alarms, {len(self.unexplained)} models unexplained"

    def page(self) -> Iterator[str]:
        """The lines of RESULTS.md."""
        yield "# Conformance"
        yield ""
        yield "What `make conformance` gave: every configuration of a layer that Keras's own tests"
        yield "run, with random weights, in float32, in every runtime that computes on the CPU."
        yield f"A `wrong` that engines of {SHARED} origins share is a false alarm of the rule,"
        yield "unless a person has explained it."
        yield ""
        yield from (f"- {line}" for line in self.summary())
        yield from ("", "## Wrong or failed, and why", "")
        yield from self._reasons()
        yield from ("", "## Not exported", "")
        chosen = {name: self._no_bundle[name] for name in self._names if name in self._no_bundle}
        for reason, count in Counter(map(_plain, chosen.values())).most_common():
            yield f"- {count}: {reason}"
        yield from ("", "## Unsupported", "")
        lacks = Counter((c.runtime, c.lacks) for c in self.cells if c.verdict == "unsupported")
        for runtime in dict.fromkeys(runtime for runtime, _ in lacks):
            told = [f"{what} ({n})" for (name, what), n in lacks.most_common() if name == runtime]
            yield f"- {runtime}: {', '.join(told)}"

    def _reasons(self) -> Iterator[str]:
        by_reason: dict[str, list[str]] = {}
        for finding in self.findings:
            for reason, cells in finding.explained.items():
                runtimes = ", ".join(
                    dict.fromkeys(f"{c.full_format} in {c.runtime}" for c in cells)
                )
                told = reason or f"not explained: {cells[0].detail}"
                by_reason.setdefault(told, []).append(f"{finding.model} ({runtimes})")
        for reason, models in sorted(by_reason.items()):
            yield f"- {reason}: {'; '.join(models)}"


def _plain(reason: str) -> str:
    """A reason in one line, without colours and the names of nodes, which differ each time."""
    line = " ".join(re.sub(r"\x1b\[[\d;]*m", "", reason).split())
    return re.sub(r" \(functional[^)]*\)| \[\[.*", "", line)[:160]
