"""Example inputs as arrays by signature and input: a person's own, or else generated."""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
import psutil
import tensorflow as tf

from portproof.bundle import tensors
from portproof.bundle.errors import UsageError, one_line
from portproof.bundle.reading import opened
from portproof.bundle.signature import DTYPES, Signature, TensorSpec
from portproof.bundle.structure import flatten
from portproof.sources.functions import concrete_of, signature_of
from portproof.sources.generating import generate
from portproof.sources.source import Examples

# Rows that are taken from a dataset: test vectors are a proof, not a benchmark.
MAX_ROWS = 48


def complete_examples(
    functions: Mapping[str, Any], examples: Any
) -> tuple[Examples, frozenset[str]]:
    """Examples for each signature, and the signatures whose examples had to be generated.

    Args:
        functions: The flat functions by signature.
        examples: An array (for a signature with one input), a mapping by input, nested like the
            original's, a mapping of such mappings by signature, or a `tf.data.Dataset` of rows or
            batches of one of the first two. None: generate all.

    Raises UsageError where they fit no signature.
    """
    complete: dict[str, dict[str, np.ndarray[Any, Any]]] = {}
    for name, value in _by_signature(examples, list(functions)).items():
        if name not in functions:
            raise UsageError(f"there is no signature {name}: they are {', '.join(functions)}.")
        complete[name] = _arrays(name, value, functions[name])
    generated = frozenset(functions) - set(complete)
    for name in functions:
        if name in generated:
            complete[name] = generate(name, functions[name])
    return complete, generated


def read_examples(path: Path) -> dict[str, Any] | np.ndarray[Any, Any]:
    """Arrays of a `.npz`, `.safetensors` or `.npy` file. Raises UsageError."""
    if path.suffix not in (".npz", ".npy", ".safetensors"):
        raise UsageError(f"{path}: example inputs are read from .npz, .npy or .safetensors.")
    room = psutil.virtual_memory().available
    try:
        with opened(path, room, links=True) as stream:
            if path.suffix == ".safetensors":
                return tensors.from_bytes(stream.read())
            if path.suffix == ".npz":
                _check_room(stream, room)
            loaded = np.load(stream, allow_pickle=False)
            return dict(loaded) if path.suffix == ".npz" else loaded
    except MemoryError:
        raise UsageError(f"{path} holds more than there is memory for.") from None
    except Exception as error:  # what zipfile, zlib and NumPy raise of a damaged file
        reason = getattr(error, "strerror", None) or one_line(error)
        raise UsageError(f"{path} cannot be read as {path.suffix[1:]}: {reason}") from None


def _check_room(stream: IO[bytes], room: int) -> None:
    """Raise MemoryError where an archive says that its files have more bytes than that."""
    with zipfile.ZipFile(stream) as archive:
        if sum(member.file_size for member in archive.infolist()) > room:
            raise MemoryError
    stream.seek(0)


def read_labels(path: Path) -> np.ndarray[Any, Any]:
    """Labels of a `.npy` file: a class for each row. Raises UsageError."""
    labels = read_examples(path)
    if isinstance(labels, Mapping):
        raise UsageError(f"{path}: labels are read from a .npy file, one for each output.")
    return labels.reshape(-1) if labels.ndim == 2 and labels.shape[1] == 1 else labels


def complete_labels(functions: Mapping[str, Any], labels: Any) -> Examples:
    """Labels by signature and output.

    Args:
        functions: The flat functions by signature.
        labels: An array (for a signature with one output), a mapping by output, or a mapping of
            such mappings by signature. None: there are none.

    Raises UsageError where they fit no signature.
    """
    if labels is None or (isinstance(labels, Mapping) and not labels):
        return {}
    complete: dict[str, dict[str, np.ndarray[Any, Any]]] = {}
    for name, value in _by_signature(labels, list(functions)).items():
        outputs = list(signature_of(name, concrete_of(functions[name])).outputs)
        if not isinstance(value, Mapping):
            if len(outputs) > 1:
                raise UsageError(f"{name} has the outputs {', '.join(outputs)}: name the labels'.")
            value = {outputs[0]: value}
        # A name of "" is of labels that nobody named, which one output cannot confuse.
        if set(value) == {""} and len(outputs) == 1:
            value = {outputs[0]: value[""]}
        complete[name] = {output: np.asarray(array) for output, array in value.items()}
    return complete


def _by_signature(examples: Any, signatures: list[str]) -> dict[str, Any]:
    if examples is None or (isinstance(examples, Mapping) and not examples):
        return {}
    if isinstance(examples, Mapping) and set(examples) <= set(signatures):
        return dict(examples)
    if len(signatures) == 1:
        return {signatures[0]: examples}
    if not isinstance(examples, Mapping):
        examples = {"x": examples}
    # Files hold no mapping in a mapping, so their names are `SIGNATURE/INPUT`.
    split: dict[str, dict[str, Any]] = {}
    for key, value in examples.items():
        signature, _, name = key.partition("/")
        split.setdefault(signature, {})[name] = value
    if set(split) <= set(signatures) and all(all(parts) for parts in split.values()):
        return split
    raise UsageError(
        f"there are several signatures ({', '.join(signatures)}): give "
        f"inputs={{'{signatures[0]}': {{...}}, ...}}, or name a file's arrays "
        f"'{signatures[0]}/INPUT'."
    )


def _arrays(name: str, examples: Any, function: Any) -> dict[str, np.ndarray[Any, Any]]:
    signature = signature_of(name, concrete_of(function))
    if isinstance(examples, tf.data.Dataset):
        examples = _from_dataset(examples, signature)
    arrays = {key: np.asarray(a) for key, a in _by_input(name, examples, signature).items()}
    return {key: _converted(signature.inputs.get(key), array) for key, array in arrays.items()}


def _by_input(name: str, examples: Any, signature: Signature) -> dict[str, Any]:
    names = list(signature.inputs)
    if isinstance(examples, Mapping):
        by_name = flatten(examples)
        # One array for one input is meant for it, whatever a file calls it.
        return (
            dict(zip(names, by_name.values(), strict=True))
            if len(by_name) == 1 == len(names)
            else by_name
        )
    arrays = list(examples) if isinstance(examples, list | tuple) else [examples]
    if len(arrays) != len(names):
        raise UsageError(f"{name} has the inputs {', '.join(names)}: name an array for each.")
    return dict(zip(names, arrays, strict=True))


def _converted(spec: TensorSpec | None, array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Floats in the signature's float dtype, and integers in its integer dtype if all fit.

    NumPy's defaults are float64 and int64, which few models take.
    """
    if spec is None or array.dtype == DTYPES[spec.dtype]:
        return array
    dtype = DTYPES[spec.dtype]
    if array.dtype.kind == "f" and tf.as_dtype(spec.dtype).is_floating:
        return array.astype(dtype)
    if array.dtype.kind in "iu" and dtype.kind in "iu":
        cast = array.astype(dtype)
        return cast if np.array_equal(cast, array) else array
    return array


def _from_dataset(dataset: Any, signature: Signature) -> dict[str, Any]:
    """The inputs of a dataset's first rows, as arrays of up to MAX_ROWS rows.

    Its elements are rows or batches of inputs, or tuples as `Model.fit` takes them: (inputs,
    targets) or (inputs, targets, sample weights), of which the inputs are taken.
    """
    if isinstance(dataset.element_spec, tuple) and len(dataset.element_spec) in (2, 3):
        dataset = dataset.map(lambda inputs, *_: inputs)
    spec = _by_input("the dataset", dataset.element_spec, signature)
    ranks = {key: len(input_.shape) for key, input_ in signature.inputs.items()}
    if signature.batched and all(leaf.shape.rank == ranks.get(key) for key, leaf in spec.items()):
        dataset = dataset.unbatch()
    elements = list(dataset.take(MAX_ROWS if signature.batched else 1).as_numpy_iterator())
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
