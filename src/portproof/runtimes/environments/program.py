"""Our C program, compiled against the library and the headers inside the tensorflow wheel."""

from __future__ import annotations

import os
import platform
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from portproof.runtimes.environments.environment import Environment, run_tool
from portproof.runtimes.environments.python import PythonEnvironment

SOURCES = Path(__file__).parent.parent / "c"
_PROGRAM = "tensorflow_c"


@dataclass(frozen=True)
class CompiledProgram(Environment):
    """The program, for one version of TensorFlow."""

    tensorflow: PythonEnvironment = field(kw_only=True)

    @property
    def needs(self) -> tuple[Environment, ...]:
        return (self.tensorflow,)

    @property
    def version(self) -> str:
        return self.tensorflow.version

    @property
    def program(self) -> Path:
        return self.folder / _PROGRAM

    def obstacle(self) -> str:
        if platform.system() != "Linux":
            return "it is compiled on Linux alone"
        if not _compiler():
            return "it needs a C compiler, such as gcc: install one, or name it in $CC"
        return ""

    def recipe(self) -> str:
        sources = [path.read_text() for path in sorted(SOURCES.glob("*.[ch]"))]
        return "\n".join([self.version, platform.machine(), *sources])

    def fill(self, folder: Path) -> None:
        tensorflow = self.library_folder
        libraries = [tensorflow / f"libtensorflow_{part}.so.2" for part in ("cc", "framework")]
        options = ["-std=gnu11", "-O2", "-Wall", "-Wextra", f"-I{tensorflow / 'include'}"]
        source = SOURCES / f"{_PROGRAM}.c"
        run_tool(
            "the C compiler",
            [str(_compiler()), *options, "-o", _PROGRAM, source, *libraries],
            folder,
        )

    @property
    def library_folder(self) -> Path:
        """The folder of libtensorflow in the tensorflow wheel."""
        return self.tensorflow.site_packages / "tensorflow"


def _compiler() -> str | None:
    return shutil.which(os.environ.get("CC") or "cc")
