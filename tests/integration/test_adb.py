"""`litert-adb`: what it asks of adb, and what it makes of the answers. No device is here."""

import shlex
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import portproof
from portproof.runtimes import litert_adb
from tests.helpers.programs import HELPERS


@pytest.fixture
def device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder that is the device's disk."""
    root, programs = tmp_path / "device", tmp_path / "programs"
    programs.mkdir()
    (root / "data" / "local" / "tmp").mkdir(parents=True)
    (root / litert_adb.TOOL.lstrip("/")).touch()
    adb = programs / "adb"
    words = shlex.join([sys.executable, str(HELPERS / "adb.py"), str(root)])
    adb.write_text(f'#!/bin/sh\nexec {words} "$@"\n')
    adb.chmod(0o755)
    monkeypatch.setenv("PATH", str(programs), prepend=":")
    litert_adb._asked.cache_clear()
    yield root
    litert_adb._asked.cache_clear()


@pytest.fixture
def bundle(quadratic_in: Callable[[str], Path], tmp_path: Path) -> Path:
    return shutil.copytree(quadratic_in("tflite"), tmp_path / "quadratic")


def verified(bundle: Path) -> portproof.Report:
    # The pretended device is this machine's files, which a sandbox would hide.
    return portproof.verify(bundle, runtimes=["litert-adb"], trust=True)


@pytest.mark.usefixtures("device")
def test_what_a_device_computes_is_judged(bundle: Path) -> None:
    report = verified(bundle)
    assert report.ok, report.failures
    assert {cell.verdict for cell in report.cells if cell.regime != "edge"} == {"exact"}
    assert report.environment.runtimes["litert-adb"] == {"benchmark_model": "Pretend 9"}


@pytest.mark.usefixtures("device")
def test_other_bytes_than_the_outputs_have_are_no_pass(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANDROID_SERIAL", "damaged")
    report = verified(bundle)
    assert {cell.verdict for cell in report.cells if cell.regime != "edge"} == {"failed"}
    assert "bytes" in report.failures[0].detail


def test_without_a_device_it_is_absent(bundle: Path, device: Path) -> None:
    (device / litert_adb.TOOL.lstrip("/")).unlink()
    report = verified(bundle)
    assert {cell.verdict for cell in report.cells} == {"absent"}
    assert "the device has no /data/local/tmp/benchmark_model" in report.cells[0].detail
    assert report.exit_status == 3
