"""What a variant of TFLite computes: in LiteRT's plain kernels, and in those that it ships with."""

from collections.abc import Sequence
from pathlib import Path

from portproof.bundle.manifest import Artifact, Endpoint
from portproof.bundle.tensors import Arrays, Infer
from portproof.formats.litert_kernels import OPTIMISED, REFERENCE, Kernels, borrowed
from portproof.formats.variant_budgets import Arithmetic, KernelError, MeasuredOn
from portproof.tflite.file import output_steps
from portproof.tflite.one_row import with_one_row


def arithmetic(artifact: Artifact, signature: str, on: MeasuredOn) -> Arithmetic:
    """Both sets of kernels and both files: the reference kernels' numbers are the variant's own."""
    endpoint = artifact.endpoints[signature]
    path = on.folder / endpoint.path
    by_row = on.signatures[signature].batched and not endpoint.dynamic
    own = signature if endpoint.signature is None else endpoint.signature

    def computer(path: Path, by_row: bool, *sets: str) -> Infer:
        computer = _Computer(path, own, by_row, list(sets))
        return on.each_row_once(signature, endpoint.translated(computer, on.signatures[signature]))

    others = [computer(path, by_row, OPTIMISED)]
    if endpoint.one_row and endpoint.dynamic:
        one_row = on.folder / endpoint.one_row
        # Where the files are the same but for shapes, so is their arithmetic.
        if with_one_row(path.read_bytes()) != one_row.read_bytes():
            others.append(computer(one_row, True, REFERENCE, OPTIMISED))
    reference = computer(path, by_row, REFERENCE, OPTIMISED)
    return Arithmetic(reference, others, _steps(artifact, path, endpoint, own))


def _steps(artifact: Artifact, path: Path, endpoint: Endpoint, own: str) -> dict[str, float]:
    """By output, the scale of its integers: what a float is made of, or what the file gives."""
    if artifact.variant != "int8":
        return {}
    by_own_name = output_steps(str(path), own)
    steps = {
        name: by_own_name[file_name]
        for name, file_name in endpoint.outputs.items()
        if file_name in by_own_name
    }
    return steps | {n: form.scale for n, form in endpoint.output_forms.items() if form.scale}


class _Computer:
    """A signature of a file in the first of some sets of kernels that has its ops."""

    def __init__(self, path: Path, signature: str, by_row: bool, sets: Sequence[str]) -> None:
        self._path, self._signature, self._by_row = path, signature, by_row
        self._sets = list(sets)

    def __call__(self, inputs: Arrays) -> Arrays:
        """Compute the outputs. Raises KernelError where the last set of kernels fails too."""
        with borrowed() as kernels:
            while True:
                try:
                    return self._run(kernels, inputs)
                except KernelError:
                    if len(self._sets) == 1:
                        raise
                    self._sets.pop(0)

    def _run(self, kernels: Kernels, inputs: Arrays) -> Arrays:
        return kernels.run(
            self._sets[0], self._path, self._signature, by_row=self._by_row, inputs=inputs
        )
