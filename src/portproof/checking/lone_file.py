"""A file without an original -> a bundle of it with inputs, and with no answers to hold it to."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from portproof.bundle import atomic, tensors
from portproof.bundle.bundle import MANIFEST
from portproof.bundle.digest import file_record, folder_records
from portproof.bundle.errors import UsageError
from portproof.bundle.forms import Form
from portproof.bundle.manifest import SCHEMA, Artifact, Endpoint, Manifest, Origin, Vector
from portproof.bundle.signature import DTYPES, Signature, TensorSpec
from portproof.bundle.tensors import Arrays
from portproof.checking.copying import copy_into
from portproof.checking.interface import Contents, Interface, OwnTensor
from portproof.checking.readers import read_contents
from portproof.checking.request import CheckRequest

ONLY_SIGNATURE = "serving_default"
# The folder of what is checked, below the bundle.
FILE = "file"
# Rows of a case, where the file takes any number; cases of one that takes a fixed number.
ROWS, FIXED_CASES = (16, 1, 3), 4
# Of a dimension that the file leaves open, the size that is tried: as `sources/generating.py`.
_LENGTH = 8
_SEED = 22


def write_lone(request: CheckRequest) -> None:
    """Write a bundle of a file and of inputs that it takes.

    Where the request names no inputs they are made up: floats are standard normal, integers of at
    most 16 bits take all their values, wider ones those below 8.

    Args:
        request: What is asked for: a `.tflite` or `.onnx` file or a folder of TF.js, perhaps a file
            of inputs by the file's own names, and the bundle's folder.

    Raises UsageError where the file cannot be read, does not say what it takes, or the inputs are
    not its own.
    """
    file, inputs = request.file.resolve(), _read_inputs(request.inputs)
    contents = read_contents(file)
    with atomic.folder(request.bundle) as root:
        (root / "vectors").mkdir()
        artifact, signatures = _artifact(file, contents, inputs, root)
        vectors = [
            vector
            for name, signature in signatures.items()
            for vector in _vectors(name, signature, inputs, root)
        ]
        manifest = Manifest(
            schema=SCHEMA,
            model=request.name,
            source=Origin(kind="file", digest=artifact.files[0].sha256, parameters=0),
            packages={},
            signatures=signatures,
            functions=(),
            artifacts=(artifact,),
            generated_inputs=() if inputs else tuple(signatures),
            vectors=tuple(vectors),
        )
        atomic.write_text(root / MANIFEST, manifest.model_dump_json(by_alias=True))


def _read_inputs(path: Path | None) -> Mapping[str, Any] | None:
    if path is None:
        return None
    from portproof.sources.examples import read_examples  # which imports TensorFlow

    arrays = read_examples(path)
    if not isinstance(arrays, Mapping):
        raise UsageError(f"{path} holds an array without a name: give a .npz file with names.")
    return arrays


def _artifact(
    file: Path, contents: Contents, inputs: Mapping[str, Any] | None, root: Path
) -> tuple[Artifact, dict[str, Signature]]:
    """The file's copy below `root`, and its signatures by name."""
    path = copy_into(file, contents, root, FILE)
    signatures, endpoints = {}, {}
    for interface in contents.interfaces:
        name = interface.name or ONLY_SIGNATURE
        signatures[name] = Signature(
            inputs={k: _spec(file, k, t, inputs) for k, t in interface.inputs.items()},
            outputs={k: _output_spec(t) for k, t in interface.outputs.items()},
        )
        endpoints[name] = Endpoint(
            path=path,
            inputs={key: key for key in interface.inputs},
            outputs={key: key for key in interface.outputs},
            output_forms=_scales(interface),
            dynamic=signatures[name].batched,
            one_row=None if signatures[name].batched else path,
            signature=None if interface.name else "",
        )
    files = folder_records(root, FILE)
    return (
        Artifact(
            format=contents.format, variant=contents.variant, endpoints=endpoints, files=files
        ),
        signatures,
    )


def _spec(file: Path, name: str, own: OwnTensor, inputs: Mapping[str, Any] | None) -> TensorSpec:
    given = None if inputs is None else inputs.get(name)
    if own.dtype and own.shape is not None:
        return TensorSpec(dtype=own.dtype, shape=own.shape)
    if given is None:
        raise UsageError(
            f"{file} does not say what its input {name} is ({own}): give one, "
            f"--inputs data.npz with an array {name!r}."
        )
    shape = own.shape if own.shape is not None else (None, *given.shape[1:])
    return TensorSpec(dtype=own.dtype or given.dtype.name, shape=shape)


def _output_spec(own: OwnTensor) -> TensorSpec:
    """Of what the file does not say, anything: what an output is, the runtimes tell."""
    dtype = "float32" if own.scale is not None else own.dtype or "float32"
    return TensorSpec(dtype=dtype, shape=own.shape or ())


def _scales(interface: Interface) -> dict[str, Form]:
    """Integers of a scale are compared as the floats that they stand for."""
    return {
        name: Form(dtype=own.dtype, scale=own.scale, zero_point=own.zero_point)
        for name, own in interface.outputs.items()
        if own.scale is not None
    }


def _vectors(
    name: str,
    signature: Signature,
    inputs: Mapping[str, Any] | None,
    root: Path,
) -> Iterator[Vector]:
    cases = _given(name, signature, inputs) if inputs else _generated(signature)
    for number, (case, arrays) in enumerate(cases):
        path = f"vectors/{len(list((root / 'vectors').iterdir()))}.safetensors"
        tensors.write(root / path, {f"inputs/{key}": array for key, array in arrays.items()})
        yield Vector(
            signature=name,
            regime="batch" if number else "typical",
            case=case,
            file=file_record(root, path),
        )


def _given(
    name: str, signature: Signature, inputs: Mapping[str, Any]
) -> Iterator[tuple[str, Arrays]]:
    """The person's rows: all, and one alone; of a fixed number, the same twice."""
    arrays = {key: array for key, array in inputs.items() if key in signature.inputs}
    for key, spec in signature.inputs.items():
        if key not in arrays or not spec.accepts(arrays[key]):
            got = f"{arrays[key].dtype}{list(arrays[key].shape)}" if key in arrays else "nothing"
            raise UsageError(f"{name}: the file takes {key}: {spec}, and {got} is given for it.")
    yield "given", arrays
    if signature.batched:
        yield "one-row", {key: array[:1] for key, array in arrays.items()}
    else:
        yield "given-again", arrays


def _generated(signature: Signature) -> Iterator[tuple[str, Arrays]]:
    random = np.random.default_rng(_SEED)
    for number in ROWS if signature.batched else range(1, FIXED_CASES + 1):
        rows = number if signature.batched else _LENGTH
        yield (
            f"{'rows' if signature.batched else 'case'}-{number}",
            {key: _made_up(spec, rows, random) for key, spec in signature.inputs.items()},
        )


def _made_up(spec: TensorSpec, rows: int, random: np.random.Generator) -> np.ndarray[Any, Any]:
    sizes = (rows if n == 0 else _LENGTH for n in range(len(spec.shape)))
    shape = [size if dim is None else dim for dim, size in zip(spec.shape, sizes, strict=True)]
    dtype = DTYPES[spec.dtype]
    if dtype.kind == "b":
        return random.random(shape) < 0.5
    if dtype.kind not in "iu":
        return random.standard_normal(shape).astype(dtype)
    if dtype.itemsize <= 2:  # pixels, or floats in integers of a scale
        limits = np.iinfo(dtype)
        return random.integers(limits.min, limits.max, shape, dtype, endpoint=True)
    return random.integers(0, 8, shape, dtype)
