"""`.tflite` files in LiteRT while they are exported: in processes apart, for some make it abort."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from portproof.bundle.tensors import Arrays
from portproof.runtimes.process import Limits, RunnerError, RunnerProcess
from portproof.runtimes.protocol import Refusal, Request
from portproof.runtimes.table import select

# Sets of kernels, as runtimes: LiteRT's plain reference ones, and those that it ships with.
REFERENCE, OPTIMISED = "litert-reference", "litert"


class KernelError(Exception):
    """What LiteRT said, or how it ended, instead of an answer."""


def check_runs(content: bytes, signature: str, inputs: Arrays) -> None:
    """Run a file's signature once. Raises KernelError where LiteRT refuses it."""
    with tempfile.NamedTemporaryFile(suffix=".tflite") as file:
        file.write(content)
        file.flush()
        _run(OPTIMISED, Path(file.name), signature, False, inputs)


class SignatureRunner:
    """One signature of a file, with the first set of kernels that has its ops.

    Args:
        path: The file.
        signature: The signature's key.
        by_row: Whether the file has exactly one row, so that batches go row by row.
        kernels: The sets of kernels to try, in this order.
    """

    def __init__(self, path: Path, signature: str, by_row: bool, kernels: Sequence[str]) -> None:
        self._path, self._signature, self._by_row = path, signature, by_row
        self._kernels = list(kernels)

    def __call__(self, inputs: Arrays) -> Arrays:
        """Compute the outputs, with the next set of kernels where the current one fails.

        Raises KernelError where the last set fails too.
        """
        while True:
            try:
                return _run(self._kernels[0], self._path, self._signature, self._by_row, inputs)
            except KernelError:
                if len(self._kernels) == 1:
                    raise
                self._kernels.pop(0)


_processes: dict[str, RunnerProcess] = {}


def _process(kernels: str) -> RunnerProcess:
    """The one process of a set of kernels, until `stop`."""
    if kernels not in _processes:
        [runtime] = select([kernels], [])
        _processes[kernels] = runtime.runner(Limits())
    return _processes[kernels]


def stop() -> None:
    """End the processes: an export that is done leaves none behind."""
    for process in _processes.values():
        process.stop()
    _processes.clear()


def _run(kernels: str, path: Path, signature: str, by_row: bool, inputs: Arrays) -> Arrays:
    request = Request(
        artifact=str(path),
        format="tflite",
        graph=None,
        signature=signature,
        signatures=1,
        by_row=by_row,
        options={},
        inspect="",
        timed=False,
    )
    try:
        answer, outputs = _process(kernels).compute(request, inputs)
    except RunnerError as error:
        raise KernelError(str(error)) from None
    if isinstance(answer, Refusal):
        raise KernelError(answer.error)
    return outputs
