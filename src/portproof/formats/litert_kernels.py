"""`.tflite` files in LiteRT while they are exported: in processes apart, for some make it abort."""

import queue
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from portproof.bundle import temporary
from portproof.bundle.tensors import Arrays
from portproof.formats.variant_budgets import KernelError
from portproof.runtimes.process import Limits, RunnerError
from portproof.runtimes.protocol import Inspect, Refusal, Request
from portproof.runtimes.runner import Runner
from portproof.runtimes.table import select

# Sets of kernels, as runtimes: LiteRT's plain reference ones, and those that it ships with.
REFERENCE, OPTIMISED = "litert-reference", "litert"


class Kernels:
    """The sets of kernels, each in a process that starts when it is first used. For one thread."""

    def __init__(self) -> None:
        self._processes: dict[str, Runner] = {}

    def stop(self) -> None:
        """End the processes."""
        for process in self._processes.values():
            process.stop()
        self._processes.clear()

    def check_runs(self, content: bytes, signature: str, inputs: Arrays) -> None:
        """Run a file's signature once. Raises KernelError where LiteRT refuses it."""
        self._run_content(OPTIMISED, content, signature, inputs, "")

    def inner_tensors(self, content: bytes, signature: str, inputs: Arrays) -> Arrays:
        """Every tensor that an op makes, by its name in the file. Raises KernelError."""
        return self._run_content(REFERENCE, content, signature, inputs, "tensors")

    def _run_content(
        self, kernels: str, content: bytes, signature: str, inputs: Arrays, inspect: Inspect
    ) -> Arrays:
        with tempfile.NamedTemporaryFile(suffix=".tflite", dir=temporary.root()) as file:
            file.write(content)
            file.flush()
            return self._run(kernels, Path(file.name), signature, False, inputs, inspect)

    def run(
        self, kernels: str, path: Path, signature: str, *, by_row: bool, inputs: Arrays
    ) -> Arrays:
        """Compute one signature of a file.

        Args:
            kernels: The set of kernels.
            path: The file.
            signature: The signature's key.
            by_row: Whether the file has exactly one row, so that batches go row by row.
            inputs: By the signature's names.

        Raises KernelError where it gives no outputs.
        """
        return self._run(kernels, path, signature, by_row, inputs, "")

    def _run(
        self,
        kernels: str,
        path: Path,
        signature: str,
        by_row: bool,
        inputs: Arrays,
        inspect: Inspect,
    ) -> Arrays:
        request = Request(
            artifact=str(path),
            format="tflite",
            graph=None,
            signature=signature,
            signatures=1,
            by_row=by_row,
            options={},
            inspect=inspect,
            timed=False,
        )
        try:
            answer, outputs = self._process(kernels).compute(request, inputs)
        except RunnerError as error:
            raise KernelError(str(error)) from None
        if isinstance(answer, Refusal):
            raise KernelError(answer.error)
        return outputs

    def _process(self, kernels: str) -> Runner:
        if kernels not in self._processes:
            [runtime] = select([kernels], [])
            self._processes[kernels] = runtime.runner(Limits())
        return self._processes[kernels]


_idle: queue.SimpleQueue[Kernels] = queue.SimpleQueue()


@contextmanager
def borrowed() -> Iterator[Kernels]:
    """Kernels that nobody else uses meanwhile; they stay for the next one, until `stop`."""
    try:
        kernels = _idle.get_nowait()
    except queue.Empty:
        kernels = Kernels()
    try:
        yield kernels
    finally:
        _idle.put(kernels)


def stop() -> None:
    """End the processes of all that are not in use."""
    with suppress(queue.Empty):
        while True:
            _idle.get_nowait().stop()
