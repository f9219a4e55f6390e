"""Named arrays as safetensors, exact to the bit."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from safetensors import SafetensorError, deserialize
from safetensors.numpy import save, save_file

from portproof.bundle.errors import BundleError

# By the names that they have in a safetensors file.
_DTYPES: dict[str, np.dtype[Any]] = {
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "BOOL": np.dtype(np.bool_),
    **{
        f"{kind.upper()}{8 * size}": np.dtype(f"{kind}{size}")
        for kind in "iu"
        for size in (1, 2, 4, 8)
    },
    **{f"F{8 * size}": np.dtype(f"f{size}") for size in (2, 4, 8)},
}
Arrays = dict[str, np.ndarray[Any, Any]]
# Inputs by name -> outputs by name: one call of a model.
Infer = Callable[[Arrays], Arrays]


def write(path: Path, arrays: Mapping[str, np.ndarray[Any, Any]]) -> None:
    """Write arrays of any shape and of any dtype in `signature.DTYPES`."""
    save_file(_in_c_order(arrays), path)


def to_bytes(arrays: Mapping[str, np.ndarray[Any, Any]]) -> bytes:
    """What `write` writes."""
    return bytes(save(_in_c_order(arrays)))


def _in_c_order(arrays: Mapping[str, np.ndarray[Any, Any]]) -> Arrays:
    # safetensors writes the memory as it lies, so it must lie in C order; `np.require` keeps the
    # shape of a scalar, which `np.ascontiguousarray` would make one-dimensional.
    return {name: np.require(array, requirements="C") for name, array in arrays.items()}


def from_bytes(content: bytes) -> Arrays:
    """What `write` wrote. Raises ValueError where it is not whole, or has another dtype."""
    try:
        tensors = deserialize(content)  # type: ignore[no-untyped-call]
    except SafetensorError as error:
        raise ValueError(f"no safetensors: {error}") from error
    if unknown := [f"{i['dtype']} ({name})" for name, i in tensors if i["dtype"] not in _DTYPES]:
        raise ValueError(f"a bundle carries no {', '.join(unknown)}")
    return {
        name: np.frombuffer(info["data"], _DTYPES[info["dtype"]]).reshape(info["shape"])
        for name, info in tensors
    }


def read(path: Path) -> Arrays:
    """Read all arrays of a file. Raises BundleError where it is not a whole safetensors file."""
    try:
        return from_bytes(path.read_bytes())
    except (OSError, ValueError) as error:
        raise BundleError(f"{path} cannot be read as safetensors: {error}") from error


def in_group(arrays: Arrays, group: str) -> Arrays:
    """The arrays named `group/NAME`, by NAME."""
    prefix = group + "/"
    return {name.removeprefix(prefix): a for name, a in arrays.items() if name.startswith(prefix)}


def row_by_row(infer: Infer) -> Infer:
    """A call that computes a batch one row after the other, by one that takes exactly one row.

    It raises ValueError for a batch of no rows.
    """

    def infer_rows(inputs: Arrays) -> Arrays:
        count = len(next(iter(inputs.values())))
        if not count:
            raise ValueError("takes a row at a time, and this batch has none")
        rows = [infer({n: a[i : i + 1] for n, a in inputs.items()}) for i in range(count)]
        return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}

    return infer_rows
