"""Exports the models of the zoo and verifies them."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import keras

import portproof
from portproof.bundle.bundle import REPORT
from portproof.bundle.manifest import DECIDING
from portproof.bundle.report import Report
from portproof.exporting import export_source
from portproof.runtimes.table import select
from verify.zoo import applications, layers, trained, weights
from verify.zoo.matrix import Matrix

MODELS = {**layers.MODELS, **applications.MODELS}
# Small models that together have a convolution, a loop, nesting and several dtypes.
SUBSET = ("conv_2d", "lstm", "nested")
# Where there is no GPU, software computes what a shader would, in minutes for each of these.
NOT_IN_SHADERS = (
    "efficientnet_b0",
    "efficientnet_v2_b0",
    "densenet_121",
    "nasnet_mobile",
    "resnet_50_v2",
    "xception",
    "inception_v3",
    "convnext_tiny",
)
# How many models are verified in one go: each runtime starts once for all of them.
MODELS_AT_ONCE = 12


def export_model(name: str, folder: Path) -> Path:
    """Export one model, whose outputs must vary. Returns the bundle's folder."""
    keras.utils.clear_session()
    if name in trained.MODELS:
        source = trained.MODELS[name].source(name, folder / ".packages")
    else:
        source = weights.source(name, weights.with_random_weights(name, MODELS[name]()))
    for output, spread in weights.output_spread(source).items():
        assert spread > weights.MINIMUM_SPREAD, (
            f"{name}: {output} is the same for every sample ({spread})"
        )
    # The matrix has only regimes that decide. `edge` would double the time that the browser spends
    # on shaders.
    return export_source(source, folder / name, regimes=DECIDING).path


def run(names: Iterable[str], folder: Path, log: Callable[[str], None]) -> Matrix:
    """The matrix of some models, in every runtime that is installed here.

    A model that already has a report in the folder is not run again.
    """
    matrix = Matrix()
    all_names = list(names)
    unverified: list[Path] = []
    for name in all_names:
        if (folder / name / REPORT).is_file():
            matrix.add_report(Report.model_validate_json((folder / name / REPORT).read_text()))
        else:
            unverified.append(export_model(name, folder))
            log(f"exported {name}")
        if unverified and (len(unverified) == MODELS_AT_ONCE or name == all_names[-1]):
            for report in _verified(unverified):
                matrix.add_report(report)
            log("\n".join(matrix.summary()))
            unverified = []
    return matrix


def _verified(bundles: list[Path]) -> Iterator[Report]:
    """The reports of the bundles, those together that are run in the same runtimes."""
    large = [path for path in bundles if path.name in NOT_IN_SHADERS]
    if others := [path for path in bundles if path not in large]:
        yield portproof.verify(*others)
    if large:
        here = [r.name for r in select([], []) if not r.shader and not r.missing()]
        yield portproof.verify(*large, runtimes=here)
