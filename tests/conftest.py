"""What the tests share: the built-in models, trained and exported once."""

from pathlib import Path

import pytest

import portproof
from portproof.bundle.bundle import Bundle

REPOSITORY = Path(__file__).parent.parent
MODELS = ("quadratic", "my_module", "quadratic_keras")


@pytest.fixture(scope="session")
def training(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built-in models, trained."""
    folder = tmp_path_factory.mktemp("training")
    for name in MODELS:
        portproof.train(name, folder=folder, log=lambda _: None)
    return folder


@pytest.fixture(scope="session")
def bundles(training: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Bundle]:
    """The built-in models, exported. Not to be changed: tests.damage makes copies."""
    folder = tmp_path_factory.mktemp("artifacts")
    return {name: portproof.export(name, folder / name, training=training) for name in MODELS}
