"""A request -> the bundle of what is checked -> Report."""

from dataclasses import replace
from pathlib import Path

from portproof.bundle.bundle import Bundle
from portproof.bundle.report import Report
from portproof.checking.request import CheckRequest
from portproof.confined_export import can_confine, make_confined
from portproof.formats.table import SAVEDMODEL
from portproof.quiet import start_tensorflow
from portproof.sources.names import is_reference
from portproof.verification import Callbacks, VerifyOptions, verify_bundles

# Seconds that the model may take to be loaded and to give its test vectors.
_MAKING_SECONDS = 3600.0


def check_file(request: CheckRequest, options: VerifyOptions, callbacks: Callbacks) -> Report:
    """Make the bundle, in the sandbox where there is one, and verify what is checked in it.

    A model that is a function of the person's own runs with all rights, as theirs do everywhere.

    Raises ExportError and UsageError.
    """
    model = request.model
    paths = [request.file] if is_reference(model) else [request.file, Path(model)]
    free = options.trust or bool(request.imports) or is_reference(model)
    if not free and can_confine(paths, callbacks.log):
        _make_confined(request, paths, callbacks)
    else:
        start_tensorflow()
        from portproof.checking.checking import make

        make(request, callbacks.log)
    bundle = Bundle.open_unchecked(request.bundle)
    checked = [artifact.name for artifact in bundle.manifest.artifacts if not artifact.graph]
    others = [name for name in checked if name != SAVEDMODEL]
    options = replace(options, formats=tuple(others or checked))
    return verify_bundles([str(request.bundle)], options, callbacks)


def _make_confined(request: CheckRequest, paths: list[Path], callbacks: Callbacks) -> None:
    whole = [path.resolve() if path.is_dir() else path.absolute() for path in paths]
    inputs = request.inputs and request.inputs.absolute()

    def words(folder: Path) -> list[str]:
        paths = {"file": whole[0], "inputs": inputs, "bundle": folder / request.name}
        return [request.model_copy(update={**paths, "model": str(whole[1])}).to_json()]

    make_confined(
        "portproof.checking",
        words,
        models=whole,
        bundles={request.name: request.bundle},
        readable=[inputs] if inputs else [],
        seconds=_MAKING_SECONDS,
        log=callbacks.log,
    )
