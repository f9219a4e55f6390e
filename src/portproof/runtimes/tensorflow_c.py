"""TensorFlow's C API from a C program, without Python: Go, Rust, Java and C# wrap it."""

import platform

from portproof.runtimes import tensorflow
from portproof.runtimes.environments.program import CompiledProgram
from portproof.runtimes.runtime import Runtime


def _obstacle() -> str:
    return "" if platform.system() == "Linux" else "it was made for Linux alone"


def _runtime(version: str = "") -> Runtime:
    packages = tensorflow.environment(version)
    program = CompiledProgram("tensorflow-c", tensorflow=packages)

    def variables() -> dict[str, str]:
        return {"TF_CPP_MIN_LOG_LEVEL": "3", "LD_LIBRARY_PATH": str(program.library_folder)}

    return Runtime(
        name="tensorflow-c",
        formats=("savedmodel",),
        command=lambda: [str(program.program)],
        variables=variables,
        environment=program,
        obstacle=_obstacle,
        at=_runtime,
        backend="libtensorflow",
    )


RUNTIMES = (_runtime(),)
