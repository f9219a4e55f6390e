"""Runtimes that go wrong on right artifacts: on one row, some batches, some calls, some values."""

from collections.abc import Iterator

from portproof.runtimes.runtime import Runtime
from verify.faults.corpus import Right
from verify.faults.damage import spoiled
from verify.faults.examine import runtime

# What is on trial in each format, with and without faults.
RUNTIME = {
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


def faulty(rights: list[Right], fault: str) -> Iterator[tuple[Right, str, Runtime]]:
    """Each architecture in two of its formats, in turn."""
    for turn, right in enumerate(rights):
        if fault == "nan to zero" and not _has_nan(right):
            continue
        formats = [f for f in right.formats if f in RUNTIME]
        for n in range(min(2, len(formats))):
            format_ = formats[(turn + n) % len(formats)]
            yield right, format_, spoiled(runtime(RUNTIME[format_]), fault)


def _has_nan(right: Right) -> bool:
    """Whether the reference has a NaN anywhere that a runtime could lose."""
    return any(
        (array != array).any()
        for vector in right.bundle.manifest.vectors
        for name, array in right.bundle.read(vector).items()
        if name.startswith("reference/")
    )
