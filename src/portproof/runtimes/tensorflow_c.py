"""TensorFlow's C API from a C program, without Python: Go, Rust, Java and C# wrap it."""

from importlib.util import find_spec
from pathlib import Path

from portproof.runtimes.runtime import Runtime, missing_package

# Compiled by `make setup`, against the library and the headers inside the tensorflow wheel.
PROGRAM = Path(__file__).parent / "c" / "tensorflow_c"


def _missing() -> str:
    if reason := missing_package("tensorflow", "tensorflow"):
        return reason
    if not PROGRAM.is_file():
        return "it is compiled in a clone of Portproof, by `make setup` with a C compiler"
    return ""


def _libraries() -> dict[str, str]:
    """The folder of libtensorflow in the tensorflow wheel, without importing that."""
    spec = find_spec("tensorflow")
    folders = spec.submodule_search_locations if spec else None
    return {"LD_LIBRARY_PATH": folders[0]} if folders else {}


RUNTIMES = (
    Runtime(
        name="tensorflow-c",
        formats=("savedmodel",),
        command=lambda: [str(PROGRAM)],
        missing=_missing,
        backend="libtensorflow",
        environment={"TF_CPP_MIN_LOG_LEVEL": "3", **_libraries()},
    ),
)
