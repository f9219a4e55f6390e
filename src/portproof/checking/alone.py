"""A file that nobody has the original of -> a bundle of it -> Report.

One runtime, its format's reference kernels or what computes it on the CPU, gives the references, to
which all others are held.
"""

import shutil
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np

from portproof.bundle import atomic, temporary, tensors
from portproof.bundle.bundle import Bundle, replaceable, write_manifest
from portproof.bundle.digest import file_record
from portproof.bundle.errors import UsageError
from portproof.bundle.float_format import Array, is_float
from portproof.bundle.manifest import Budget, HeldTo, Manifest, Vector
from portproof.bundle.report import Report
from portproof.bundle.signature import Signature, TensorSpec
from portproof.bundle.tensors import Arrays
from portproof.checking.copying import make_in_sandbox
from portproof.checking.lone_file import FILE, write_lone
from portproof.checking.request import CheckRequest
from portproof.comparing.agreement import budget_between
from portproof.confined_export import can_confine
from portproof.runtimes.table import select
from portproof.sandbox.sandbox import sandbox
from portproof.verification import Callbacks, VerifyOptions, verify_bundles
from portproof.verifying.answering import Answers, answers_of

# What the others of a format are held to; where the first does not compute a file, the next.
REFERENCES = {
    "tflite": ("litert-reference", "litert"),
    "onnx": ("onnxruntime", "onnxruntime-node"),
    "tfjs-graph": ("tfjs-node-cpu", "tfjs-node-wasm"),
    "tfjs-layers": ("tfjs-node-cpu", "tfjs-node-wasm"),
}
_MAKING_SECONDS = 600.0


def has_own_original(file: Path) -> bool:
    """Whether a file is a model that its own artifact can be held to: a SavedModel or a .keras."""
    return file.suffix == ".keras" or (file / "saved_model.pb").is_file()


def check_alone(request: CheckRequest, options: VerifyOptions, callbacks: Callbacks) -> Report:
    """Make the bundle, and hold the runtimes to one of them, at each version that is here.

    Raises ExportError where the file cannot be read in the sandbox, and UsageError where it cannot
    be read at all, or nothing computes it.
    """
    if request.mapped or request.signature or request.imports:
        raise UsageError("--map, --signature and --import are about a model: give it, --against.")
    target = replaceable(request.bundle)
    with ExitStack() as stack:
        folder = stack.enter_context(temporary.own_folder())
        plain = request.model_copy(update={"bundle": folder / request.name})
        confined = None
        if not options.trust and can_confine([request.file], callbacks.log):
            confined = stack.enter_context(sandbox())
            make_in_sandbox(plain, _MAKING_SECONDS, callbacks.log)
        else:
            write_lone(plain)
        bundle = Bundle.open(plain.bundle)
        [artifact] = bundle.manifest.artifacts
        references = select(list(REFERENCES[artifact.format]), [])
        admitted = confined.admitted(bundle) if confined else bundle
        answers = answers_of(admitted, references, options.limits, confined, callbacks.log)
        _hold(bundle, answers, target)
    return verify_bundles([str(target)], replace(options, every_version=True), callbacks)


def _hold(bundle: Bundle, answers: Answers, target: Path) -> None:
    """Write the bundle of a file with the answers that it is held to; the file is moved there."""
    with atomic.folder(target) as root:
        shutil.move(bundle.path / FILE, root / FILE)
        (root / "vectors").mkdir()
        vectors = [
            _answered(bundle, vector, outputs, root)
            for name, cases in answers.outputs.items()
            for vector, outputs in zip(bundle.vectors(name), cases, strict=True)
        ]
        write_manifest(root, _held(bundle.manifest, answers, vectors))


def _held(manifest: Manifest, answers: Answers, vectors: list[Vector]) -> Manifest:
    [artifact] = manifest.artifacts
    signatures, budgets = {}, {}
    for name, signature in manifest.signatures.items():
        outputs = {key: [case[key] for case in answers.outputs[name]] for key in signature.outputs}
        specs = {key: _spec(key, cases) for key, cases in outputs.items()}
        signatures[name] = Signature(inputs=signature.inputs, outputs=specs)
        budgets[name] = dict(_budgets(outputs, artifact.variant))
    update = {
        "held_to": HeldTo(runtime=answers.runtime, version=answers.version, budgets=budgets),
        "signatures": signatures,
        "operations": dict(answers.operations),
        "vectors": tuple(vectors),
    }
    return manifest.model_copy(update=update)


def _spec(name: str, cases: list[Array]) -> TensorSpec:
    """What all cases have in common."""
    kinds = {(case.dtype.name, case.ndim) for case in cases}
    if len(kinds) > 1:
        raise UsageError(f"its output {name} is of another dtype or rank in each case.")
    sizes = zip(*(case.shape for case in cases), strict=True)
    shape = tuple(dims[0] if len(set(dims)) == 1 else None for dims in sizes)
    return TensorSpec(dtype=cases[0].dtype.name, shape=shape)


def _budgets(outputs: dict[str, list[Array]], variant: str) -> Iterable[tuple[str, Budget]]:
    for name, cases in outputs.items():
        budget = budget_between(cases, variant) if is_float(cases[0].dtype) else None
        if budget:
            yield name, budget


def _answered(bundle: Bundle, vector: Vector, outputs: Arrays, root: Path) -> Vector:
    """A case with what is expected of it. Nothing is known of it in float64: the same numbers."""
    arrays = bundle.read(vector)
    for name, output in outputs.items():
        arrays[f"reference/{name}"] = output
        if is_float(output.dtype):
            arrays[f"oracle/{name}"] = output.astype(np.float64)
            arrays[f"rounding/{name}"] = np.zeros_like(output)
    tensors.write(root / vector.file.path, arrays)
    return vector.model_copy(update={"file": file_record(root, vector.file.path)})
