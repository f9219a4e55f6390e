"""LiteRT on an Android device, by adb and TensorFlow's own command-line tool, `benchmark_model`."""

import os
import shutil
import subprocess
from functools import cache, partial
from pathlib import Path

from portproof.runtimes.environments.python import PythonEnvironment
from portproof.runtimes.runtime import TFLITE, Runtime

# Where the tool is on the device: its README says to put it there
# (tensorflow/lite/tools/benchmark/README.md).
TOOL = "/data/local/tmp/benchmark_model"
_SECONDS = 20.0
_LACKS = (
    (r"Didn't find op for builtin opcode '(\w+)'", r"\1"),
    (r"Encountered unresolved custom op: (\w+)", r"\1"),
    (r"runs only the first signature", "a second signature"),
)
_PACKAGES = PythonEnvironment("litert", packages=("ai-edge-litert",))


def _tool() -> str:
    return os.environ.get("PORTPROOF_BENCHMARK_MODEL") or TOOL


@cache
def _asked(adb: str, tool: str, serial: str) -> str:  # noqa: ARG001
    """Why no device computes, or nothing. The serial is what adb itself reads."""
    try:
        done = subprocess.run(
            [adb, "shell", f"test -x {tool} && echo here"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return f"{adb} does not answer: adb start-server"
    if done.stdout.strip() == "here":
        return ""
    if done.stderr.strip():  # no devices, more than one, unauthorized
        return f"adb says: {done.stderr.strip().splitlines()[-1][:200]}"
    return (
        f"the device has no {tool}: put TensorFlow's benchmark_model there (docs/devices.md), or "
        "name it in $PORTPROOF_BENCHMARK_MODEL"
    )


def _obstacle() -> str:
    adb = shutil.which("adb")
    if not adb:
        return "there is no adb here: install Android's platform tools, and connect a device"
    return _asked(adb, _tool(), os.environ.get("ANDROID_SERIAL", ""))


def _variables() -> dict[str, str]:
    names = ("ANDROID_SERIAL", "ANDROID_ADB_SERVER_PORT", "ADB_SERVER_SOCKET")
    own = {name: os.environ[name] for name in names if name in os.environ}
    return {**own, "PORTPROOF_BENCHMARK_MODEL": _tool()}


def _readable() -> list[Path]:
    adb = shutil.which("adb")
    return [Path(adb).resolve()] if adb else []


RUNTIMES = (
    Runtime(
        name="litert-adb",
        formats=TFLITE,
        command=partial(_PACKAGES.command, "adb_runner"),
        variables=_variables,
        readable=_readable,
        reach="network",  # of adb's own server
        environment=_PACKAGES,
        obstacle=_obstacle,
        only_by_name=True,
        slowness=4.0,
        lacks=_LACKS,
    ),
)
