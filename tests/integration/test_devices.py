"""`portproof serve`: devices that open the link, those that lie, send garbage, and go away."""

import gzip
import json
import os
import shutil
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import portproof
from portproof.bundle import tensors
from portproof.bundle.bundle import Bundle
from portproof.bundle.report import Report
from portproof.bundle.report_files import read_report
from portproof.bundle.tensors import Arrays, in_group
from portproof.devices.serving import DeviceService
from portproof.reporting.summary import deciding
from tests.conftest import REPOSITORY
from tests.helpers.accessibility import findings
from tests.helpers.programs import browser_variables, node_command

# Debian's, unpacked by the Makefile.
FIREFOX = REPOSITORY / ".venv" / "firefox" / "usr" / "lib" / "firefox-esr" / "firefox-esr"
PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) Version/18.1 Mobile Safari/604.1"


@pytest.fixture
def bundle(quadratic_in: Callable[[str], Path], tmp_path: Path) -> Bundle:
    """One artifact that every page runs in one way."""
    return Bundle.open(shutil.copytree(quadratic_in("onnx"), tmp_path / "quadratic"))


@dataclass
class Served:
    """A service under way: its link, and the reports that came so far."""

    link: str
    reports: dict[str, Report] = field(default_factory=dict)
    arrived: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))


@contextmanager
def served(bundle: Bundle, patience: float = 600.0) -> Iterator[Served]:
    found = Served("")

    def arrived(name: str, report: Report, _: str) -> None:
        found.reports[name] = report
        found.arrived.release()

    service = DeviceService(bundle, patience=patience, on_report=arrived)
    with service.running("127.0.0.1", 0) as found.link:
        yield found


def status_of(address: str, body: bytes | None = None) -> int:
    try:
        with urllib.request.urlopen(urllib.request.Request(address, body), timeout=60) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


@dataclass
class Page:
    """What a device's page does, without a browser: it knows the right answers by heart."""

    link: str
    bundle: Bundle
    key: str = ""
    agent: str = PHONE

    def __post_init__(self) -> None:
        words = {"key": self.key, "agent": self.agent, "versions": {"WebGPU adapter": "one"}}
        opened = self._json("devices", json.dumps(words).encode())
        self.key, self.name = opened["key"], opened["name"]
        self.base = f"devices/{self.key}/{opened['page']}"

    def _read(self, path: str, body: bytes | None = None) -> bytes:
        request = urllib.request.Request(self.link + path, body)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return bytes(answer.read())

    def _json(self, path: str, body: bytes | None = None) -> Any:
        return json.loads(self._read(path, body))

    def task(self) -> Any:
        """The next task; None when all is done."""
        while True:
            told = self._json(f"{self.base}/task")
            if told["task"] or told["state"]["done"]:
                return told["task"]

    def inputs(self, task: Any) -> Arrays:
        return tensors.from_bytes(self._read(f"{self.base}/inputs?task={task['number']}"))

    def right(self, task: Any) -> Arrays:
        """What the original gave for these inputs, row by row."""
        known: dict[bytes, Arrays] = {}
        none: Arrays = {}
        for vector in self.bundle.vectors("serving_default"):
            arrays = self.bundle.read(vector)
            for row, x in enumerate(arrays["inputs/x"]):
                reference = in_group(arrays, "reference")
                known[x.tobytes()] = {name: array[row] for name, array in reference.items()}
                none = {name: array[:0] for name, array in reference.items()}
        rows = [known[x.tobytes()] for x in self.inputs(task)["x"]]
        if not rows:
            return none
        return {name: np.stack([row[name] for row in rows]) for name in rows[0]}

    def answer(self, task: Any, outputs: Arrays) -> None:
        content = tensors.to_bytes(outputs)
        line = {"seconds": 0.001, "load": 0.01, "backend": task["backend"], "size": len(content)}
        self.send(task, json.dumps(line).encode() + b"\n" + content)

    def send(self, task: Any, content: bytes) -> int:
        return status_of(f"{self.link}{self.base}/answer?task={task['number']}", content)

    def leave(self) -> None:
        self._read(f"{self.base}/left", b"")

    def all_right(self) -> None:
        while task := self.task():
            self.answer(task, self.right(task))


def test_a_device_is_judged_by_what_it_sends(bundle: Bundle) -> None:
    with served(bundle) as found:
        page = Page(found.link, bundle)
        page.all_right()
        found.arrived.acquire(timeout=60)
    [(name, report)] = found.reports.items()
    assert name == "iphone-safari-18"
    assert report.ok, report.failures
    assert {cell.runtime for cell in report.cells} == {
        "onnxruntime-browser-wasm",
        "onnxruntime-browser-webgpu",
    }
    assert report.environment.host == name
    assert report.environment.platform == PHONE
    written = bundle.path / "devices" / f"{name}.json"
    merged = portproof.merge(written)
    assert {cell.host for cell in merged.cells} == {name}


def test_a_device_that_lies_is_wrong_and_no_other_is(bundle: Bundle) -> None:
    """Two at once, of which one runs a damaged copy."""
    with served(bundle) as found:
        honest, liar = Page(found.link, bundle), Page(found.link, bundle)
        assert (honest.name, liar.name) == ("iphone-safari-18", "iphone-safari-18-2")
        thread = threading.Thread(target=honest.all_right)
        thread.start()
        while task := liar.task():
            liar.answer(task, {name: array + 1 for name, array in liar.right(task).items()})
        thread.join()
        for _ in range(2):
            assert found.arrived.acquire(timeout=60)
    assert found.reports[honest.name].ok
    assert {cell.verdict for cell in deciding(found.reports[liar.name].cells)} == {"wrong"}
    files = [bundle.path / "devices" / f"{name}.json" for name in found.reports]
    merged = portproof.merge(*files)
    assert {cell.host for cell in merged.failures} == {liar.name}


def test_a_device_that_goes_away_goes_on_where_it_was(bundle: Bundle) -> None:
    with served(bundle) as found:
        page = Page(found.link, bundle)
        first = page.task()
        page.answer(first, page.right(first))
        page.task()  # and is closed with it
        page.leave()
        again = Page(found.link, bundle, page.key)
        assert again.name == page.name
        assert status_of(f"{page.link}{page.base}/task") == 409  # the page before it is over
        again.all_right()
        assert found.arrived.acquire(timeout=60)
    assert found.reports[page.name].ok


def test_a_page_that_asks_late_still_gets_its_verdict(bundle: Bundle) -> None:
    ready = threading.Event()
    service = DeviceService(bundle, on_report=lambda *_: ready.set())
    with ThreadPoolExecutor(1) as pool, service.running("127.0.0.1", 0) as link:
        page = Page(link, bundle)
        while not ready.wait(1) and (task := page.task()):
            page.answer(task, page.right(task))  # and does not ask at once what comes next

        def ask_late() -> Any:
            time.sleep(1)
            return page.task()

        late = pool.submit(ask_late)
    assert late.result() is None


def test_what_a_page_dies_of_costs_that_cell(bundle: Bundle) -> None:
    with served(bundle) as found:
        page = Page(found.link, bundle)
        for _ in range(2):
            page.task()
            page.leave()
            page = Page(found.link, bundle, page.key)
        page.all_right()
        assert found.arrived.acquire(timeout=60)
    failed = [cell for cell in found.reports[page.name].cells if cell.verdict == "failed"]
    assert len(failed) == 1
    assert "went away while it computed this, twice" in failed[0].detail


def test_what_nobody_was_there_to_compute_is_absent(bundle: Bundle) -> None:
    with served(bundle, patience=1.0) as found:
        page = Page(found.link, bundle)
        task = page.task()
        page.answer(task, page.right(task))
        page.leave()
        assert found.arrived.acquire(timeout=60)
    report = found.reports[page.name]
    assert report.exit_status == 3
    assert portproof.merge(bundle.path / "devices" / f"{page.name}.json").exit_status == 3
    assert {cell.verdict for cell in report.cells} <= {"absent", "exact"}
    assert "absent" in {cell.verdict for cell in report.cells}


def test_a_device_can_send_answers_and_nothing_else(bundle: Bundle) -> None:
    with served(bundle) as found:
        page = Page(found.link, bundle)
        task = page.task()
        assert page.send(task, b"no line of JSON") == 400
        assert page.send(task, b'{"seconds": "NaN"}\n') == 400
        assert page.send(task, bytes(40 << 20)) == 413
        assert page.send({"number": 10_000}, b"{}") == 409
        right = page.right(task)
        content = tensors.to_bytes(right)
        line = json.dumps({"seconds": 0, "backend": task["backend"], "size": len(content)})
        page.send(task, line.encode() + b"\n" + content[:-1])  # cut off
        page.all_right()
        assert found.arrived.acquire(timeout=60)
    failed = {cell.detail for cell in found.reports[page.name].cells if not cell.passed}
    assert len(failed) == 1
    assert "no safetensors" in failed.pop()


def test_a_file_is_served_as_it_is_and_not_a_packed_one_beside_it(bundle: Bundle) -> None:
    [artifact] = [a for a in bundle.manifest.artifacts if a.format == "onnx"]
    file = bundle.path / artifact.files[0].path
    file.with_name(f"{file.name}.gz").write_bytes(gzip.compress(b"another model"))
    with served(bundle) as found:
        address = f"{found.link}artifact/{artifact.files[0].path}"
        request = urllib.request.Request(address, headers={"Accept-Encoding": "gzip, br"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            assert answer.read() == file.read_bytes()


def test_odd_requests_are_refused_and_cost_nothing(
    bundle: Bundle, capfd: pytest.CaptureFixture[str]
) -> None:
    with served(bundle) as found:
        page = Page(found.link, bundle)
        base = f"{found.link}devices/{page.key}"
        for address in (
            f"{found.link}app/x%00.js",
            f"{found.link}app/{'a' * 300}.js",
            f"{base}/{'9' * 5000}/task",
            f"{base}/1/inputs?task={'9' * 5000}",
            f"{base}/-1/task",
        ):
            assert 400 <= status_of(address) < 500, address
        for headers in (
            {"Content-Type": "application/json; charset=nope"},
            {"Content-Encoding": "gzip"},
        ):
            request = urllib.request.Request(f"{found.link}devices", b"{", headers=headers)
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(request, timeout=60)
            assert 400 <= refused.value.code < 500
        page.all_right()
        assert found.arrived.acquire(timeout=60)
    assert found.reports[page.name].ok
    assert "Traceback" not in capfd.readouterr().err


def test_a_device_that_is_not_through_has_no_report(bundle: Bundle) -> None:
    with served(bundle) as found:
        Page(found.link, bundle).task()
    assert not found.reports
    assert not (bundle.path / "devices").exists()


def test_another_runs_devices_keep_their_reports(bundle: Bundle) -> None:
    for _ in range(2):
        with served(bundle) as found:
            Page(found.link, bundle).all_right()
            assert found.arrived.acquire(timeout=60)
    names = sorted(path.stem for path in (bundle.path / "devices").iterdir())
    assert names == ["iphone-safari-18", "iphone-safari-18-2"]


def test_nothing_is_served_without_the_token_or_beside_the_artifacts(bundle: Bundle) -> None:
    with served(bundle) as found:
        origin = found.link.rsplit("/", 2)[0]
        [artifact] = [a for a in bundle.manifest.artifacts if a.format == "onnx"]
        file = artifact.files[0].path
        assert status_of(f"{found.link}artifact/{file}") == 200
        assert status_of(f"{found.link}app/page/onnxruntime.html") == 200
        for address in (
            f"{origin}/",
            f"{origin}/another/artifact/{file}",
            f"{found.link}artifact/manifest.json",
            f"{found.link}artifact/{bundle.manifest.vectors[0].file.path}",
            f"{found.link}artifact/../manifest.json",
            f"{found.link}artifact/%2e%2e/manifest.json",
            f"{found.link}app/../serving.py",
            f"{found.link}app/%2e%2e/serving.py",
            f"{found.link}app/node_modules/../environment.json",
            f"{found.link}devices/another/1/task",
        ):
            assert status_of(address) == 404, address
        assert status_of(f"{found.link}devices", b"no JSON") == 400
        assert status_of(f"{found.link}devices", b'{"key": "' + bytes(9000) + b'"}') == 413


@contextmanager
def command_serving(bundle: Bundle) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """The command, until one device has a report; gives the link, and the process."""
    command = [sys.executable, "-m", "portproof", "serve", str(bundle.path), "--until", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            yield next(line for line in process.stdout if line.startswith("http")).strip(), process
        finally:
            process.terminate()


def test_a_real_browser_at_a_phones_size(bundle: Bundle) -> None:
    with command_serving(bundle) as (link, process):
        visit = node_command("device.mjs", link)
        variables = {**os.environ, **browser_variables()}
        done = subprocess.run(visit, env=variables, capture_output=True, text=True, check=False)
        printed = process.communicate(timeout=60)[0]
    assert done.returncode == 0, done.stderr
    assert "The numbers are the same on this device" in done.stdout
    assert process.returncode == 0
    assert "quadratic proven" in printed
    assert "portproof merge" in printed
    [file] = (bundle.path / "devices").iterdir()
    assert "WebGL renderer" in file.read_text()


def test_axe_finds_nothing_serious_on_the_page(bundle: Bundle) -> None:
    with served(bundle) as service:
        assert findings(service.link, settled="this device:") == []


@pytest.mark.skipif(not FIREFOX.exists(), reason="no Firefox: make test unpacks Debian's")
def test_another_browser_than_chromium(bundle: Bundle, tmp_path: Path) -> None:
    """It has no GPU here, and says so."""
    own = [FIREFOX.parent, FIREFOX.parents[1] / "x86_64-linux-gnu"]
    variables = {**os.environ, "LD_LIBRARY_PATH": ":".join(map(str, own)), "HOME": str(tmp_path)}
    profile = tmp_path / "profile"
    profile.mkdir()
    with command_serving(bundle) as (link, process):
        visit = [str(FIREFOX), "--headless", "--no-remote", "--profile", str(profile), link]
        with subprocess.Popen(visit, env=variables, stderr=subprocess.DEVNULL) as browser:
            try:
                printed = process.communicate(timeout=240)[0]
            finally:
                browser.terminate()
    assert "linux-firefox-" in printed
    [file] = (bundle.path / "devices").iterdir()
    found = {(cell.runtime, cell.verdict) for cell in deciding(read_report(file).cells)}
    assert ("onnxruntime-browser-wasm", "faithful") in found
    assert ("onnxruntime-browser-webgpu", "unsupported") in found
    assert process.returncode == 0


def test_what_cannot_be_served_is_one_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "portproof", "serve", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "is not a bundle" in done.stderr
    assert "Traceback" not in done.stderr
