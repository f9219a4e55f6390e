"""The package tf_keras, in which Keras 2 lives on, for the files that need it."""

import json
import os
import sys
import zipfile
from collections.abc import Callable, Iterable
from importlib.metadata import version
from pathlib import Path

from portproof.bundle.errors import SetupError, UsageError
from portproof.bundle.reading import MANIFEST_LIMIT
from portproof.runtimes.environments.python import PythonEnvironment
from portproof.sources.names import HDF5, is_reference


def provide_keras2(models: Iterable[str | Path], log: Callable[[str], None]) -> None:
    """Let tf_keras be imported, here and by what is started from here, where a file may need it.

    Where it is not installed, it gets an environment of its own, without TensorFlow, which is this
    process's: tf_keras is of the same version.

    Args:
        models: What names models, as on the command line.
        log: Called with each step.

    Raises UsageError where it is not here and cannot be fetched.
    """
    if not any(map(_may_need_it, models)):
        return
    packages = _packages()
    if packages.in_place:
        return
    try:
        packages.make(log)
    except SetupError as error:
        raise UsageError(
            f"a file that Keras 2 may have written needs tf_keras: pip install tf_keras. {error}"
        ) from None
    folder = str(packages.site_packages)
    if folder not in sys.path:
        sys.path.append(folder)
        paths = os.environ.get("PYTHONPATH", "").split(os.pathsep)
        os.environ["PYTHONPATH"] = os.pathsep.join([*filter(None, paths), folder])


def _packages() -> PythonEnvironment:
    major, minor, *_ = version("tensorflow").split(".")
    return PythonEnvironment(
        "tf-keras", f"{major}.{minor}.0", packages=("tf_keras",), has_runner=False, has_all=False
    )


def _may_need_it(model: str | Path) -> bool:
    """Whether a name is of a file that Keras 2 may have written. HDF5 is a stranger's to parse."""
    path = Path(model)
    if is_reference(str(model)) or not path.is_file():
        return False
    return path.suffix in HDF5 or _version_of(path).startswith("2.")


def _version_of(path: Path) -> str:
    """The version of Keras that a `.keras` file states; empty where it cannot be read."""
    try:
        with zipfile.ZipFile(path) as file:
            metadata = json.loads(file.open("metadata.json").read(MANIFEST_LIMIT))
            return str(metadata["keras_version"])
    except Exception:  # which the loader will say more of
        return ""
