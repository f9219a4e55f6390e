"""What the verifier needs to know of a runtime."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from portproof.runtimes.environments.environment import Environment
    from portproof.runtimes.process import Limits
    from portproof.runtimes.runner import Runner
    from portproof.sandbox.calls import Reach
    from portproof.sandbox.sandbox import Sandbox

# `Runtime.lacks` of the runtimes that run one row at a time.
NO_ROWS = (r"takes a row at a time, and this batch has none", "a batch of no rows")
# `tflite` and its variants.
TFLITE = ("tflite", "tflite float16", "tflite dynamic-range", "tflite int8")
# `onnx` and its variants.
ONNX = ("onnx", "onnx float16", "onnx dynamic-range", "onnx int8")
# Both of TF.js's, and those with weights that tensorflowjs_converter quantises.
TFJS = tuple(
    f"{name}{variant}"
    for name in ("tfjs-graph", "tfjs-layers")
    for variant in ("", " float16", " dynamic-range")
)


@dataclass(frozen=True)
class Runtime:
    """A program that loads an artifact and computes.

    Attributes:
        name: The runtime's name; of another version than the default one, `NAME@VERSION`.
        formats: The full names of the formats that it runs, variants by theirs.
        command: Gives the runner's program and its arguments. Runtimes with the same command and
            variables share one process.
        variables: Gives variables of the runner's environment, in addition to this process's own.
        environment: What it needs, which `portproof setup` makes; None: nothing.
        version: Gives its version; None: that of its own environment.
        readable: Gives files and folders that the runner reads beside its environment, where it is
            kept in a sandbox.
        reach: What the runner may connect to there.
        obstacle: Gives the reason why it cannot run here whatever is set up, and what to do, or
            nothing.
        server: How to name the server that it asks, where none was named; else empty.
        at: Gives the same runtime at another version; None: it has no other.
        only_by_name: Whether `portproof setup` makes its environment only when it is named,
            because that is large, or of use to few.
        backend: The name that its runner must give in each answer: the proof that no other backend
            computed.
        one_row: The formats that it runs one row at a time, from the artifact's file of one row,
            where the first dimension is dynamic.
        shader: Whether it computes in a GPU's shading language, which promises less precision for
            some functions.
        slowness: How many times longer a row takes in it than in XNNPACK, roughly and where it is
            slowest. The slower, the fewer rows it is asked for of a large model.
        inspects: The formats of which its runner can show the tensors inside.
        options: Goes into each request.
        lacks: What it says where it lacks something for an artifact: patterns of its messages, each
            with what is lacking, in which `\\1` stands for the pattern's first group. A cell with
            such a message is `unsupported`; with any other it is `failed`.
    """

    name: str
    formats: tuple[str, ...]
    command: Callable[[], list[str]]
    variables: Callable[[], Mapping[str, str]] = dict
    environment: Environment | None = None
    version: Callable[[], str] | None = None
    readable: Callable[[], Sequence[Path]] = tuple
    reach: Reach = "nothing"
    obstacle: Callable[[], str] = str
    server: str = ""
    at: Callable[[str], Runtime] | None = None
    only_by_name: bool = False
    backend: str = ""
    one_row: tuple[str, ...] = ()
    shader: bool = False
    slowness: float = 1.0
    inspects: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    lacks: tuple[tuple[str, str], ...] = ()

    def missing(self) -> str:
        """The reason why it cannot run here and how to get it, or nothing."""
        if reason := self.server or self.obstacle():
            return reason
        if not self.environment or self.environment.is_here:
            return ""
        return ", ".join(filter(None, [self.environment.lack(), f"portproof setup {self.name}"]))

    def lack_in(self, message: str) -> str:
        """What the runtime lacks, where a message of its says that it lacks something."""
        for pattern, what in self.lacks:
            if match := re.search(pattern, message):
                return match.expand(what)
        return ""

    @property
    def process(self) -> tuple[object, ...]:
        """What decides which runtimes share a process."""
        return (*self.command(), *self.variables().items())

    def runner(self, limits: Limits, sandbox: Sandbox | None = None) -> Runner:
        """Its process, which starts at the first request; in a sandbox, if there is one."""
        from portproof.runtimes.process import RunnerProcess
        from portproof.sandbox.sandbox import variables_of

        command, variables = self.command(), dict(self.variables())
        if sandbox:
            own = self.environment.folders if self.environment else _programs(command)
            readable = (*own, *self.readable())
            memory = limits.memory * 2**30
            command = sandbox.command(command, readable, self.reach, memory=memory)
            variables = variables_of(variables)
        return RunnerProcess(command, variables, limits, confined=sandbox is not None)


def _programs(command: Sequence[str]) -> list[Path]:
    """What a runtime without an environment is run with: its programs, and Python's packages."""
    packages = [Path(entry).resolve() for entry in sys.path if Path(entry).is_dir()]
    named = [Path(word) for word in command if Path(word).is_absolute() and Path(word).exists()]
    return [*named, *(folder for folder in packages if folder != Path.cwd())]
