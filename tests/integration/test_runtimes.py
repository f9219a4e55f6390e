"""The table of runtimes: an absent one says why, and TensorFlow is imported only once."""

import re
from pathlib import Path

import psutil
import pytest

from portproof.bundle.bundle import Bundle
from portproof.bundle.errors import UsageError
from portproof.bundle.report import Cell
from portproof.runtimes.runtime import Runtime
from portproof.runtimes.table import RUNTIMES, select
from portproof.verifying.scheduling import run_cells

PYTHON = [
    "tensorflow",
    "keras",
    "keras-jax",
    "keras-openvino",
    "litert",
    "litert-reference",
    "tflite-micro",
    "openvino",
    "tensorflow-c",
]


def named(name: str) -> Runtime:
    [runtime] = [runtime for runtime in RUNTIMES if runtime.name == name]
    return runtime


def pids_with_tensorflow() -> set[int]:
    """Processes below this one that have TensorFlow's Python extension in memory."""
    pids = set()
    for process in psutil.Process().children(recursive=True):
        try:
            if any("portproof.formats.converting" in word for word in process.cmdline()):
                continue  # an export's, which stays for a while
            maps = Path(f"/proc/{process.pid}/maps").read_text()
        except (OSError, psutil.Error):
            continue
        if "_pywrap_tensorflow" in maps:
            pids.add(process.pid)
    return pids


def test_tensorflow_is_imported_once_for_all_bundles_and_runtimes(
    bundles: dict[str, Bundle],
) -> None:
    seen: set[int] = set()

    def record(_: Cell) -> None:
        seen.update(pids_with_tensorflow())

    report = run_cells(list(bundles.values()), select(PYTHON, []), on_cell=record)
    assert report.exit_status == 0
    assert {cell.runtime for cell in report.cells} == set(PYTHON)
    assert len(seen) == 1


def test_every_runtime_that_can_be_installed_is_present() -> None:
    absent = {runtime.name for runtime in RUNTIMES if runtime.missing()}
    # PyTorch is gigabytes, and may be here or not; the others want a running server or a device.
    assert absent - {"keras-torch"} == {"serving-rest", "serving-grpc", "litert-adb"}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("keras-torch", "portproof setup keras-torch"),
        ("serving-rest", "--serving URL of a running server"),
    ],
)
def test_an_absent_runtime_says_how_to_get_it(
    name: str, message: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PORTPROOF_CACHE", str(tmp_path))
    assert re.search(message, named(name).missing())


def test_without_a_compiler_the_c_runtime_names_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PORTPROOF_CACHE", str(tmp_path))
    monkeypatch.setenv("CC", "no-such-compiler")
    missing = named("tensorflow-c").missing()
    assert "C compiler" in missing
    assert missing.endswith("portproof setup tensorflow-c")


def test_without_its_packages_the_command_that_gets_them_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PORTPROOF_CACHE", str(tmp_path))
    assert named("tfjs-node-cpu").missing() == "portproof setup tfjs-node-cpu"
    other = select(["tfjs-node-cpu@4.10.0"], [])[0]
    assert other.missing() == "portproof setup tfjs-node-cpu@4.10.0"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("litert@", "'' is no version"),
        ("litert@../x", "is no version"),
        ("litert@latest", "is no version"),
        ("tfjs-node-cpu@4", "is no version"),
        ("tfjs-node-cpu@4.x", "is no version"),
        ("litert-chromium-wasm@2.5", "is no version"),
        ("nothing@1.0", "there is no runtime 'nothing'"),
        ("serving-rest@1.0", "has no versions to choose from"),
    ],
)
def test_a_wrong_version_is_one_message(name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        select([name], [])


def test_a_missing_browser_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHROME", "/no/such/browser")
    assert "$CHROME is /no/such/browser" in named("tfjs-chromium-webgl").missing()
    monkeypatch.delenv("CHROME")
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("platform.machine", lambda: "arm64")
    assert "install Chrome" in named("tfjs-chromium-webgl").missing()


def test_the_default_version_by_its_number_shares_the_default_environment() -> None:
    default, short, whole = select(["tfjs-node-cpu", "litert", "litert@2.3"], [])
    assert default.environment
    [numbered] = select([f"tfjs-node-cpu@{default.environment.version}"], [])
    assert numbered.process == default.process
    assert whole.process == short.process
