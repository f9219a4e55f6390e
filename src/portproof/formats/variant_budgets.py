"""The error that a TFLite variant declares: measured where its arithmetic is specified.

A variant is run in LiteRT at export, with both of its sets of kernels and in both of its files, on
the rows of the test vectors. The SQNR that it declares is its own noise against the original, in
the worst row of any of them, less 3 dB: a runtime may add as much noise as the variant has. The
numbers that the reference kernels give for an int8 output are kept with the vectors. Any runtime
must give them up to a few steps of the output's scale, or twice as much as LiteRT's two sets of
kernels and the artifact's two files differ in this model.
"""

import contextlib
import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from portproof.bundle import tensors
from portproof.bundle.digest import File, file_record
from portproof.bundle.manifest import Artifact, Budget, Budgets, Vector
from portproof.bundle.signature import Signature
from portproof.bundle.tensors import Arrays, in_group
from portproof.formats.litert_kernels import OPTIMISED, REFERENCE, KernelError, Kernels, borrowed
from portproof.tflite.file import output_steps
from portproof.tflite.one_row import with_one_row

# Another kernel may round a requantised sum to the neighbouring step here and there, which the next
# layer turns into several steps (XNNPACK: up to four, after a depthwise convolution). On average
# that is little (0.02 there), and a weight's scale that is off by 1/127 is much (0.24).
LSB, MEAN_LSB = 5.0, 0.125
MARGIN = 3.0  # dB: as much noise again
# A runtime may round what goes into a `dynamic-range` layer to 8 bits, or not: LiteRT does where
# its kernels take it. The noise of that is 6.02 * 8 + 4.77 - 20 log10(4) dB down where the largest
# value is four times the root mean square (B. Widrow and I. Kollar, "Quantization Noise", 2008), so
# none need be quieter.
_DYNAMIC_RANGE_SQNR = 40.0
_FLOAT16_ROUNDOFF = 2.0**-11


@dataclass
class Measured:
    """What a variant showed.

    Attributes:
        budgets: The budget of each output of each signature.
        files: By signature and case, the file of an int8 variant's own numbers, `int8/NAME`.
    """

    budgets: Budgets = field(default_factory=dict)
    files: dict[tuple[str, str], File] = field(default_factory=dict)


@dataclass(frozen=True)
class MeasuredOn:
    """The test vectors that variants are measured on.

    Attributes:
        folder: The bundle's folder.
        signatures: Every signature by name.
        vectors: All cases, written.
        row_dependent: The signatures whose rows depend on each other.
    """

    folder: Path
    signatures: Mapping[str, Signature]
    vectors: Sequence[Vector]
    row_dependent: Sequence[str]


def measure_variant(artifact: Artifact, on: MeasuredOn) -> Measured:
    """Run a variant of TFLite on the cases that decide, and keep an int8 variant's numbers."""
    measured = Measured()
    own: list[tuple[Vector, Arrays]] = []
    with borrowed() as kernels:
        for signature in artifact.endpoints:
            of_signature = _SignatureMeasurement(artifact, signature, on, kernels)
            for vector in on.vectors:
                if vector.signature != signature or vector.regime == "edge":
                    continue
                arrays = tensors.read(on.folder / vector.file.path)
                own.append((vector, of_signature.run(arrays)))
            measured.budgets[signature] = of_signature.budgets()
    for vector, outputs in own if artifact.variant == "int8" else ():
        path = vector.file.path.replace(".safetensors", ".int8.safetensors")
        tensors.write(on.folder / path, {f"int8/{n}": a for n, a in outputs.items()})
        measured.files[vector.signature, vector.case] = file_record(on.folder, path)
    return measured


class _SignatureMeasurement:
    """One signature of a variant in every set of kernels, each row once."""

    def __init__(
        self, artifact: Artifact, signature: str, on: MeasuredOn, kernels: Kernels
    ) -> None:
        self._artifact, self._name, self._folder = artifact, signature, on.folder
        self._batched = on.signatures[signature].batched
        endpoint = artifact.endpoints[signature]
        path = on.folder / endpoint.path
        by_row = self._batched and not endpoint.dynamic
        each_row = self._batched and signature not in on.row_dependent

        def computer(path: Path, by_row: bool, *sets: str) -> _Computer:
            return _Computer(kernels, path, signature, by_row, list(sets), each_row)

        self._own = computer(path, by_row, REFERENCE, OPTIMISED)
        self._others = [computer(path, by_row, OPTIMISED)]
        if endpoint.one_row and endpoint.dynamic:
            one_row = on.folder / endpoint.one_row
            # Where the files are the same but for shapes, so is their arithmetic.
            if with_one_row(path.read_bytes()) != one_row.read_bytes():
                self._others.append(computer(one_row, True, REFERENCE, OPTIMISED))
        self._noise: dict[str, _OutputNoise] = {}

    def run(self, arrays: Arrays) -> Arrays:
        """The variant's own outputs for one case."""
        inputs, reference = in_group(arrays, "inputs"), in_group(arrays, "reference")
        outputs = self._own(inputs)
        for name, array in outputs.items():
            noise = self._noise.setdefault(name, _OutputNoise())
            noise.add(array, reference[name], self._batched)
        for other in self._others:
            # Where XNNPACK refuses the file, as it does some, it tells nothing of other kernels.
            with contextlib.suppress(KernelError):
                for name, array in other(inputs).items():
                    self._noise[name].add(array, reference[name], self._batched)
                    self._noise[name].compare(array, outputs[name])
        return outputs

    def budgets(self) -> dict[str, Budget]:
        steps: dict[str, float] = {}
        if self._artifact.variant == "int8":
            path = self._folder / self._artifact.endpoints[self._name].path
            steps = output_steps(str(path), self._name)
        quietest = _DYNAMIC_RANGE_SQNR if self._artifact.variant == "dynamic-range" else math.inf
        return {n: _budget(noise, steps.get(n), quietest) for n, noise in self._noise.items()}


@dataclass
class _Computer:
    """A signature of a file in the first of some sets of kernels that has its ops.

    With `each_row`, a row that was computed is not computed again.
    """

    kernels: Kernels
    path: Path
    signature: str
    by_row: bool
    sets: list[str]
    each_row: bool
    known: dict[bytes, Arrays] = field(default_factory=dict)

    def __call__(self, inputs: Arrays) -> Arrays:
        """Compute the outputs. Raises KernelError where the last set of kernels fails too."""
        if not self.each_row:
            return self._run(inputs)
        keys = list(_row_keys(inputs))
        new = [n for n, key in enumerate(keys) if key not in self.known and key not in keys[:n]]
        if new:
            outputs = self._run({name: array[new] for name, array in inputs.items()})
            if any(len(array) != len(new) for array in outputs.values()):
                return self._run(inputs)
            for n, row in enumerate(new):
                self.known[keys[row]] = {name: array[n] for name, array in outputs.items()}
        rows = [self.known[key] for key in keys]
        return {name: np.stack([row[name] for row in rows]) for name in rows[0]}

    def _run(self, inputs: Arrays) -> Arrays:
        while True:
            try:
                return self.kernels.run(
                    self.sets[0], self.path, self.signature, by_row=self.by_row, inputs=inputs
                )
            except KernelError:
                if len(self.sets) == 1:
                    raise
                self.sets.pop(0)


def _row_keys(inputs: Arrays) -> Iterator[bytes]:
    arrays = [np.ascontiguousarray(array) for array in inputs.values()]
    for row in range(len(arrays[0])):
        yield b"".join(hashlib.sha256(array[row].tobytes()).digest() for array in arrays)


@dataclass
class _OutputNoise:
    """How far a variant was off in one output.

    Attributes:
        sqnr: The least of any row against the reference, in dB.
        max_error: The largest difference from the reference.
        max_value: The largest magnitude of the reference.
        max_between: The largest difference between two sets of kernels or two files.
        mean_between: The largest mean of such differences in a case.
    """

    sqnr: float = math.inf
    max_error: float = 0.0
    max_value: float = 0.0
    max_between: float = 0.0
    mean_between: float = 0.0

    def compare(self, other: Any, own: Any) -> None:
        """Add what two sets of kernels differ by."""
        difference = np.abs(other.astype(np.float64) - own)
        self.max_between = max(self.max_between, float(difference.max(initial=0)))
        mean = float(difference.mean()) if difference.size else 0.0
        self.mean_between = max(self.mean_between, mean)

    def add(self, got: Any, reference: Any, batched: bool) -> None:
        """Add a case."""
        rows = len(reference) if batched and reference.ndim else 1
        expected = reference.astype(np.float64).reshape(rows, -1)
        error = got.astype(np.float64).reshape(rows, -1) - expected
        self.max_error = max(self.max_error, float(np.abs(error).max(initial=0)))
        self.max_value = max(self.max_value, float(np.abs(expected).max(initial=0)))
        signals, noises = (expected**2).sum(axis=1), (error**2).sum(axis=1)
        for signal, noise in zip(signals, noises, strict=True):
            if noise:
                ratio = 10 * math.log10(signal / noise) if signal else -math.inf
                self.sqnr = min(self.sqnr, ratio)


def _budget(noise: _OutputNoise, step: float | None, quietest: float = math.inf) -> Budget:
    sqnr = None
    if math.isfinite(noise.sqnr):
        sqnr = math.floor(min(noise.sqnr - MARGIN, quietest))
    if step:
        lsb = max(LSB, math.ceil(2 * noise.max_between / step))
        mean = max(MEAN_LSB, math.ceil(200 * noise.mean_between / step) / 100)
        return Budget(step=step, lsb=lsb, mean_lsb=mean, sqnr=sqnr)
    if sqnr is not None:
        return Budget(sqnr=sqnr)
    # A row that is all zeros has no signal, and an exact output no noise.
    step = max(noise.max_value, 1.0) * _FLOAT16_ROUNDOFF
    return Budget(step=step, lsb=math.ceil(2 * noise.max_error / step) + 1)
