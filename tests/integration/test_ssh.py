"""`portproof verify --on HOST`: runtimes of another machine, reached by a real sshd."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import portproof
from portproof.bundle.report import Report
from portproof.bundle.report_files import read_report
from tests.helpers.ssh_server import SSHD, ssh_server

pytestmark = pytest.mark.skipif(
    not SSHD.exists() or os.getuid() != 0, reason="no sshd that may run here: make test unpacks it"
)


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with ssh_server(tmp_path_factory.mktemp("sshd"), "board") as variables:
        yield variables


@pytest.fixture
def reached(board: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in board.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def bundle(quadratic_in: Callable[[str], Path], tmp_path: Path) -> Path:
    return shutil.copytree(quadratic_in("tflite"), tmp_path / "quadratic")


def on_board(bundle: Path, *runtimes: str) -> Report:
    return portproof.verify(bundle, on=["board"], runtimes=list(runtimes) or None)


@pytest.mark.usefixtures("reached")
def test_another_machines_runtimes_prove_it_by_its_name(bundle: Path) -> None:
    here = portproof.verify(bundle, runtimes=["litert"])
    desk = bundle.with_name("desk.json")
    desk.write_text(here.to_json())
    there = on_board(bundle, "litert", "tensorflow")
    assert there.exit_status == 0, there.failures
    assert {cell.host for cell in there.cells} == {"board"}
    assert {cell.runtime for cell in there.cells} == {"litert", "tensorflow"}
    assert "sandbox" in there.hosts["board"].model_dump()
    assert there.hosts["board"].runtimes["litert"] == here.environment.runtimes["litert"]
    assert read_report(bundle / "report.json").cells == there.cells
    both = portproof.merge(desk, bundle)
    assert {cell.host for cell in both.cells} == {here.environment.host, "board"}


@pytest.mark.usefixtures("reached")
def test_what_the_other_machine_lacks_is_absent_and_no_pass(bundle: Path) -> None:
    report = on_board(bundle, "litert@1.2.3")
    assert {cell.verdict for cell in report.cells} == {"absent"}
    assert "board does not know litert@1.2.3" in report.cells[0].detail
    assert report.exit_status == 3


@pytest.mark.usefixtures("reached")
def test_a_damaged_bundle_is_refused_before_anything_is_sent(bundle: Path) -> None:
    other = shutil.copytree(bundle, bundle.with_name("other"))
    file = next((other / "tflite").glob("*.tflite"))
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    report = on_board(other, "litert")
    assert report.refused
    assert report.exit_status == 1


@pytest.mark.parametrize(
    ("address", "message"),
    [("-oProxyCommand=touch x", "give a host"), ("", "give a host")],
)
def test_an_address_that_is_none_is_one_line(address: str, message: str, bundle: Path) -> None:
    with pytest.raises(portproof.UsageError, match=message):
        portproof.verify(bundle, on=[address])


@pytest.mark.usefixtures("reached")
def test_a_machine_without_portproof_is_one_line(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PORTPROOF_SSH", f"{os.environ['PORTPROOF_SSH']} -o SetEnv=X=1 -p 1")
    with pytest.raises(portproof.UsageError, match=r"Connection refused.*--version"):
        on_board(bundle)
