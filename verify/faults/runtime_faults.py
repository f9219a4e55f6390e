"""Faulty runtimes on undamaged artifacts: wrong in one row, some batches, some calls or NaNs."""

from collections.abc import Iterator

from portproof.runtimes.runtime import Runtime
from verify.faults.corpus import Exported
from verify.faults.damage import with_faulty_runner
from verify.faults.examine import runtime_named

# The runtime in which the artifacts of each format are tried, with and without faults.
RUNTIME_OF_FORMAT = {
    "savedmodel": "tensorflow",
    "checkpoint": "tensorflow",
    "keras": "keras",
    "tflite": "litert",
    "tfjs-graph": "tfjs-node-cpu",
    "tfjs-layers": "tfjs-node-cpu",
}
TITLES = {
    "one row by a thousandth": "one row of a batch off by a thousandth",
    "batches above one": "only batches above one off by a thousandth",
    "second call": "only the second call off by a thousandth",
    "nan to zero": "NaN turned to 0",
}


def faulty_runtimes(
    architectures: list[Exported], fault: str
) -> Iterator[tuple[Exported, str, Runtime]]:
    """Each architecture with two of its formats and the faulty runtime of each.

    The choice of the two formats shifts by one from each architecture to the next.
    """
    for position, exported in enumerate(architectures):
        if fault == "nan to zero" and not _has_nan(exported):
            continue
        formats = [f for f in exported.formats if f in RUNTIME_OF_FORMAT]
        for n in range(min(2, len(formats))):
            format_ = formats[(position + n) % len(formats)]
            runtime = runtime_named(RUNTIME_OF_FORMAT[format_])
            yield exported, format_, with_faulty_runner(runtime, fault)


def _has_nan(exported: Exported) -> bool:
    """Whether any reference output has a NaN, which a runtime could lose."""
    return any(
        (array != array).any()
        for vector in exported.bundle.manifest.vectors
        for name, array in exported.bundle.read(vector).items()
        if name.startswith("reference/")
    )
