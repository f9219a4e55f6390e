"""Checks what the raw converters made of whole and of damaged models: `make foreign`."""

import argparse
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import portproof

portproof.start_tensorflow()

import numpy as np  # noqa: E402

from portproof.bundle.manifest import DECIDING  # noqa: E402
from portproof.bundle.report import Report  # noqa: E402
from verify.foreign.converting import CONVERTERS, PLACES, save  # noqa: E402
from verify.foreign.models import MODELS, built, cases, rows  # noqa: E402

_INTRODUCTION = (
    "Made by `python -m verify.foreign --write` (`make foreign`). Models as a person's script",
    "exports them, whole and with what goes wrong in such scripts, through the raw converters:",
    "TensorFlow's for TFLite, tf2onnx, and TensorFlow.js's. Each file is checked against the Keras",
    "model by `portproof.check`, in LiteRT, ONNX Runtime and TF.js in Node.",
)
RESULTS = Path(__file__).parent / "RESULTS.md"


@dataclass(frozen=True)
class Result:
    """What came of one file; `damage` is empty where there was none."""

    model: str
    format: str
    damage: str
    caught: bool
    reason: str
    share: float


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m verify.foreign", description=__doc__)
    known = ", ".join(MODELS)
    parser.add_argument("names", nargs="*", help=f"any of {known}; all if none is named")
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.name}")
    arguments = parser.parse_args()
    results: list[Result] = []
    with tempfile.TemporaryDirectory(prefix="portproof-") as folder:
        for name in arguments.names or MODELS:
            for result in checked(name, Path(folder) / name):
                print(result, flush=True)
                results.append(result)
    lines = list(page(results))
    print("\n".join(lines[:12]))
    if arguments.write:
        RESULTS.write_text("\n".join(lines) + "\n")
    compared = [result for result in results if result.share]
    raise SystemExit(0 if all(r.caught == bool(r.damage) for r in compared) else 1)


def checked(name: str, folder: Path) -> Iterator[Result]:
    """Every file of one model."""
    folder.mkdir()
    built(name).save(folder / "model.keras")
    data = rows(name)
    np.savez(folder / "rows.npz", **data)
    for number, case in enumerate(cases(name)):
        of_case = folder / str(number)
        of_case.mkdir()
        saved = save(case, data, of_case)
        for format_, (convert, runtime) in CONVERTERS.items():
            report = portproof.check(
                convert(saved, of_case),
                folder / "model.keras",
                inputs=folder / "rows.npz",
                names=PLACES[format_],
                folder=of_case,
                runtimes=[runtime],
                trust=True,
            )
            yield _result(name, format_, case.name, report)


def _result(name: str, format_: str, damage: str, report: Report) -> Result:
    cells = [cell for cell in report.cells if cell.regime in DECIDING]
    reasons = [cell.detail for cell in cells if not cell.passed]
    shares = [cell.bound_ratio for cell in cells if cell.bound_ratio is not None]
    return Result(
        name, format_, damage, not report.ok, "".join(reasons[:1]), max(shares, default=0.0)
    )


def page(results: list[Result]) -> Iterator[str]:
    """Recall and false alarms, and each kind of damage."""
    # What a runtime does not run at all is caught by nobody's numbers.
    damaged = [result for result in results if result.damage and result.share]
    whole = [result for result in results if not result.damage and result.share]
    never = [result for result in results if not result.damage and not result.share]
    caught = sum(result.caught for result in damaged)
    yield "# Files that other tools wrote"
    yield ""
    yield from _INTRODUCTION
    yield ""
    yield f"- **Damaged: {caught} of {len(damaged)} are caught.**"
    yield f"- **Whole: {sum(r.caught for r in whole)} of {len(whole)} are flagged.** The farthest"
    yield f"  of them uses {100 * max(r.share for r in whole):.0f} % of its bound."
    for result in never:
        of_place = [r for r in results if (r.model, r.format) == (result.model, result.format)]
        yield f"- Not counted: {len(of_place)} of {result.model} as {result.format}, which does not"
        yield f"  run: {result.reason}"
    yield ""
    yield "| damage | files | caught | least error, in bounds |"
    yield "| --- | --- | --- | --- |"
    for title in dict.fromkeys(result.damage for result in damaged):
        of_title = [result for result in damaged if result.damage == title]
        found = sum(result.caught for result in of_title)
        least = min(result.share for result in of_title)
        yield f"| {title} | {len(of_title)} | {found} | {least:.3g} |"
    missed = [result for result in damaged if not result.caught]
    if missed:
        yield ""
        yield "Not caught:"
        yield ""
    for result in missed:
        what = f"{result.model} as {result.format}: {result.damage}"
        yield f"- {what} ({result.share:.3g} of the bound)"


if __name__ == "__main__":
    main()
