"""Export a model to every format, and prove that each artifact gives its numbers.

import portproof

bundle = portproof.export(model, "artifacts/my_model", inputs={"x": data})
report = portproof.verify(bundle.path)
assert report.ok, report.failures
"""

from portproof._api import (
    add_format,
    add_runtime,
    bench,
    check,
    diagnose,
    export,
    make_source,
    merge,
    print_report,
    publish,
    serve,
    set_up,
    verify,
)
from portproof.bundle.bundle import Bundle
from portproof.bundle.errors import (
    BundleError,
    ExportError,
    PortproofError,
    SetupError,
    UsageError,
)
from portproof.bundle.manifest import Budget, Endpoint
from portproof.bundle.report import Cell, Performance, Report
from portproof.bundle.tensors import Arrays, Infer
from portproof.comparing.floors import Floor
from portproof.formats.format import Format, Written
from portproof.quiet import start_tensorflow
from portproof.runtimes.protocol import Request
from portproof.runtimes.runtime import Runtime
from portproof.sources.source import Source
from portproof.verifying.diagnosis import Diagnosis

__all__ = [
    "Arrays",
    "Budget",
    "Bundle",
    "BundleError",
    "Cell",
    "Diagnosis",
    "Endpoint",
    "ExportError",
    "Floor",
    "Format",
    "Infer",
    "Performance",
    "PortproofError",
    "Report",
    "Request",
    "Runtime",
    "SetupError",
    "Source",
    "UsageError",
    "Written",
    "add_format",
    "add_runtime",
    "bench",
    "check",
    "diagnose",
    "export",
    "make_source",
    "merge",
    "print_report",
    "publish",
    "serve",
    "set_up",
    "start_tensorflow",
    "verify",
]
