"""A runner's limits and its end: however it ends, no process that it started outlives it."""

import hashlib
import json
import shutil
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import psutil
import pytest

import portproof
from portproof.bundle.bundle import Bundle
from portproof.bundle.report import Cell
from portproof.runtimes.process import Limits, RunnerError, RunnerProcess
from portproof.runtimes.protocol import EXAMPLE_REQUEST, Answer
from portproof.runtimes.table import select
from portproof.verifying.scheduling import run_cells
from verify.faults.damage import with_faulty_runner

READY = """print('{"ready": {}, "protocol": 3}', flush=True)
import sys, time, os, subprocess
"""
REQUEST = EXAMPLE_REQUEST


# Set for the processes that these tests start: other runners may be at work on this machine.
MARK = {"PORTPROOF_TEST": uuid.uuid4().hex}


def runner(code: str, **limits: float) -> RunnerProcess:
    return RunnerProcess([sys.executable, "-c", READY + code], MARK, Limits(**limits))


def running_processes() -> list[psutil.Process]:
    """Every process that a runner of these tests started and that still runs."""
    processes = []
    for process in psutil.process_iter():
        try:
            environment = process.environ()
            started_here = MARK.items() <= environment.items() and "PORTPROOF_RUNNER" in environment
            if started_here and process.status() != "zombie":
                processes.append(process)
        except psutil.Error:
            continue
    return processes


CASES = {
    "memory": ("for line in sys.stdin: x = bytearray(600 << 20); time.sleep(60)", "0.5 GiB"),
    "time": ("for line in sys.stdin: time.sleep(60)", "time limit of 3 s"),
    "signal": ("os.kill(os.getpid(), 11)", "SIGSEGV"),
    "exit": ("sys.exit('no space left')", "exit status 1): no space left"),
    "grandchildren in the memory": (
        "subprocess.Popen([sys.executable, '-c', 'x = bytearray(600 << 20); input()'],"
        " stdin=subprocess.PIPE)\ntime.sleep(60)",
        "0.5 GiB",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_passed_limit_or_a_crash_is_named(name: str) -> None:
    code, reason = CASES[name]
    process = runner(code, request=3, memory=0.5)
    with pytest.raises(RunnerError, match=reason.replace(")", r"\)")):
        process.compute(REQUEST, {})
    assert not running_processes()


def test_a_dead_runners_processes_in_another_session_are_ended() -> None:
    code = (
        "subprocess.Popen(['sleep', '600'], start_new_session=True)\n"
        "for line in sys.stdin: os._exit(3)"
    )
    process = runner(code)
    with pytest.raises(RunnerError, match="exit status 3"):
        process.compute(REQUEST, {})
    assert not running_processes()


def test_temporary_files_are_deleted_with_the_runner() -> None:
    code = (
        "import tempfile, json\n"
        "for line in sys.stdin:\n"
        "    print(json.dumps({'seconds': 0, 'note': tempfile.mkdtemp()}), flush=True)"
    )
    process = runner(code)
    answer, _ = process.compute(REQUEST, {})
    assert isinstance(answer, Answer)
    folder = Path(answer.note)
    assert folder.is_dir()
    process.stop()
    assert not folder.exists()
    assert not folder.parent.exists()


def test_ctrl_c_ends_every_process_and_writes_the_report_so_far(
    bundles: dict[str, Bundle], tmp_path: Path
) -> None:
    path = tmp_path / "so-far.json"
    program = str(Path(sys.executable).with_name("portproof"))
    command = [program, "verify", str(bundles["quadratic"].path), "--json", str(path)]
    process = subprocess.Popen(
        command,
        text=True,
        # Under a background shell the tests ignore SIGINT, and the command would inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    deadline = time.monotonic() + 60
    started = psutil.Process(process.pid)
    while not started.children() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert started.children(), "a runner has started"
    time.sleep(1.5)
    runners = started.children(recursive=True)
    process.send_signal(signal.SIGINT)
    sent = time.monotonic()
    stdout, stderr = process.communicate(timeout=60)
    assert time.monotonic() - sent < 5
    assert process.returncode == 130
    assert "Traceback" not in stderr
    assert "interrupted: so far" in stdout
    report = json.loads(path.read_text())
    assert report["interrupted"]
    assert not report["ok"]
    saved = json.loads((bundles["quadratic"].path / "report.json").read_text())
    assert saved["cells"] == report["cells"]
    assert not psutil.wait_procs(runners, 3)[1]


def hanging(bundle: Bundle, **limits: float) -> tuple[list[Cell], float]:
    """The cells of a runtime that hangs at its second call, and how long that took in seconds."""
    started = time.monotonic()
    runtimes = [with_faulty_runner(runtime, "hang") for runtime in select(["litert"], [])]
    total = limits.pop("total", None)
    report = run_cells([bundle], runtimes, limits=Limits(**limits), total_limit=total)
    return [c for c in report.cells if not c.variant], time.monotonic() - started


def test_after_two_calls_that_are_not_answered_no_third_is_made(bundles: dict[str, Bundle]) -> None:
    cells, seconds = hanging(bundles["quadratic"], request=3)
    assert seconds < 60
    [batch] = [cell for cell in cells if cell.regime == "batch"]
    assert batch.verdict == "failed"
    assert "passed the time limit of 3 s" in batch.detail


def test_the_whole_has_a_limit(bundles: dict[str, Bundle]) -> None:
    cells, seconds = hanging(bundles["quadratic"], total=4)
    assert seconds < 20
    assert {cell.verdict for cell in cells if cell.regime == "batch"} == {"failed"}


def test_vectors_that_cannot_be_read_cost_no_other_bundle_its_report(
    bundles: dict[str, Bundle], tmp_path: Path
) -> None:
    damaged = Path(shutil.copytree(bundles["quadratic"].path, tmp_path / "damaged"))
    manifest = json.loads((damaged / "manifest.json").read_text())
    manifest["model"] = "damaged"
    record = manifest["vectors"][0]["file"]
    (damaged / record["path"]).write_bytes(b"x" * 100)
    record.update(size=100, sha256=hashlib.sha256(b"x" * 100).hexdigest())
    (damaged / "manifest.json").write_text(json.dumps(manifest))
    report = portproof.verify(damaged, bundles["my_module"].path, runtimes=["litert"])
    assert report.of_model("my_module").ok
    failed = [cell for cell in report.cells if cell.model == "damaged" and not cell.passed]
    assert "safetensors" in failed[0].detail
