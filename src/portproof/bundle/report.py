"""What `report.json` holds: the cells of a bundle, or of several, as artifacts/README.md has it."""

from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from portproof.bundle import exit_policy
from portproof.bundle.manifest import DECIDING, Regime, full_name
from portproof.bundle.text import printable
from portproof.bundle.verdicts import ILL_CONDITIONED, PASSING, Verdict

SCHEMA: Literal["portproof/report/3"] = "portproof/report/3"

ArtifactKey = tuple[str, str, str]  # model, format, variant
# Errors in units in the last place; None where a value is not finite.
Errors = tuple[float | None, ...]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="null")


class _OnHost(_Record):
    """What is of one runtime on one host.

    Attributes:
        runtime: The runtime's name.
        host: The host's, in a report of several; empty: the one that the report was made on.
    """

    runtime: str
    host: str = ""

    @property
    def place(self) -> str:
        """The runtime, and in a report of several hosts where: `litert on board`."""
        return f"{self.runtime} on {self.host}" if self.host else self.runtime


class Curve(_Record):
    """The reference's own errors along one output, on the model's own data, for a plot.

    Attributes:
        axis: The input whose value each element belongs to; empty where an element is plotted at
            its place in the output.
        at: Where on that axis each plotted element is.
        reference: The reference's error at each, in units in the last place of the output's dtype
            at the oracle's value.
    """

    model: str
    signature: str
    output: str
    axis: str
    at: tuple[float, ...]
    reference: Errors


class TensorError(_Record):
    """How near one tensor inside an artifact is to the reference's.

    Attributes:
        name: The reference's node.
        op: What it computes.
        layer: The layer that it is in; empty: none.
        verdict: As of an output.
        bound_ratio: The largest error, in units of what rounding allows; None where the two cannot
            be compared, or no bound is known.
    """

    name: str
    op: str
    layer: str
    verdict: Verdict
    bound_ratio: float | None


class GraphErrors(_OnHost):
    """What a diagnosis found along the graph of an artifact, for a plot.

    Attributes:
        case: The test vector.
        tensors: What was compared, in the order of computation.
        first: The place in `tensors` of the first that leaves the reference; None where none does.
    """

    model: str
    format: str
    signature: str
    case: str
    tensors: Annotated[tuple[TensorError, ...], Field(min_length=1)]
    first: int | None = Field(default=None, ge=0)

    @model_validator(mode="after")
    def _check_first(self) -> "GraphErrors":
        if self.first is not None and self.first >= len(self.tensors):
            raise ValueError("first is no place in tensors")
        return self


class Envelope(_Record):
    """The region around the model's own data in which an output keeps its verdict, as measured.

    The magnitude of `input` was taken down and up from that of the model's own data, until the
    verdict was no longer `verdict` or better.

    Attributes:
        low: The last magnitude on the way down with that verdict.
        high: The last magnitude on the way up with that verdict.
        lower: In words, where the verdict ended on the way down and what came there; empty where
            it never did.
        upper: The same on the way up.
    """

    input: str
    verdict: Verdict
    low: float
    high: float
    lower: str = ""
    upper: str = ""

    def __str__(self) -> str:
        if not self.lower and not self.upper:
            return f"{self.verdict} for every {self.input} that was tried"
        return f"{self.verdict} for " + ", and ".join(filter(None, [self.upper, self.lower]))


class Timing(_Record):
    """Seconds of single calls with `rows` rows: the median, and the 10th and 90th percentile.

    Timed is the runtime's own call, without reading the inputs and writing the outputs.
    """

    rows: int
    calls: int
    median: float
    low: float
    high: float


class Performance(_OnHost):
    """How fast one signature of one artifact is in one runtime, and how much memory it takes.

    Attributes:
        load: Seconds to load the artifact, in a runtime that has started already.
        memory: The most bytes that the runner's process and all that it started had resident at
            once, seen five times a second. The runtime itself is part of it, and so is Python or a
            browser.
        timings: Of one row, and of the batch of the model's own data.
        error: Why there are no timings.
    """

    model: str
    format: str
    variant: str
    signature: str
    load: float | None = None
    memory: int | None = None
    timings: tuple[Timing, ...] = ()
    error: str = ""

    @property
    def full_format(self) -> str:
        return full_name(self.format, self.variant)


class WorstElement(_Record):
    """Which element of which case is farthest off, and both values."""

    case: str
    index: tuple[int, ...]
    got: float
    reference: float


class Cell(_OnHost):
    """One artifact in one runtime on one signature, output and regime.

    The metrics are those of `comparing/metrics.py` over all cases of the regime, `None` where
    nothing could be compared, or where a figure is infinite (`sqnr` without any noise) or has no
    meaning.

    Attributes:
        equal: The share of bit-equal elements.
        row_mean_abs: The names that begin with `row_` are of the worst row.
        share_of_range: The largest difference relative to the range of the reference's values.
        relative_bound: What rounding allows, relative to the output's own size.
        same_largest: Of a variant's scores, the share of rows with the same largest element.
        accuracy: The share of labelled rows that are given their label; `reference_accuracy` is the
            Python model's.
        labelled: How many rows have a label.
        worst: The element that is farthest off, where one is.
        samples: How many rows were compared.
        seconds: How long the runner computed for all of them.
        detail: The reason for the verdict, or what the runner noted.
        lacks: Of `unsupported`, what the runtime says that it lacks: an op, a kernel, a feature.
        envelope: Of `edge`, where the verdict ends.
        errors: The errors of some elements on the model's own data, for a plot.
    """

    model: str
    format: str
    variant: str
    signature: str
    output: str
    regime: Regime
    verdict: Verdict
    max_abs: float | None = None
    mean_abs: float | None = None
    row_mean_abs: float | None = None
    max_rel: float | None = None
    mean_rel: float | None = None
    max_ulp: int | None = None
    sqnr: float | None = None
    row_sqnr: float | None = None
    cosine: float | None = None
    row_cosine: float | None = None
    equal: float | None = None
    flushed: int = 0
    error_ratio: float | None = None
    bound_ratio: float | None = None
    bound_mean: float | None = None
    shader_ratio: float | None = None
    share_of_range: float | None = None
    relative_bound: float | None = None
    same_largest: float | None = None
    accuracy: float | None = None
    reference_accuracy: float | None = None
    labelled: int = 0
    worst: WorstElement | None = None
    samples: int = 0
    seconds: float | None = None
    detail: Annotated[str, AfterValidator(printable)] = ""
    lacks: Annotated[str, AfterValidator(printable)] = ""
    envelope: tuple[Envelope, ...] = ()
    errors: Errors = ()

    @property
    def artifact(self) -> ArtifactKey:
        return self.model, self.format, self.variant

    @property
    def full_format(self) -> str:
        return full_name(self.format, self.variant)

    @property
    def passed(self) -> bool:
        return self.verdict in PASSING

    @property
    def ill_conditioned(self) -> bool:
        """Whether rounding alone may move the output by more than a thousandth of its size."""
        return self.relative_bound is not None and self.relative_bound > ILL_CONDITIONED


class NotRun(_OnHost):
    """What one artifact's signature was not asked for in one runtime.

    Attributes:
        regime: `edge`, whose cases decide nothing and may take a part of the time that the others
            took; else what was left out of those that decide, because a row takes long there.
        cases: The cases, or in words what of them.
        of: How many cases there are.
        hopeless: Whether nothing of the model's own data ran there, so that nothing else will.
    """

    model: str
    format: str
    variant: str
    signature: str
    regime: Regime
    cases: tuple[str, ...]
    of: int
    hopeless: bool = False


# `Environment.sandbox` where the runners had all rights of the person who started them.
NO_SANDBOX = "none"


class Environment(BaseModel):
    """Where a report was made.

    `host` is the machine's name, `device` tells devices of one name apart, `runtimes` has the
    versions that each runner reported, `sandbox` the tool that kept them.
    """

    model_config = ConfigDict(extra="forbid")

    host: str = ""
    device: str = ""
    platform: str
    processor: str
    python: str
    portproof: str
    sandbox: str = NO_SANDBOX
    runtimes: dict[str, dict[str, str]]


class Report(BaseModel):
    """The outcome of a verification.

    Attributes:
        ok: Whether the exit status is 0.
        bundle: The SHA-256 of each model's manifest.
        environment: Where the report was made; of several hosts, the first.
        hosts: Of a report that was merged of several hosts, each by its name.
        held_to: By model, the runtime that gave the references, where nobody has the original.
        refused: By a bundle's path, why nothing of it was run: it is not what was exported.
        left_out: By model, the formats that it was not exported to, and why.
        left_out_signatures: By model, its signatures that no bundle can carry, and why.
        notes: By model, what is worth knowing of its artifacts: what was done that a plain
            conversion does not do; under `vectors`, where the test vectors came from.
        unknown_formats: By model, the artifacts whose format no runtime knows.
        unwritten: By path, why a file of the report could not be written.
        interrupted: Whether Ctrl-C ended the verification, so that cells are missing.
        requested: The runtimes that the person named. Each must have run something; where none was
            named, each artifact must have run somewhere.
        targets: By model, the runtimes that it ships to, which then decide alone.
        strict: Whether `edge` counts for the exit status.
        sizes: By model and artifact, bytes.
        unvouched: The models whose test vectors nobody is known to vouch for: fetched, without the
            key of a publisher whom the person trusts, and not made again here.
        shortcomings: By model and signature, why its test vectors prove nothing.
        performance: Load times, latencies and memory.
        curves: The reference's errors, for plots.
        graph_errors: What diagnoses of this bundle found, after the verification.
        not_run: What was left out, of cells that are there and of edge cases.
        cells: The cells.
    """

    model_config = ConfigDict(populate_by_name=True, extra="forbid")

    schema_: Literal["portproof/report/3"] = Field(default=SCHEMA, alias="schema")
    ok: bool = False
    bundle: dict[str, str]
    environment: Environment
    hosts: dict[str, Environment] = {}
    held_to: dict[str, str] = {}
    refused: dict[str, str] = {}
    left_out: dict[str, dict[str, str]] = {}
    left_out_signatures: dict[str, dict[str, str]] = {}
    notes: dict[str, dict[str, tuple[str, ...]]] = {}
    unknown_formats: dict[str, list[str]] = {}
    unwritten: dict[str, str] = {}
    interrupted: bool = False
    requested: tuple[str, ...] = ()
    targets: dict[str, tuple[str, ...]] = {}
    strict: bool = False
    sizes: dict[str, dict[str, int]] = {}
    unvouched: tuple[str, ...] = ()
    shortcomings: dict[str, dict[str, str]] = {}
    performance: list[Performance] = []
    curves: list[Curve] = []
    graph_errors: list[GraphErrors] = []
    not_run: list[NotRun] = []
    cells: list[Cell]

    def __repr__(self) -> str:
        """In a line: at Python's prompt and in a test's message, the whole is thousands."""
        counted = Counter(cell.verdict for cell in self.cells if cell.regime in DECIDING)
        told = ", ".join(f"{count} {verdict}" for verdict, count in counted.items()) or "no cells"
        return f"<Report of {', '.join(self.bundle) or 'nothing'}: {self.outcome}; {told}>"

    def __str__(self) -> str:
        return repr(self)  # pydantic's own is all of it

    def _repr_html_(self) -> str:
        """As Jupyter shows it."""
        from portproof.reporting.notebook import report_html

        return report_html(self)

    @property
    def outcome(self) -> str:
        """The verdict of all of it, in words."""
        if not self.ok:
            return "not proven"
        if self.unvouched:
            return "agrees with its own test vectors"
        if self.held_to:
            return f"agrees with {', '.join(dict.fromkeys(self.held_to.values()))}"
        return "proven"

    @property
    def exit_status(self) -> int:
        """See `exit_policy.exit_status`."""
        return exit_policy.exit_status(self)

    @property
    def failures(self) -> list[Cell]:
        """The cells that make the exit status 1."""
        return exit_policy.failures(self)

    @property
    def unchecked(self) -> list[str]:
        """What was requested and is covered by no cell with a verdict, a line each."""
        return exit_policy.unchecked(self)

    @property
    def unproven(self) -> list[str]:
        """The artifacts that no runtime here supports, a line each."""
        return exit_policy.unproven(self)

    @property
    def not_passing(self) -> list[Cell]:
        """The cells that are wrong or failed, whether they count or not."""
        return [cell for cell in self.cells if cell.verdict in ("wrong", "failed")]

    @property
    def absent(self) -> dict[str, str]:
        """The runtimes that are not here, and how to have them."""
        return {c.runtime: c.detail for c in self.cells if c.verdict == "absent"}

    @property
    def artifacts(self) -> list[ArtifactKey]:
        return list(dict.fromkeys(cell.artifact for cell in self.cells))

    def of_model(self, model: str) -> "Report":
        """The part of the report that is about one model; "" for none."""

        def only(by_model: dict[str, Any]) -> dict[str, Any]:
            return {name: value for name, value in by_model.items() if name == model}

        part = {
            "bundle": only(self.bundle),
            "held_to": only(self.held_to),
            "refused": {},
            "left_out": only(self.left_out),
            "left_out_signatures": only(self.left_out_signatures),
            "notes": only(self.notes),
            "sizes": only(self.sizes),
            "shortcomings": only(self.shortcomings),
            "unvouched": tuple(name for name in self.unvouched if name == model),
            "unknown_formats": only(self.unknown_formats),
            "targets": only(self.targets),
            "curves": [curve for curve in self.curves if curve.model == model],
            "graph_errors": [errors for errors in self.graph_errors if errors.model == model],
            "performance": [timed for timed in self.performance if timed.model == model],
            "not_run": [entry for entry in self.not_run if entry.model == model],
            "cells": [cell for cell in self.cells if cell.model == model],
        }
        return self.model_copy(update=part).finished()

    def of_refused(self, path: str, reason: str) -> "Report":
        """The report of one bundle that was refused: that, and nothing of any other bundle."""
        refused = {"refused": {path: reason}, "ok": False}
        return self.of_model("").model_copy(update=refused)

    def finished(self) -> "Report":
        """The report with `ok` set from its cells."""
        return self.model_copy(update={"ok": self.exit_status == 0})

    def to_json(self) -> str:
        return self.model_dump_json(indent=2, by_alias=True) + "\n"


def joined(reports: Sequence[Report]) -> Report:
    """Reports of different models as one. `requested` and the environment are the last one's."""
    last = reports[-1]
    by_model = (
        "bundle",
        "held_to",
        "left_out",
        "left_out_signatures",
        "notes",
        "unknown_formats",
        "sizes",
        "shortcomings",
        "targets",
        "refused",
    )
    update: dict[str, Any] = {
        name: {key: value for report in reports for key, value in getattr(report, name).items()}
        for name in (*by_model, "unwritten")
    }
    update["unvouched"] = tuple(model for report in reports for model in report.unvouched)
    for name in ("curves", "graph_errors", "performance", "not_run", "cells"):
        update[name] = [item for report in reports for item in getattr(report, name)]
    update["interrupted"] = any(report.interrupted for report in reports)
    return last.model_copy(update=update).finished()


def renewed(old: Report, new: Report) -> Report:
    """A bundle's report after a verification that was narrowed to some runtimes.

    The cells of those are the new ones, those of the others stay. Nothing stays of another bundle,
    machine or Portproof.
    """
    here, before = new.environment, old.environment
    same_place = (here.platform, here.processor, here.portproof) == (
        before.platform,
        before.processor,
        before.portproof,
    )
    several = old.hosts or new.hosts
    if not new.requested or old.bundle != new.bundle or not same_place or old.refused or several:
        return new
    run = {cell.runtime for cell in new.cells}
    update = {
        "cells": [*(cell for cell in old.cells if cell.runtime not in run), *new.cells],
        "performance": [*(p for p in old.performance if p.runtime not in run), *new.performance],
        "not_run": [*(n for n in old.not_run if n.runtime not in run), *new.not_run],
        "graph_errors": [errors for errors in old.graph_errors if errors.runtime not in run],
        "environment": here.model_copy(update={"runtimes": {**before.runtimes, **here.runtimes}}),
        "requested": (*old.requested, *new.requested) if old.requested else (),
        "interrupted": new.interrupted,
    }
    return new.model_copy(update=update).finished()
