"""A request -> the bundle of what is checked -> Report."""

from dataclasses import replace
from pathlib import Path

from portproof.bundle.bundle import Bundle
from portproof.bundle.report import Report
from portproof.checking.copying import make_in_sandbox
from portproof.checking.request import CheckRequest
from portproof.confined_export import can_confine
from portproof.formats.table import SAVEDMODEL
from portproof.keras2 import provide_keras2
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
    provide_keras2([model], callbacks.log)
    paths = [request.file] if is_reference(model) else [request.file, Path(model)]
    free = options.trust or bool(request.imports) or is_reference(model)
    if not free and can_confine(paths, callbacks.log):
        make_in_sandbox(request, _MAKING_SECONDS, callbacks.log)
    else:
        start_tensorflow()
        from portproof.checking.checking import make

        make(request, callbacks.log)
    bundle = Bundle.open_unchecked(request.bundle)
    checked = [artifact.name for artifact in bundle.manifest.artifacts if not artifact.graph]
    others = [name for name in checked if name != SAVEDMODEL]
    options = replace(options, formats=tuple(others or checked))
    return verify_bundles([str(request.bundle)], options, callbacks)
