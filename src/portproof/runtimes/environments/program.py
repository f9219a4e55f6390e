"""Our C program, compiled against the library and the headers inside the tensorflow wheel."""

from __future__ import annotations

import os
import platform
import shlex
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from portproof.runtimes.environments.environment import Environment, run_tool
from portproof.runtimes.environments.python import PythonEnvironment

SOURCES = Path(__file__).parent.parent / "c"
_PROGRAM = "tensorflow_c"


_OPTIONS = ("-std=gnu11", "-O2", "-Wall", "-Wextra")


@dataclass(frozen=True)
class CompiledProgram(Environment):
    """The program, for one version of TensorFlow."""

    tensorflow: PythonEnvironment = field(kw_only=True)

    @staticmethod
    def is_version(text: str) -> bool:
        return PythonEnvironment.is_version(text)

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
        if not shutil.which(_compiler()[0]):
            return "it needs a C compiler, such as gcc: install one, or name it in $CC"
        return ""

    def recipe(self) -> str:
        sources = [path.read_text() for path in sorted(SOURCES.glob("*.[ch]"))]
        return "\n".join([self.version, platform.machine(), *_OPTIONS, *sources])

    def fill(self, folder: Path) -> None:
        tensorflow = self.library_folder
        libraries = [tensorflow / f"libtensorflow_{part}.so.2" for part in ("cc", "framework")]
        options = [*_OPTIONS, f"-I{tensorflow / 'include'}", "-o", _PROGRAM]
        source = SOURCES / f"{_PROGRAM}.c"
        command: list[str | Path] = [*_compiler(), *options, source, *libraries]
        run_tool("the C compiler", command, folder, os.environ)

    @property
    def library_folder(self) -> Path:
        """The folder of libtensorflow in the tensorflow wheel."""
        return self.tensorflow.site_packages / "tensorflow"


def _compiler() -> list[str]:
    """The command of the C compiler: $CC may have arguments, as make takes it."""
    return shlex.split(os.environ.get("CC", "")) or ["cc"]
