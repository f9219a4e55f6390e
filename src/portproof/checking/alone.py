"""A file that nobody has the original of, in every runtime -> Agreement."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from portproof.bundle import temporary
from portproof.bundle.bundle import Bundle
from portproof.bundle.errors import UsageError
from portproof.checking.copying import make_in_sandbox
from portproof.checking.lone_file import write_lone
from portproof.checking.request import CheckRequest
from portproof.confined_export import can_confine
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
    if has_own_original(request.file):
        raise UsageError(
            f"{request.file} is a model itself: check it against itself, or the one it was made of."
        )
    with ExitStack() as stack:
        folder = stack.enter_context(temporary.own_folder())
        confined = None
        if not trust and can_confine([request.file], log):
            confined = stack.enter_context(sandbox())
        request = request.model_copy(update={"bundle": folder / request.name})
        if confined:
            make_in_sandbox(request, _MAKING_SECONDS, log)
            bundle = confined.admitted(Bundle.open(request.bundle))
        else:
            write_lone(request)
            bundle = Bundle.open(request.bundle)
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
