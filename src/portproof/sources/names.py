"""What the command line takes as the name of a model; nothing here imports TensorFlow."""

import re
from pathlib import Path

from portproof.bundle.errors import UsageError

KINDS = "a .keras or .h5 file, a SavedModel folder or package.module:function"
# The endings of Keras's older files.
HDF5 = (".h5", ".hdf5")


def is_reference(name: str) -> bool:
    """Whether a name is of the form `package.module:attribute`."""
    return re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*", name) is not None


def check_name(name: str) -> None:
    """Raises UsageError where a name can be no model, before anything slow is done."""
    path = Path(name)
    if is_reference(name):
        return
    if not (path.resolve().name if path.is_dir() else path.stem).strip("."):
        raise UsageError(f"{name} gives no name to a bundle: rename it.")
    if path.is_dir():
        if (path / "model.json").is_file() and not (path / "saved_model.pb").is_file():
            raise UsageError(
                f"{path} is a TF.js model, which an export gives, and no model to export. To prove "
                f"that it is a model's: portproof check {path} --against MODEL"
            )
        return
    if not path.exists():
        raise UsageError(f"there is no {name}: give {KINDS}.")
    if not path.is_file():
        raise UsageError(f"{path} is no regular file.")
    if path.suffix not in (".keras", *HDF5):
        raise UsageError(f"{path} {_instead(path)}")


def _instead(path: Path) -> str:
    """What a file is that is no model to export, and what to do with it."""
    if path.suffix in (".tflite", ".onnx"):
        return (
            "is what an export gives, and no model to export. To prove that it is a model's: "
            f"portproof check {path} --against MODEL"
        )
    if path.suffix == ".py":
        return (
            f"is Python code: name the function in it that returns the model, {path.stem}:FUNCTION"
        )
    if path.suffix in (".pt", ".pth", ".safetensors"):
        return f"holds no model that TensorFlow or Keras loads: give {KINDS}."
    return f"is a file that cannot be exported: give {KINDS}."
