"""Exports all configurations and verifies them in every CPU runtime."""

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import portproof
from portproof.bundle.bundle import MANIFEST, REPORT

# On the CPU, where a rule of rounding has to hold without a shader's allowance.
RUNTIMES = (
    "tensorflow",
    "tensorflow-c",
    "keras",
    "keras-jax",
    "keras-openvino",
    "litert",
    "litert-reference",
    "tflite-micro",
    "openvino",
    "tfjs-node-cpu",
    "tfjs-node-wasm",
    "onnxruntime",
    "onnxruntime-node",
)
EXPORTED_AT_ONCE, VERIFIED_AT_ONCE, WORKERS = 40, 60, 2
NO_BUNDLES = "no_bundle.json"  # by name, why a configuration has none

Log = Callable[[str], None]


def export_all(names: Sequence[str], folder: Path, log: Log) -> dict[str, str]:
    """Export what is not in the folder yet. Returns by name why there is no bundle."""
    known = folder / NO_BUNDLES
    reasons: dict[str, str] = json.loads(known.read_text()) if known.is_file() else {}
    missing = [n for n in names if not (folder / n / MANIFEST).is_file() and n not in reasons]
    parts = [missing[n : n + EXPORTED_AT_ONCE] for n in range(0, len(missing), EXPORTED_AT_ONCE)]
    with ThreadPoolExecutor(WORKERS) as pool:
        for part, told in zip(
            parts, pool.map(lambda p: _export_part(p, folder), parts), strict=True
        ):
            reasons |= {name: reason for name, reason in told.items() if reason}
            log(f"exported {len(part)}, {sum(not r for r in told.values())} of them bundles")
            known.write_text(json.dumps(reasons, indent=1))
    return reasons


def _export_part(names: Sequence[str], folder: Path) -> dict[str, str]:
    """By name, why there is no bundle. A process that a converter ends is started again."""
    told: dict[str, str] = {}
    while left := [name for name in names if name not in told]:
        command = [sys.executable, "-m", "verify.conformance.exporting", str(folder), *left]
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False
        )
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        told |= {line["name"]: line["reason"] for line in lines}
        if len(lines) < len(left):
            told[left[len(lines)]] = (
                f"not foreseen: the exporting process ended ({done.returncode})"
            )
    return told


def verify_all(names: Sequence[str], folder: Path, log: Log) -> None:
    """Verify the bundles that have no report yet."""
    bundles = [folder / name for name in names if (folder / name / MANIFEST).is_file()]
    missing = [bundle for bundle in bundles if not (bundle / REPORT).is_file()]
    for n in range(0, len(missing), VERIFIED_AT_ONCE):
        part = missing[n : n + VERIFIED_AT_ONCE]
        portproof.verify(*part, runtimes=RUNTIMES)
        log(f"verified {n + len(part)} of {len(missing)}")
