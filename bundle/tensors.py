"""Named arrays on disk as safetensors, exact to the bit."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from bundle.errors import BundleError

Arrays = dict[str, np.ndarray[Any, Any]]


def write(path: Path, arrays: Mapping[str, np.ndarray[Any, Any]]) -> None:
    """Write arrays of any shape and of any dtype in `bundle.signature.DTYPES`."""
    # safetensors writes the memory as it lies, so it must lie in C order; `np.require` keeps the
    # shape of a scalar, which `np.ascontiguousarray` would make one-dimensional.
    save_file({name: np.require(array, requirements="C") for name, array in arrays.items()}, path)


def read(path: Path) -> Arrays:
    """Read all arrays of a file. Raises BundleError where it is not a whole safetensors file."""
    try:
        return dict(load_file(path))
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise BundleError(f"{path} cannot be read as safetensors: {error}") from error


def grouped(arrays: Arrays, group: str) -> Arrays:
    """The arrays named `group/NAME`, by NAME."""
    prefix = group + "/"
    return {name.removeprefix(prefix): a for name, a in arrays.items() if name.startswith(prefix)}
