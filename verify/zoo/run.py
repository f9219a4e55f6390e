"""Exports models of the zoo and verifies them."""

from collections.abc import Callable, Iterable
from pathlib import Path

import keras

import portproof
from portproof.bundle.bundle import REPORT
from portproof.bundle.manifest import DECIDING
from portproof.bundle.report import Report
from portproof.exporting import export_source
from verify.zoo import applications, layers, weights
from verify.zoo.matrix import Matrix

MODELS = {**layers.MODELS, **applications.MODELS}
# Verified together, so that each runtime starts once for so many.
TOGETHER = 12


def exported(name: str, folder: Path) -> Path:
    """One model with weights that make it vary, as a bundle."""
    keras.utils.clear_session()
    source = weights.source(name, weights.alive(name, MODELS[name]()))
    for output, spread in weights.spread(source).items():
        assert spread > weights.SPREAD, f"{name}: {output} is the same for every sample ({spread})"
    # The matrix is of what counts; edges would double the browser's time, shader by shader.
    return export_source(source, folder / name, regimes=DECIDING).path


def run(names: Iterable[str], folder: Path, log: Callable[[str], None]) -> Matrix:
    """The matrix of some models, in every runtime that is here.

    A model whose report is in the folder already is not run again.
    """
    matrix = Matrix()
    chosen = list(names)
    waiting: list[Path] = []
    for name in chosen:
        if (folder / name / REPORT).is_file():
            matrix.add(Report.model_validate_json((folder / name / REPORT).read_text()))
        else:
            waiting.append(exported(name, folder))
            log(f"exported {name}")
        if waiting and (len(waiting) == TOGETHER or name == chosen[-1]):
            matrix.add(portproof.verify(*waiting))
            log("\n".join(matrix.summary()))
            waiting = []
    return matrix
