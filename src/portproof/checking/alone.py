"""A file that nobody has the original of, in every runtime -> Agreement."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from portproof.bundle import temporary
from portproof.bundle.bundle import Bundle
from portproof.bundle.errors import UsageError
from portproof.checking.lone_file import write_lone
from portproof.checking.request import CheckRequest
from portproof.confined_export import can_confine, make_confined
from portproof.runtimes.listing import runtime_states
from portproof.runtimes.process import Limits
from portproof.runtimes.runtime import Runtime
from portproof.runtimes.setup import set_up_named
from portproof.runtimes.table import select
from portproof.sandbox.sandbox import sandbox
from portproof.verifying.agreeing import agreement_of
from portproof.verifying.agreement import Agreement

# What the other runtimes of a format are held to: its reference kernels, or what computes it on the
# CPU; where the first does not compute a file, the next.
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


def agree(
    request: CheckRequest, runtimes: Sequence[str], *, trust: bool, log: Callable[[str], None]
) -> Agreement:
    """Run a file in many runtimes, and hold each to the reference kernels.

    Args:
        request: The file and its inputs, without a model.
        runtimes: The names of the runtimes; empty: all that are here, at each version.
        trust: Whether to read and run the file outside of the sandbox.
        log: Called with each step.

    Raises UsageError where the file cannot be read, or nothing computes it.
    """
    with ExitStack() as stack:
        folder = stack.enter_context(temporary.own_folder())
        confined = None
        if not trust and can_confine([request.file], log):
            confined = stack.enter_context(sandbox())
        path = _written(request, folder, confined=confined is not None, log=log)
        bundle = Bundle.open(path)
        if confined:
            bundle = confined.admitted(bundle)
        [artifact] = bundle.manifest.artifacts
        references = select(list(REFERENCES[artifact.format]), [])
        chosen = [r for r in _chosen(runtimes, log) if artifact.name in r.formats]
        if not chosen:
            raise UsageError(f"{request.file}: none of these runtimes runs {artifact.name}.")
        return agreement_of(bundle, request.file.name, references, chosen, Limits(), confined, log)


def _chosen(names: Sequence[str], log: Callable[[str], None]) -> Sequence[Runtime]:
    """The runtimes of these names, set up; or all that are here, and those that are absent."""
    if names:
        return set_up_named(select(list(names), []), names, log)
    return select([state.name for state in runtime_states()], [])


def _written(
    request: CheckRequest, folder: Path, *, confined: bool, log: Callable[[str], None]
) -> Path:
    """The folder of the bundle of the file and its inputs."""
    bundle = folder / request.name
    if not confined:
        write_lone(request.model_copy(update={"bundle": bundle}))
        return bundle
    file = request.file.resolve() if request.file.is_dir() else request.file.absolute()
    inputs = request.inputs and request.inputs.absolute()

    def words(made: Path) -> list[str]:
        paths = {"file": file, "inputs": inputs, "bundle": made / request.name}
        return [request.model_copy(update=paths).to_json()]

    make_confined(
        "portproof.checking",
        words,
        models=[file],
        bundles={request.name: bundle},
        readable=[inputs] if inputs else [],
        seconds=_MAKING_SECONDS,
        log=log,
    )
    return bundle
