"""TensorFlow's C API from a C program, without Python: Go, Rust, Java and C# wrap it."""

from portproof.runtimes import tensorflow
from portproof.runtimes.environments.program import CompiledProgram
from portproof.runtimes.runtime import Runtime


def _runtime(version: str = "") -> Runtime:
    packages = tensorflow.environment(version)
    program = CompiledProgram("tensorflow-c", version, tensorflow=packages)

    def variables() -> dict[str, str]:
        return {"TF_CPP_MIN_LOG_LEVEL": "3", "LD_LIBRARY_PATH": str(program.library_folder)}

    return Runtime(
        name="tensorflow-c",
        formats=("savedmodel",),
        command=lambda: [str(program.program)],
        variables=variables,
        environments=(packages, program),
        at=_runtime,
        backend="libtensorflow",
    )


RUNTIMES = (_runtime(),)
