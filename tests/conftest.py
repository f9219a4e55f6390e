"""Fixtures that the tests share: the models of export/, trained and exported once."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
from hypothesis import settings

import portproof
from export.train import MODELS, source_of, train
from portproof import Bundle
from portproof.bundle.bundle import PAGE, REPORT

REPOSITORY = Path(__file__).parent.parent
PACKAGE = REPOSITORY / "src" / "portproof"
_SHARED: list[Path] = []  # the folders of `bundles`

# `make fuzz`: this many examples where `make test` tries a hundred.
# How long a machine takes that others use is nothing that these tests are about.
settings.register_profile("default", deadline=None)
settings.load_profile("default")
settings.register_profile("fuzz", max_examples=4000, print_blob=True, deadline=None)


@pytest.fixture(scope="session")
def training(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The models, trained."""
    folder = tmp_path_factory.mktemp("training")
    for name in MODELS:
        train(name, folder)
    return folder


@pytest.fixture(scope="session")
def bundles(training: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Bundle]:
    """The models, exported. Tests must not change them: verify.faults.damage makes copies."""
    folder = tmp_path_factory.mktemp("artifacts")
    _SHARED.extend(folder / name for name in MODELS)
    return {name: portproof.export(source_of(name, training), folder / name) for name in MODELS}


@pytest.fixture(autouse=True)
def _nothing_is_left_over() -> Iterator[None]:
    """A test's report of a shared bundle, and its seed of TensorFlow's, are not the next one's."""
    yield
    for folder in _SHARED:
        for name in (REPORT, PAGE):
            (folder / name).unlink(missing_ok=True)
    if tensorflow := sys.modules.get("tensorflow"):
        tensorflow.random.set_seed(None)


@pytest.fixture(scope="session")
def quadratic_in(training: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Gives a bundle of quadratic in one format, which tests copy before they change it."""

    @cache
    def exported(format_: str) -> Path:
        folder = tmp_path_factory.mktemp(format_)
        source = source_of("quadratic", training)
        return portproof.export(source, folder / "quadratic", formats=[format_]).path

    return exported


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package, built as it would be published."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True)
    [path] = folder.glob("*.whl")
    return path
