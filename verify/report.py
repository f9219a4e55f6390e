"""Report: all the cells of a bundle, or of several."""

import math
from collections.abc import Iterable, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from bundle.manifest import Regime, full_name
from verify.curves import Curve, Errors
from verify.envelope import Envelope
from verify.metrics import Metrics
from verify.performance import Performance
from verify.verdict import GRADES, PASSING, Verdict, worst

SCHEMA: Literal["portproof/report/1"] = "portproof/report/1"

# The regimes that decide the exit status; `edge` is reported.
GATING: tuple[Regime, ...] = ("typical", "batch")

Key = tuple[str, str, str]  # model, format, variant


class WorstElement(BaseModel):
    """Which element of which case is farthest off, and both values; `None` for NaN or infinity."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="null")

    case: str
    index: tuple[int, ...]
    got: float
    reference: float


class Cell(BaseModel):
    """One artifact in one runtime on one signature, output and regime.

    The metrics are those of `verify/metrics.py` over all cases of the regime, `None` where nothing
    could be compared or where a figure is infinite (`sqnr` without any noise) or has no meaning.
    `equal` is the share of bit-equal elements; `row_*` are of the worst row. `samples` counts
    rows, `seconds` is what the runner took to compute them all. `worst` is the element that is
    farthest off, where one is off. `envelope` says, in `edge`, where the verdict ends. `errors` are
    those of some elements on the model's own data, see `curves.py`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="null")

    model: str
    format: str
    variant: str
    runtime: str
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
    worst: WorstElement | None = None
    samples: int = 0
    seconds: float | None = None
    detail: str = ""
    envelope: tuple[Envelope, ...] = ()
    errors: Errors = ()

    @property
    def artifact(self) -> Key:
        return self.model, self.format, self.variant

    @property
    def full_format(self) -> str:
        return full_name(self.format, self.variant)

    @property
    def passed(self) -> bool:
        return self.verdict in PASSING


class Environment(BaseModel):
    """Where a report was made. `runtimes` has the versions that each runner gave of itself."""

    platform: str
    processor: str
    python: str
    portproof: str
    runtimes: dict[str, dict[str, str]]


class Report(BaseModel):
    """The outcome of `portproof verify`. `bundle` maps each model to its manifest's SHA-256.

    `refused` maps a bundle's path to why nothing of it was run: it is not what was exported.
    `left_out` maps each model to the formats that it was not exported to, and why.
    `notes` maps each model to its artifacts of which something is to be known: what was done that a
    plain conversion does not, and under `vectors` how these were come by.
    `unknown` maps each model to artifacts whose format no runtime of the table knows, and `unkept`
    each file of a report to why it could not be written.
    `interrupted` says that Ctrl-C ended it, so cells are missing.
    `strict` makes `edge` count for the exit status. `sizes` has each model's artifacts in bytes.
    `asked` are the runtimes that the person named: each must have run something. Where none was
    named, each artifact must have been checked by at least one runtime.
    """

    model_config = ConfigDict(populate_by_name=True)

    schema_: Literal["portproof/report/1"] = Field(default=SCHEMA, alias="schema")
    ok: bool = False
    bundle: dict[str, str]
    environment: Environment
    refused: dict[str, str] = {}
    left_out: dict[str, dict[str, str]] = {}
    notes: dict[str, dict[str, tuple[str, ...]]] = {}
    unknown: dict[str, list[str]] = {}
    unkept: dict[str, str] = {}
    interrupted: bool = False
    asked: tuple[str, ...] = ()
    strict: bool = False
    sizes: dict[str, dict[str, int]] = {}
    performance: list[Performance] = []
    curves: list[Curve] = []
    cells: list[Cell]

    @property
    def failures(self) -> list[Cell]:
        """The cells that make the exit status 1."""
        return [c for c in self.bad if c.regime in GATING or self.strict]

    @property
    def bad(self) -> list[Cell]:
        """The cells that are wrong or failed, those that do not count among them."""
        return [c for c in self.cells if c.verdict in ("wrong", "failed")]

    @property
    def unchecked(self) -> list[str]:
        """What was asked for and is covered by no cell with a verdict, a line each."""
        lines = [f"runtime {name} is absent" for name in self.asked if name in self.absent]
        ran = {cell.runtime for cell in self.cells}
        lines += [f"runtime {name} had nothing to run" for name in self.asked if name not in ran]
        checked = {c.artifact for c in self.cells if c.verdict != "absent"}
        left = [key for key in self.artifacts if key not in checked]
        lines += [f"{' '.join(filter(None, key))} ran in no runtime" for key in left]
        return lines + [f"no runtime knows {m} {n}" for m, ns in self.unknown.items() for n in ns]

    @property
    def counts(self) -> dict[str, int]:
        """How many of the cells that count have each verdict, from best to worst."""
        gating = [cell for cell in self.cells if cell.regime in GATING]
        counts = {v: sum(c.verdict == v for c in gating) for v in (*GRADES, "absent")}
        return {verdict: count for verdict, count in counts.items() if count}

    @property
    def absent(self) -> dict[str, str]:
        """The runtimes that are not here, and how to have them."""
        return {c.runtime: c.detail for c in self.cells if c.verdict == "absent"}

    @property
    def artifacts(self) -> list[Key]:
        return list(dict.fromkeys(cell.artifact for cell in self.cells))

    @property
    def exit_status(self) -> int:
        """0 proven; 1 wrong, failed, refused, or nothing compared; 3 asked for and absent.

        130 where Ctrl-C ended it, as the shell has it for SIGINT.
        """
        if self.interrupted:
            return 130
        if self.refused or self.failures:
            return 1
        if self.unchecked:
            return 3
        return 0 if any(cell.passed and cell.regime in GATING for cell in self.cells) else 1

    def of(self, model: str) -> "Report":
        """The part of the report that is about one model."""
        cells = [cell for cell in self.cells if cell.model == model]
        only = {
            "bundle": {model: self.bundle[model]},
            "refused": {},
            "left_out": {name: why for name, why in self.left_out.items() if name == model},
            "notes": {name: said for name, said in self.notes.items() if name == model},
            "sizes": {name: sizes for name, sizes in self.sizes.items() if name == model},
            "curves": [one for one in self.curves if one.model == model],
            "performance": [one for one in self.performance if one.model == model],
            "unknown": {name: what for name, what in self.unknown.items() if name == model},
            "cells": cells,
        }
        return finished(self.model_copy(update=only))

    def to_json(self) -> str:
        return self.model_dump_json(indent=2, by_alias=True) + "\n"


def described(metrics: Metrics, case: str) -> dict[str, Any]:
    """Metrics as the fields of a cell; `case` is the one with the worst element."""

    def plain(value: float | None) -> float | None:
        return value if value is not None and math.isfinite(value) else None

    worst_element = None
    if metrics.worst and not metrics.bit_equal:
        worst_element = WorstElement(case=case, **vars(metrics.worst))
    names = (
        *("max_abs", "mean_abs", "row_mean_abs", "max_rel", "mean_rel", "sqnr", "row_sqnr"),
        *("cosine", "row_cosine", "error_ratio", "bound_ratio", "bound_mean", "shader_ratio"),
    )
    return {
        **{name: plain(getattr(metrics, name)) for name in names},
        "max_ulp": metrics.max_ulp,
        "equal": metrics.equal / metrics.elements if metrics.elements else None,
        "flushed": metrics.flushed,
        "worst": worst_element,
        "samples": metrics.samples,
    }


def finished(report: Report) -> Report:
    """The report with `ok` set from its cells."""
    return report.model_copy(update={"ok": report.exit_status == 0})


def nearness(gating: Sequence[Cell], ulp: str = "ulp") -> str:
    """What says most about how near: dB of a variant, else ULPs; nothing where there is nothing."""
    verdict = overall(gating)
    noise = [cell.row_sqnr for cell in gating if cell.row_sqnr is not None]
    if verdict == "close" and gating[0].variant and noise:
        return f"{min(noise):.0f} dB"
    ulps = [cell.max_ulp for cell in gating if cell.max_ulp is not None]
    return f"{max(ulps)} {ulp}" if ulps and verdict != "exact" else ""


def overall(cells: Iterable[Cell]) -> Verdict:
    """The worst verdict of cells that have one; `absent` where none has."""
    verdicts = [cell.verdict for cell in cells if cell.verdict != "absent"]
    return worst(verdicts) if verdicts else "absent"
