"""`portproof verify --scheduler`: real Dask schedulers and workers on this machine."""

import json
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from distributed import Variable

import portproof
from portproof.bundle.bundle import MANIFEST, Bundle
from portproof.bundle.errors import BundleError, UsageError
from portproof.bundle.report import Report
from portproof.bundle.report_files import read_report
from portproof.runtimes.table import select
from portproof.workers import bundles, verifying
from portproof.workers.bundles import BundleSource, BundleStore
from portproof.workers.worker import MEMORY, RUNTIME
from tests.helpers.dask_cluster import PROGRAMS, Cluster, cluster


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two workers, which tests leave alone."""
    with cluster(tmp_path_factory.mktemp("dask"), "one", "two") as found:
        yield found


@pytest.fixture
def bundle(quadratic_in: Callable[[str], Path], tmp_path: Path) -> Path:
    return shutil.copytree(quadratic_in("tflite"), tmp_path / "quadratic")


def verdicts(report: Report) -> dict[Any, str]:
    return {
        (c.artifact, c.runtime, c.output, c.regime): c.verdict
        for c in report.cells
        if c.regime != "edge"
    }


def test_two_workers_prove_it_by_their_names(two: Cluster, bundle: Path) -> None:
    names = ["litert", "litert-reference", "openvino", "tensorflow"]
    here = portproof.verify(bundle, runtimes=names)
    there = portproof.verify(bundle, runtimes=names, scheduler=two.address)
    assert there.exit_status == 0, there.failures
    assert {cell.host for cell in there.cells} == {"one", "two"}
    assert set(there.hosts) == {"one", "two"}
    assert verdicts(there) == verdicts(here)
    assert read_report(bundle / "report.json").cells == there.cells


def test_what_no_worker_has_is_named_at_once(two: Cluster, bundle: Path) -> None:
    started = time.monotonic()
    report = portproof.verify(bundle, runtimes=["litert@1.2.3"], scheduler=two.address)
    assert time.monotonic() - started < 20
    assert {cell.verdict for cell in report.cells} == {"absent"}
    assert "no worker has it" in report.cells[0].detail
    assert report.exit_status == 3


def test_a_bundle_that_was_changed_on_its_way_is_refused(
    two: Cluster, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Another one than the workers have already.
    manifest = json.loads((bundle / MANIFEST).read_text())
    (bundle / MANIFEST).write_text(json.dumps({**manifest, "model": "other"}))

    class Damaging(Variable):
        def set(self, value: Any, timeout: Any = None, **_: Any) -> None:
            super().set(value[:-1] + b"x", timeout=timeout)

    monkeypatch.setattr(verifying, "Variable", Damaging)
    report = portproof.verify(bundle, runtimes=["litert"], scheduler=two.address)
    assert report.exit_status == 1
    assert not report.cells
    assert "was changed on its way" in report.refused[str(bundle)]


def test_a_published_bundle_is_fetched_from_where_it_is(
    two: Cluster, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert portproof.verify(bundle, runtimes=["litert", "tensorflow"]).ok
    address = portproof.publish(bundle, f"file://{tmp_path}/store", version="one")
    monkeypatch.setattr(verifying, "packed", None)  # the scheduler has nothing to carry
    report = portproof.verify(address, runtimes=["litert"], scheduler=two.address)
    assert report.exit_status == 0, (report.refused, report.failures)
    assert {cell.host for cell in report.cells} <= {"one", "two"}


def test_a_lost_workers_tasks_go_to_another(tmp_path: Path, bundle: Path) -> None:
    names = ["litert", "litert-reference", "openvino", "tensorflow", "onnxruntime"]
    with cluster(tmp_path, "one", "two") as found:
        timer = threading.Timer(2.0, found.kill, ["one"])
        timer.start()
        report = portproof.verify(bundle, runtimes=names[:4], scheduler=found.address)
        timer.join()
    assert report.exit_status == 0, report.failures
    assert len(verdicts(report)) == len([c for c in report.cells if c.regime != "edge"])


def test_without_a_worker_left_it_is_absent_and_never_a_pass(
    tmp_path: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verifying, "PATIENCE", 3.0)
    with cluster(tmp_path, "one") as found:
        submit = verifying._Run._submit

        def killing(self: Any, workers: Any) -> None:
            submit(self, workers)
            if found.processes["one"].poll() is None:
                found.kill("one")

        monkeypatch.setattr(verifying._Run, "_submit", killing)
        report = portproof.verify(bundle, runtimes=["litert"], scheduler=found.address)
    assert {cell.verdict for cell in report.cells} == {"absent"}
    assert "no worker has it any more" in report.cells[0].detail
    assert report.exit_status == 3


def test_a_scheduler_that_comes_again_is_found(tmp_path: Path, bundle: Path) -> None:
    names = ["litert", "litert-reference", "openvino", "tensorflow"]

    def restart() -> None:
        found.kill("scheduler")
        found.start("scheduler")

    with cluster(tmp_path, "one") as found:
        timer = threading.Timer(3.0, restart)
        timer.start()
        report = portproof.verify(bundle, runtimes=names, scheduler=found.address)
        timer.join()
    assert report.exit_status == 0, report.failures
    assert {cell.runtime for cell in report.cells} == set(names)


def test_without_a_scheduler_it_is_one_line(bundle: Path) -> None:
    with pytest.raises(UsageError, match=r"no scheduler that answers.*dask scheduler"):
        portproof.verify(bundle, scheduler="tcp://127.0.0.1:1")
    with pytest.raises(UsageError, match="has no certificates"):
        portproof.verify(bundle, scheduler="tls://127.0.0.1:1")
    with pytest.raises(UsageError, match="two ways to run elsewhere"):
        portproof.verify(bundle, scheduler="tcp://127.0.0.1:1", on=["board"])


def test_a_task_that_no_worker_has_the_memory_for_is_named(bundle: Path) -> None:
    [litert] = select(["litert"], [])
    task = verifying._Task("q", Bundle.open(bundle), litert, "key", 12.5)
    small = {"resources": {f"{RUNTIME}litert": 1.0, MEMORY: 4.0}}
    large = {"resources": {f"{RUNTIME}litert": 1.0, MEMORY: 16.0}}
    other = {"resources": {f"{RUNTIME}openvino": 1.0, MEMORY: 16.0}}
    assert verifying._lacking(task, [small, large]) == ""
    assert "13 GiB" in verifying._lacking(task, [small, other])
    assert "no worker has it" in verifying._lacking(task, [other])


def test_a_bundle_is_fetched_once_and_checked(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetches = []

    def fetch(source: BundleSource, folder: Path) -> None:
        fetches.append(source)
        shutil.copytree(bundle, folder)

    monkeypatch.setattr(bundles, "_fetch", fetch)
    monkeypatch.setattr(bundles, "MAX_KEPT", 0)
    store = BundleStore()
    source = BundleSource(Bundle.open(bundle).digest)
    together = threading.Barrier(8)

    def use() -> None:
        with store.bundle(source) as found:
            together.wait()  # all of them have it at one time
            assert (found.path / MANIFEST).exists()

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(fetches) == 1
    with store.bundle(source) as found:  # the one that nobody used any more is gone
        assert len(fetches) == 2
    assert not found.path.exists()
    with (
        pytest.raises(BundleError, match="changed on its way"),
        store.bundle(BundleSource("0" * 64)),
    ):
        pass


def test_a_large_bundle_is_to_be_published(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundles, "SMALL", 1000)
    with pytest.raises(UsageError, match="portproof publish"):
        bundles.check_size(Bundle.open(bundle))


def test_a_worker_ends_at_once_whatever_it_does(tmp_path: Path, bundle: Path) -> None:
    """With a task, and without the scheduler: its process, its runners and its folder are gone."""
    with cluster(tmp_path, "one") as found:
        one = found.processes["one"]
        options = {"runtimes": ["litert-reference"], "scheduler": found.address}
        asked = threading.Thread(target=portproof.verify, args=(bundle,), kwargs=options)
        asked.start()
        worker = psutil.Process(one.pid)
        while not (children := worker.children(recursive=True)):
            time.sleep(0.02)
        found.kill("scheduler")
        one.terminate()
        assert one.wait(10) == 0
        _, alive = psutil.wait_procs(children, 10)
        assert not alive
        found.start("scheduler")
        found.start("one")
        asked.join()


def test_a_worker_without_a_scheduler_is_one_line() -> None:
    command = [str(PROGRAMS / "portproof"), "worker", "http://127.0.0.1:1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "is no scheduler that answers" in done.stderr
    assert "Traceback" not in done.stderr
