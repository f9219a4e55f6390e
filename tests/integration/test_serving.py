"""The client of TensorFlow Serving, against a server of its two interfaces.

The real server cannot be installed here; README says so and gives the command that runs it.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

import portproof
from portproof.bundle.bundle import Bundle
from portproof.bundle.errors import UsageError
from portproof.runtimes.environments.python import PythonEnvironment
from portproof.runtimes.python.serving_runner import encoded
from tests.conftest import REPOSITORY

SERVER = str(REPOSITORY / "tests" / "helpers" / "serving_server.py")


@contextmanager
def served(bundle: Bundle, *fault: str) -> Iterator[list[str]]:
    """The REST and the gRPC address of a server of the bundle's SavedModel."""
    name = bundle.manifest.model
    command = [sys.executable, SERVER, str(bundle.path / "savedmodel"), name, *fault]
    with subprocess.Popen(
        command,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as server:
        assert server.stdin
        assert server.stdout
        rest, grpc = server.stdout.readline().split()
        yield [
            f"http://127.0.0.1:{rest}/v1/models/{name}",
            f"grpc://127.0.0.1:{grpc}/v1/models/{name}",
        ]
        server.stdin.close()


SERVING = ["serving-rest", "serving-grpc"]


@pytest.mark.parametrize(
    "model",
    [
        "quadratic",
        pytest.param("my_module", marks=pytest.mark.slow),
        pytest.param("quadratic_keras", marks=pytest.mark.slow),
    ],
)
def test_a_served_model_is_proven_over_rest_and_grpc(
    model: str, bundles: dict[str, Bundle]
) -> None:
    with served(bundles[model]) as urls:
        report = portproof.verify(bundles[model].path, runtimes=SERVING, serving=urls)
    assert report.exit_status == 0, report.failures
    assert {c.verdict for c in report.cells if c.regime != "edge"} == {"exact"}
    assert {c.runtime for c in report.cells} == set(SERVING)
    [edge] = [c for c in report.cells if (c.regime, c.runtime) == ("edge", "serving-rest")]
    assert edge.verdict == "unsupported"
    assert "what JSON cannot carry: the shape" in edge.detail


@pytest.mark.slow
def test_the_locked_environments_of_what_is_installed_here_prove_a_model(
    bundles: dict[str, Bundle], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the other tests run in place: whoever has Portproof alone gets these."""
    monkeypatch.setattr(PythonEnvironment, "in_place", False)
    names = ["tensorflow", "keras", "litert", "litert-reference", "tensorflow-c", *SERVING]
    with served(bundles["quadratic"]) as urls:
        report = portproof.verify(bundles["quadratic"].path, runtimes=names, serving=urls)
    assert report.exit_status == 0
    assert {cell.runtime for cell in report.cells if cell.passed} == set(names)


def test_a_server_that_shortens_its_floats_is_wrong(bundles: dict[str, Bundle]) -> None:
    with served(bundles["quadratic"], "six digits") as (rest, _):
        report = portproof.verify(
            bundles["quadratic"].path, runtimes=["serving-rest"], serving=[rest]
        )
    assert report.exit_status == 1
    assert {c.verdict for c in report.failures} == {"wrong"}


def test_a_server_of_another_model_and_no_server_are_failures(bundles: dict[str, Bundle]) -> None:
    path = bundles["quadratic"].path
    with served(bundles["my_module"]) as urls:
        report = portproof.verify(path, runtimes=SERVING, serving=urls)
    assert {c.verdict for c in report.cells} == {"failed"}
    assert "has no signature serving_default" in report.failures[0].detail
    gone = portproof.verify(path, runtimes=SERVING, serving=urls)
    assert {c.verdict for c in gone.cells} == {"failed"}
    assert gone.exit_status == 1


def test_without_a_url_serving_is_absent(bundles: dict[str, Bundle]) -> None:
    report = portproof.verify(bundles["quadratic"].path, runtimes=["serving-rest"])
    assert report.exit_status == 3
    assert "--serving URL" in report.cells[0].detail


def test_a_runtime_with_a_given_server_is_requested(bundles: dict[str, Bundle]) -> None:
    path, nowhere = bundles["my_module"].path, "http://127.0.0.1:9/v1/models/my_module"
    report = portproof.verify(path, runtimes=["litert"], serving=[nowhere])
    assert {c.runtime for c in report.cells} == {"litert", "serving-rest"}
    assert report.exit_status == 1
    with pytest.raises(UsageError, match="one http"):
        portproof.verify(path, serving=[nowhere, nowhere])


@pytest.mark.parametrize("url", ["ftp://x", "127.0.0.1:8501"])
def test_a_url_of_another_kind_is_refused(url: str, bundles: dict[str, Bundle]) -> None:
    with pytest.raises(UsageError, match="--serving"):
        portproof.verify(bundles["quadratic"].path, serving=[url])


def test_json_carries_every_float32_but_a_nans_bits() -> None:
    bits = np.random.default_rng(7).integers(0, 2**32, 20_000, np.uint32)
    floats = bits.view(np.float32)
    special = np.array([0.0, -0.0, np.inf, -np.inf, 1e-45, 3.4e38], np.float32)
    encoded({"x": np.concatenate([floats[~np.isnan(floats)], special])})
    payload = np.array([0x7FC00001], np.uint32).view(np.float32)
    with pytest.raises(ValueError, match="cannot carry input x exactly"):
        encoded({"x": payload})
