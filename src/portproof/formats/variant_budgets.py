"""The error that a TFLite variant declares: measured where its arithmetic is specified.

A variant is run in LiteRT at export, with both of its sets of kernels and in both of its files,
on the same cases that become test vectors. The SQNR that it declares is its own noise against the
original, in the worst row of any of them, less 3 dB: a runtime may add as much noise as the variant
has. The numbers that the reference kernels give for an int8 output are kept in the vectors. Any
runtime must give them up to a few steps of the output's scale, or twice as much as LiteRT's two
sets of kernels and the artifact's two files differ in this model.
"""

import contextlib
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from portproof.bundle.manifest import Artifact, Budget, Budgets
from portproof.bundle.tensors import Arrays, in_group
from portproof.formats.litert_kernels import (
    OPTIMISED,
    REFERENCE,
    KernelError,
    SignatureRunner,
)
from portproof.sources.source import Source
from portproof.tflite.file import output_steps
from portproof.vectors.cases import Case

# Another kernel may round a requantised sum to the neighbouring step here and there, which the next
# layer turns into several steps (XNNPACK: up to four, after a depthwise convolution). On average
# that is little (0.02 there), and a weight's scale that is off by 1/127 is much (0.24).
LSB, MEAN_LSB = 5.0, 0.125
MARGIN = 3.0  # dB: as much noise again
_FLOAT16_ROUNDOFF = 2.0**-11


class VariantMeasurement:
    """Runs one variant on the cases of the test vectors, and adds up what it shows.

    Args:
        source: The source that was exported.
        folder: The bundle's folder.
        artifact: The variant's artifact.
    """

    def __init__(self, source: Source, folder: Path, artifact: Artifact) -> None:
        self._source, self._folder, self._artifact = source, folder, artifact
        self._noise: dict[str, dict[str, _OutputNoise]] = {}
        self._signature = ""
        self._runner: SignatureRunner
        self._others: list[SignatureRunner]

    def __call__(self, signature: str, case: Case, arrays: Arrays) -> Arrays:
        """Run one case. The arrays `int8/NAME` of an int8 variant, else none."""
        if case.regime == "edge" or signature not in self._artifact.endpoints:
            return {}
        if signature != self._signature:
            self._start(signature)
        inputs, reference = in_group(arrays, "inputs"), in_group(arrays, "reference")
        batched = self._source.signatures[signature].batched
        outputs = self._runner(inputs)
        noise = self._noise.setdefault(signature, {name: _OutputNoise() for name in outputs})
        for name, array in outputs.items():
            noise[name].add(array, reference[name], batched)
        for other in self._others:
            # Where XNNPACK refuses the file, as it does some, it tells nothing of other kernels.
            with contextlib.suppress(KernelError):
                for name, array in other(inputs).items():
                    noise[name].add(array, reference[name], batched)
                    noise[name].compare(array, outputs[name])
        if self._artifact.variant != "int8":
            return {}
        return {f"int8/{name}": array for name, array in outputs.items()}

    def _start(self, signature: str) -> None:
        endpoint = self._artifact.endpoints[signature]
        path = self._folder / endpoint.path
        by_row = self._source.signatures[signature].batched and not endpoint.dynamic
        self._signature = signature
        self._runner = SignatureRunner(path, signature, by_row, (REFERENCE, OPTIMISED))
        self._others = [SignatureRunner(path, signature, by_row, (OPTIMISED,))]
        if endpoint.one_row and endpoint.dynamic:
            one_row = self._folder / endpoint.one_row
            self._others.append(SignatureRunner(one_row, signature, True, (REFERENCE, OPTIMISED)))

    def budgets(self) -> Budgets:
        """The budget of each output of each signature that was run."""
        return {signature: self._of_signature(signature) for signature in self._noise}

    def _of_signature(self, signature: str) -> dict[str, Budget]:
        steps: dict[str, float] = {}
        if self._artifact.variant == "int8":
            path = self._folder / self._artifact.endpoints[signature].path
            steps = output_steps(str(path), signature)
        noise = self._noise[signature]
        return {name: _budget(noise[name], steps.get(name)) for name in noise}


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


def _budget(noise: _OutputNoise, step: float | None) -> Budget:
    sqnr = math.floor(noise.sqnr - MARGIN) if math.isfinite(noise.sqnr) else None
    if step:
        lsb = max(LSB, math.ceil(2 * noise.max_between / step))
        mean = max(MEAN_LSB, math.ceil(200 * noise.mean_between / step) / 100)
        return Budget(step=step, lsb=lsb, mean_lsb=mean, sqnr=sqnr)
    if sqnr is not None:
        return Budget(sqnr=sqnr)
    # A row that is all zeros has no signal, and an exact output no noise.
    step = max(noise.max_value, 1.0) * _FLOAT16_ROUNDOFF
    return Budget(step=step, lsb=math.ceil(2 * noise.max_error / step) + 1)
