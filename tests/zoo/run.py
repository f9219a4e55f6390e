"""Exports models of the zoo and verifies them."""

from collections.abc import Callable, Iterable
from pathlib import Path

import keras

import portproof
from export.write import write
from tests.zoo import applications, layers, weights
from tests.zoo.matrix import Matrix
from verify.report import GATING

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
    return write(source, folder / name, regimes=GATING).path


def run(names: Iterable[str], folder: Path, log: Callable[[str], None]) -> Matrix:
    """The matrix of some models, in every runtime that is here."""
    matrix = Matrix()
    waiting: list[Path] = []
    chosen = list(names)
    for name in chosen:
        waiting.append(exported(name, folder))
        log(f"exported {name}")
        if len(waiting) == TOGETHER or name == chosen[-1]:
            matrix.add(portproof.verify(*waiting))
            log("\n".join(matrix.summary()))
            waiting = []
    return matrix
