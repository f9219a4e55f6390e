"""One signature of a `.tflite` file in LiteRT, in this process."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ai_edge_litert.interpreter import Interpreter, OpResolverType

from portproof.bundle.tensors import Arrays, Infer, row_by_row
from portproof.quiet import quiet

# Sets of kernels: LiteRT's plain reference ones, and the optimised ones that it ships with.
REFERENCE, OPTIMISED = OpResolverType.BUILTIN_REF, OpResolverType.BUILTIN


def check_runs(content: bytes, signature: str, inputs: Arrays) -> None:
    """Run a signature once. Raises RuntimeError or ValueError where LiteRT refuses it."""
    with quiet():
        interpreter = Interpreter(model_content=content)
    interpreter.get_signature_runner(signature)(**inputs)


class SignatureRunner:
    """One signature of a file, with the first set of kernels that has its ops.

    Args:
        path: The file.
        signature: The signature's key.
        by_row: Whether the file has exactly one row, so that batches go row by row.
        resolvers: The sets of kernels to try, in this order.
    """

    def __init__(self, path: Path, signature: str, by_row: bool, resolvers: Sequence[Any]) -> None:
        self._path, self._signature, self._by_row = str(path), signature, by_row
        self._resolvers = list(resolvers)
        self._infer: Infer | None = None

    def __call__(self, inputs: Arrays) -> Arrays:
        """Compute the outputs, with the next set of kernels where the current one fails.

        Raises RuntimeError or ValueError where the last set fails too.
        """
        while True:
            try:
                if self._infer is None:
                    self._infer = self._load()
                return self._infer(inputs)
            except (RuntimeError, ValueError):  # an op that these kernels lack
                if len(self._resolvers) == 1:
                    raise
                self._resolvers.pop(0)
                self._infer = None

    def _load(self) -> Infer:
        with quiet():
            self._interpreter = Interpreter(  # kept, because its runner does not own it
                self._path, experimental_op_resolver_type=self._resolvers[0]
            )
        runner = self._interpreter.get_signature_runner(self._signature)

        def infer(inputs: Arrays) -> Arrays:
            return dict(runner(**inputs))

        return row_by_row(infer) if self._by_row else infer
