"""A runner's limits and its end: nothing that it started outlives it, whatever happens."""

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import psutil
import pytest

from portproof.bundle.bundle import Bundle
from portproof.runtimes.process import Limits, RunnerError, RunnerProcess
from portproof.runtimes.protocol import EXAMPLE_REQUEST, Answer

READY = """print('{"ready": {}, "protocol": 2}', flush=True)
import sys, time, os, subprocess
"""
REQUEST = EXAMPLE_REQUEST


# In the environment of what these tests start: another's runners may be at work on this machine.
OURS = {"PORTPROOF_TEST": uuid.uuid4().hex}


def runner(code: str, **limits: float) -> RunnerProcess:
    return RunnerProcess([sys.executable, "-c", READY + code], OURS, Limits(**limits))


def marked() -> list[psutil.Process]:
    """Every process that a runner of these tests started and that still runs."""
    found = []
    for process in psutil.process_iter():
        try:
            environment = process.environ()
            ours = OURS.items() <= environment.items() and "PORTPROOF_RUNNER" in environment
            if ours and process.status() != "zombie":
                found.append(process)
        except psutil.Error:
            continue
    return found


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
def test_a_limit_or_an_end_is_named(name: str) -> None:
    code, reason = CASES[name]
    process = runner(code, request=3, memory=0.5)
    with pytest.raises(RunnerError, match=reason.replace(")", r"\)")):
        process.ask(REQUEST)
    assert not marked()


def test_what_a_dead_runner_left_in_a_session_of_its_own_is_ended() -> None:
    code = (
        "subprocess.Popen(['sleep', '600'], start_new_session=True)\n"
        "for line in sys.stdin: os._exit(3)"
    )
    process = runner(code)
    with pytest.raises(RunnerError, match="exit status 3"):
        process.ask(REQUEST)
    assert not marked()


def test_temporary_files_go_with_the_runner() -> None:
    code = (
        "import tempfile, json\n"
        "for line in sys.stdin:\n"
        "    print(json.dumps({'seconds': 0, 'note': tempfile.mkdtemp()}), flush=True)"
    )
    process = runner(code)
    answer = process.ask(REQUEST)
    assert isinstance(answer, Answer)
    made = Path(answer.note)
    assert made.is_dir()
    process.stop()
    assert not made.exists()
    assert not made.parent.exists()


def test_ctrl_c_ends_everything_at_once_and_keeps_the_report(
    bundles: dict[str, Bundle], tmp_path: Path
) -> None:
    out = tmp_path / "so-far.json"
    portproof = str(Path(sys.executable).with_name("portproof"))
    command = [portproof, "verify", str(bundles["quadratic"].path), "--json", str(out)]
    process = subprocess.Popen(
        command,
        env={**os.environ, **OURS},
        text=True,
        # A shell that runs the tests in the background has them ignore it, which is inherited.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    deadline = time.monotonic() + 60
    while not marked() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert marked(), "a runner has started"
    time.sleep(1.5)
    process.send_signal(signal.SIGINT)
    sent = time.monotonic()
    said, errors = process.communicate(timeout=60)
    assert time.monotonic() - sent < 5
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert "interrupted: so far" in said
    report = json.loads(out.read_text())
    assert report["interrupted"]
    assert not report["ok"]
    kept = json.loads((bundles["quadratic"].path / "report.json").read_text())
    assert kept["cells"] == report["cells"]
    assert not marked()
