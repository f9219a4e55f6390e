"""Example inputs: what a person gives, as arrays by signature and input; the rest is drawn."""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from safetensors import SafetensorError
from safetensors.numpy import load_file

from bundle.errors import UsageError, one_line
from bundle.signature import DTYPES, Signature, TensorSpec
from bundle.structure import flatten
from export.drawing import draw
from export.source import Examples, concrete_of, signature_of

# Rows that are taken of a dataset: the vectors are a proof, not a benchmark.
ROWS = 48


def completed(functions: Mapping[str, Any], given: Any) -> tuple[Examples, frozenset[str]]:
    """Examples for each signature, and the signatures whose examples had to be drawn.

    `given` is an array (of a signature with one input), a mapping by input, nested as the
    original's, a mapping of such mappings by signature, or a `tf.data.Dataset` of any of the
    former's rows or batches. Raises UsageError where it fits no signature.
    """
    found: dict[str, dict[str, np.ndarray[Any, Any]]] = {}
    for name, value in _by_signature(given, list(functions)).items():
        if name not in functions:
            raise UsageError(f"there is no signature {name}: they are {', '.join(functions)}.")
        found[name] = _arrays(name, value, functions[name])
    drawn = frozenset(functions) - set(found)
    for name in functions:
        if name in drawn:
            found[name] = draw(name, functions[name])
    return found, drawn


def read(path: Path) -> dict[str, Any] | np.ndarray[Any, Any]:
    """Arrays of a `.npz`, `.safetensors` or `.npy` file. Raises UsageError."""
    try:
        if path.suffix == ".safetensors":
            return dict(load_file(path))
        if path.suffix not in (".npz", ".npy"):
            raise UsageError(f"{path}: example inputs are read from .npz, .npy or .safetensors.")
        with path.open("rb") as stream:
            loaded = np.load(stream, allow_pickle=False)
            return dict(loaded) if path.suffix == ".npz" else loaded
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or one_line(error)
        raise UsageError(f"{path} cannot be read as {path.suffix[1:]}: {reason}") from None


def _by_signature(given: Any, signatures: list[str]) -> dict[str, Any]:
    if given is None or (isinstance(given, Mapping) and not given):
        return {}
    if isinstance(given, Mapping) and set(given) <= set(signatures):
        return dict(given)
    if len(signatures) == 1:
        return {signatures[0]: given}
    if not isinstance(given, Mapping):
        given = {"x": given}
    # As a file has them, which holds no mapping in a mapping: `SIGNATURE/INPUT`.
    split: dict[str, dict[str, Any]] = {}
    for key, value in given.items():
        signature, _, name = key.partition("/")
        split.setdefault(signature, {})[name] = value
    if set(split) <= set(signatures) and all(all(parts) for parts in split.values()):
        return split
    raise UsageError(
        f"there are several signatures ({', '.join(signatures)}): give "
        f"inputs={{'{signatures[0]}': {{...}}, ...}}, or name a file's arrays "
        f"'{signatures[0]}/INPUT'."
    )


def _arrays(name: str, given: Any, function: Any) -> dict[str, np.ndarray[Any, Any]]:
    signature = signature_of(name, concrete_of(function))
    if isinstance(given, tf.data.Dataset):
        given = _of_dataset(given, signature)
    arrays = {key: np.asarray(a) for key, a in _by_input(name, given, signature).items()}
    return {key: _as(signature.inputs.get(key), array) for key, array in arrays.items()}


def _by_input(name: str, given: Any, signature: Signature) -> dict[str, Any]:
    if isinstance(given, Mapping):
        return flatten(given)
    names = list(signature.inputs)
    several = list(given) if isinstance(given, list | tuple) else [given]
    if len(several) != len(names):
        raise UsageError(f"{name} has the inputs {', '.join(names)}: name an array for each.")
    return dict(zip(names, several, strict=True))


def _as(spec: TensorSpec | None, array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Floats in the signature's float, and integers in its integer where none is lost.

    NumPy's own are float64 and int64, which few models take.
    """
    if spec is None or array.dtype == DTYPES[spec.dtype]:
        return array
    wanted = DTYPES[spec.dtype]
    if array.dtype.kind == "f" and tf.as_dtype(spec.dtype).is_floating:
        return array.astype(wanted)
    if array.dtype.kind in "iu" and wanted.kind in "iu":
        cast = array.astype(wanted)
        return cast if np.array_equal(cast, array) else array
    return array


def _of_dataset(dataset: Any, signature: Signature) -> dict[str, Any]:
    """The first rows of a dataset of rows or batches; of (inputs, targets) the inputs."""
    if isinstance(dataset.element_spec, tuple) and len(dataset.element_spec) in (2, 3):
        dataset = dataset.map(lambda inputs, *_: inputs)
    spec = _by_input("the dataset", dataset.element_spec, signature)
    ranks = {key: len(found.shape) for key, found in signature.inputs.items()}
    if signature.batched and all(leaf.shape.rank == ranks.get(key) for key, leaf in spec.items()):
        dataset = dataset.unbatch()
    elements = list(dataset.take(ROWS if signature.batched else 1).as_numpy_iterator())
    if not elements:
        raise UsageError("the dataset of example inputs is empty.")
    rows = [_by_input("the dataset", element, signature) for element in elements]
    if not signature.batched:
        return rows[0]
    try:
        return {key: np.stack([row[key] for row in rows]) for key in rows[0]}
    except ValueError:
        raise UsageError(
            "the dataset's rows have different shapes: pad them, as with padded_batch."
        ) from None
