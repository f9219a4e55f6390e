"""Weights of TF.js models: shards of bytes, and the `weightsManifest` that describes them.

https://github.com/tensorflow/tfjs/blob/master/tfjs-core/src/io/types.ts, `WeightsManifestConfig`.
"""

import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

# Browsers cache files up to this size.
SHARD = 4 << 20
# The dtypes of tfjs-core/src/io/io_utils.ts, and the one of those that takes each other's place.
_DTYPES = {"float32", "int32", "bool", "complex64"}
_REPLACEMENTS = {
    "float16": "float32",
    "float64": "float32",
    "int8": "int32",
    "uint8": "int32",
    "int16": "int32",
    "uint16": "int32",
    "int64": "int32",
    "complex128": "complex64",
}


def write_weights(weights: Mapping[str, np.ndarray[Any, Any]], folder: Path) -> list[Any]:
    """Write weights by name as shards of 4 MiB into a folder; returns the `weightsManifest`.

    Raises ValueError for a dtype or a number that TF.js does not have.
    """
    arrays = {name: _converted(name, array) for name, array in weights.items()}
    sizes = [len(_content(array)) for array in arrays.values()]
    count = -(-sum(sizes) // SHARD)
    paths = [f"group1-shard{n + 1}of{count}.bin" for n in range(count)]
    for path, shard in zip(paths, _shards(_content(a) for a in arrays.values()), strict=True):
        (folder / path).write_bytes(shard)
    described = [
        {"name": name, "shape": list(array.shape), "dtype": _dtype(array)}
        for name, array in arrays.items()
    ]
    return [{"paths": paths, "weights": described}]


def _converted(name: str, array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    if array.dtype.kind in "OSU":  # strings
        return array.astype(object)
    dtype = _REPLACEMENTS.get(array.dtype.name, array.dtype.name)
    if dtype not in _DTYPES:
        raise ValueError(f"the weight {name} is {dtype}, which TF.js does not have")
    with np.errstate(over="ignore"):
        replaced = array.astype(dtype, copy=False)
    whole = array.dtype.kind in "iu"
    changed = replaced != array if whole else np.isfinite(array) & ~np.isfinite(replaced)
    if changed.any():
        raise ValueError(f"the weight {name} holds {array[changed][0]}, which is no {dtype}")
    return replaced


def _dtype(array: np.ndarray[Any, Any]) -> str:
    return "string" if array.dtype == object else array.dtype.name


def _content(array: np.ndarray[Any, Any]) -> memoryview | bytes:
    if array.dtype != object:
        return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data
    texts = (t if isinstance(t, bytes) else str(t).encode() for t in array.reshape(-1))
    return b"".join(struct.pack("<I", len(text)) + text for text in texts)


def _shards(contents: Iterator[memoryview | bytes]) -> Iterator[bytes]:
    """The bytes of all, in pieces of `SHARD`."""
    shard = bytearray()
    for content in contents:
        rest = memoryview(content)
        while len(rest):
            piece = rest[: SHARD - len(shard)]
            shard += piece
            rest = rest[len(piece) :]
            if len(shard) == SHARD:
                yield bytes(shard)
                shard.clear()
    if shard:
        yield bytes(shard)
