"""One report of this machine, a browser, a machine by ssh and two workers, each by its name."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import portproof
from portproof.bundle.bundle import DEVICES, Bundle
from portproof.bundle.report import Report
from portproof.devices.serving import DeviceService
from portproof.runtimes import ssh
from tests.helpers.damaging import scale_weights
from tests.helpers.dask_cluster import cluster
from tests.helpers.programs import browser_variables, node_command
from tests.helpers.ssh_server import SSHD, ssh_server

pytestmark = pytest.mark.skipif(
    not SSHD.exists() or os.getuid() != 0, reason="no sshd that may run here: make test unpacks it"
)
NAMES = ["onnxruntime", "openvino"]


def written(report: Report, file: Path) -> Path:
    file.write_text(report.to_json())
    return file


def by_link(bundle: Path) -> Path:
    """The report of a browser that opens the link."""
    service = DeviceService(Bundle.open(bundle))
    with service.running("127.0.0.1", 0) as link:
        visit = node_command("device.mjs", link)
        variables = {**os.environ, **browser_variables()}
        subprocess.run(visit, env=variables, check=True, capture_output=True)
    [file] = (bundle / DEVICES).iterdir()
    return file


def test_one_report_of_every_kind_of_host(
    quadratic_in: Callable[[str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bundle = shutil.copytree(quadratic_in("onnx"), tmp_path / "quadratic")
    monkeypatch.setenv("PORTPROOF_HOST", "desk")
    files = [written(portproof.verify(bundle, runtimes=NAMES), tmp_path / "desk.json")]
    files.append(by_link(bundle))
    with cluster(tmp_path, "one", "two") as workers:
        there = portproof.verify(bundle, runtimes=NAMES, scheduler=workers.address)
        files.append(written(there, tmp_path / "workers.json"))
    (tmp_path / "sshd").mkdir()
    with ssh_server(tmp_path / "sshd", "board") as variables:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        whole = portproof.verify(bundle, runtimes=NAMES, on=["board"])
        packed = ssh._packed

        def damaged(folder: Path) -> bytes:
            copy = shutil.copytree(folder, tmp_path / f"damaged-{folder.name}")
            for file in copy.glob("*.onnx"):
                scale_weights(file)
            return packed(copy)

        monkeypatch.setattr(ssh, "_packed", damaged)
        wrong = portproof.verify(bundle, runtimes=NAMES, on=["board"])
    right = portproof.merge(*files, written(whole, tmp_path / "board.json"))
    browser = files[1].stem
    assert set(right.hosts) == {"desk", browser, "one", "two", "board"}
    assert {cell.host for cell in right.cells} == set(right.hosts)
    assert right.exit_status == 0, right.failures
    told = portproof.merge(*files, written(wrong, tmp_path / "wrong.json"))
    assert told.exit_status == 1
    assert {cell.host for cell in told.failures} == {"board"}
    assert {cell.host for cell in told.cells if cell.verdict == "wrong"} == {"board"}
