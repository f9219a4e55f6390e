"""Exports the models, and verifies them in each version of each family of runtimes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import portproof
from export.train import MODELS, source_of, train
from portproof import Report
from portproof.bundle.manifest import DECIDING
from portproof.exporting import export_source
from verify.zoo.run import SUBSET, export_model


@dataclass(frozen=True)
class Family:
    """Runtimes that are of one version: the versions that are tried, the newest last."""

    title: str
    runtimes: tuple[str, ...]
    versions: tuple[str, ...]

    @property
    def names(self) -> list[str]:
        """As `--runtime` takes them."""
        return [f"{name}@{version}" for version, name in product(self.versions, self.runtimes)]


# The last patch of every minor version, and of TF.js every second minor of version 4.
FAMILIES = {
    "litert": Family(
        "LiteRT",
        ("litert", "litert-reference"),
        ("1.0.1", "1.1.2", "1.2.0", "1.3.0", "1.4.0", "2.0.3", "2.1.6", "2.2.0", "2.3.0"),
    ),
    "tfjs": Family(
        "TF.js",
        ("tfjs-node-cpu", "tfjs-node-wasm", "tfjs-chromium-webgl"),
        (
            *(f"3.{minor}.0" for minor in range(18, 22)),
            *(f"4.{minor}.0" for minor in range(0, 24, 2)),
        ),
    ),
    "tensorflow": Family(
        "TensorFlow",
        ("tensorflow", "tensorflow-c"),
        ("2.16.2", "2.17.1", "2.18.1", "2.19.1", "2.20.0", "2.21.0"),
    ),
}


def export_models(folder: Path, log: Callable[[str], None]) -> list[Path]:
    """Export the models of export/, and the part of the zoo that the tests run."""
    bundles = []
    for name in MODELS:
        train(name, folder / "training")
        source = source_of(name, folder / "training")
        bundles.append(export_source(source, folder / name, regimes=DECIDING).path)
        log(f"exported {name}")
    for name in SUBSET:
        bundles.append(export_model(name, folder))
        log(f"exported {name}")
    return bundles


def run(bundles: Sequence[Path], family: Family, log: Callable[[str], None]) -> Report:
    """Verify the bundles in every version of a family. A version without a wheel is absent."""
    return portproof.verify(*bundles, runtimes=family.names, log=log)
