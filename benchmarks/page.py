"""Figures as Markdown."""

import os
import platform
from collections.abc import Iterator, Sequence
from importlib.metadata import version

import psutil

from benchmarks.measuring import Pair


def table(rows: Sequence[tuple[str, Pair]]) -> Iterator[str]:
    """A row for each pair: seconds, their ratio, memory."""
    yield "| | ours | by hand | ratio | memory: ours | by hand |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for name, pair in rows:
        ours, by_hand = pair.seconds
        memory, memory_by_hand = (gigabytes(count) for count in pair.memory)
        yield (
            f"| {name} | {ours:.1f} s | {by_hand:.1f} s | {pair.ratio:.2f} "
            f"| {memory} | {memory_by_hand} |"
        )


def gigabytes(count: int) -> str:
    return f"{count / 2**30:.2f} GiB"


def machine() -> str:
    """What they were measured on."""
    cores, memory = os.cpu_count(), gigabytes(psutil.virtual_memory().total)
    tensorflow, keras = version("tensorflow"), version("keras")
    return (
        f"Measured on {cores} cores, {memory}, {platform.system()} {platform.machine()}, Python "
        f"{platform.python_version()}, TensorFlow {tensorflow}, Keras {keras}."
    )
