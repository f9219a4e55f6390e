"""The error that a variant declares: measured where its arithmetic is specified.

A variant is run at export, in all sets of kernels and all files that its format names, on the rows
of the test vectors. The SQNR that it declares is its own noise against the original, in the worst
row of any of them, less 3 dB: a runtime may add as much noise as the variant has; and less what
chance does to a row of few numbers. The numbers that its own arithmetic gives for an int8 output
are kept with the vectors. Any runtime must give them up to a few steps of the output's scale, or
twice as much as the sets of kernels and the artifact's files differ in this model.
"""

import contextlib
import hashlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from portproof.bundle import tensors
from portproof.bundle.digest import File, file_record
from portproof.bundle.manifest import Artifact, Budget, Budgets, Vector
from portproof.bundle.signature import Signature
from portproof.bundle.tensors import Arrays, Infer, in_group
from portproof.comparing.metrics import row_signals

# Another kernel may round a requantised sum to the neighbouring step here and there, which the next
# layer turns into several steps (XNNPACK: up to four, after a depthwise convolution). On average
# that is little (0.02 there), and a weight's scale that is off by 1/127 is much (0.24).
LSB, MEAN_LSB = 5.0, 0.125
MARGIN = 3.0  # dB: as much noise again
# The energy of n independent errors has a standard deviation of sqrt(2 / n) of its mean (that of a
# chi-square of n degrees), which in dB is this by sqrt(n). Another order of rounding is another
# draw.
_CHANCE = 10 / math.log(10) * math.sqrt(2)
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
        files: By signature and case, the file of an int8 variant's own numbers, `FOLDER/NAME`.
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

    def each_row_once(self, signature: str, compute: Infer) -> Infer:
        """The same, but no row is computed twice where rows stand by themselves."""
        alone = self.signatures[signature].batched and signature not in self.row_dependent
        return _EachRowOnce(compute) if alone else compute


class KernelError(Exception):
    """What a set of kernels said, or how it ended, instead of an answer."""


@dataclass(frozen=True)
class Arithmetic:
    """What computes one signature of a variant, by the signature's names.

    Attributes:
        own: The variant's own arithmetic, as its format specifies it. Raises KernelError.
        others: Other sets of kernels and other files of the artifact.
        steps: By output, the scale of an int8 output.
    """

    own: Infer
    others: Sequence[Infer] = ()
    steps: Mapping[str, float] = field(default_factory=dict)


ArithmeticOf = Callable[[Artifact, str, MeasuredOn], Arithmetic]


def measure_variant(artifact: Artifact, on: MeasuredOn, arithmetic_of: ArithmeticOf) -> Measured:
    """Run a variant on the cases that decide, and keep an int8 variant's numbers.

    Args:
        artifact: The variant.
        on: What it is run on.
        arithmetic_of: Gives what computes one of its signatures.

    Raises KernelError where the variant's own arithmetic does not run.
    """
    measured = Measured()
    own: list[tuple[Vector, Arrays]] = []
    quietest = _DYNAMIC_RANGE_SQNR if artifact.variant == "dynamic-range" else math.inf
    for signature in artifact.endpoints:
        arithmetic = arithmetic_of(artifact, signature, on)
        noise = _Noise(arithmetic, on.signatures[signature].batched)
        for vector in on.vectors:
            if vector.signature != signature or vector.regime == "edge":
                continue
            own.append((vector, noise.add_case(tensors.read(on.folder / vector.file.path))))
        measured.budgets[signature] = {
            name: _budget(output, arithmetic.steps.get(name), quietest)
            for name, output in noise.outputs.items()
        }
    for vector, outputs in own if artifact.variant == "int8" else ():
        path = vector.file.path.replace(".safetensors", f".{artifact.folder}.safetensors")
        tensors.write(on.folder / path, {f"{artifact.group}/{n}": a for n, a in outputs.items()})
        measured.files[vector.signature, vector.case] = file_record(on.folder, path)
    return measured


class _Noise:
    """How far one signature of a variant is off, in every set of kernels, over the cases."""

    def __init__(self, arithmetic: Arithmetic, batched: bool) -> None:
        self._arithmetic, self._batched = arithmetic, batched
        self.outputs: dict[str, _OutputNoise] = {}

    def add_case(self, arrays: Arrays) -> Arrays:
        """The variant's own outputs for one case."""
        inputs, reference = in_group(arrays, "inputs"), in_group(arrays, "reference")
        own = self._arithmetic.own(inputs)
        for name, array in own.items():
            noise = self.outputs.setdefault(name, _OutputNoise())
            noise.add(array, reference[name], self._batched)
        for other in self._arithmetic.others:
            # Where a set of kernels refuses the file, as XNNPACK does some, it tells nothing.
            with contextlib.suppress(KernelError):
                for name, array in other(inputs).items():
                    self.outputs[name].add(array, reference[name], self._batched)
                    self.outputs[name].compare(array, own[name])
        return own


@dataclass
class _EachRowOnce:
    """Computes a batch; a row that was computed is not computed again."""

    compute: Infer
    known: dict[bytes, Arrays] = field(default_factory=dict)

    def __call__(self, inputs: Arrays) -> Arrays:
        keys = list(_row_keys(inputs))
        new = [n for n, key in enumerate(keys) if key not in self.known and key not in keys[:n]]
        if new:
            outputs = self.compute({name: array[new] for name, array in inputs.items()})
            if any(len(array) != len(new) for array in outputs.values()):
                return self.compute(inputs)
            for n, row in enumerate(new):
                self.known[keys[row]] = {name: array[n] for name, array in outputs.items()}
        rows = [self.known[key] for key in keys]
        return {name: np.stack([row[name] for row in rows]) for name in rows[0]}


def _row_keys(inputs: Arrays) -> Iterator[bytes]:
    arrays = [np.ascontiguousarray(array) for array in inputs.values()]
    for row in range(len(arrays[0])):
        yield b"".join(hashlib.sha256(array[row].tobytes()).digest() for array in arrays)


@dataclass
class _OutputNoise:
    """How far a variant was off in one output.

    Attributes:
        sqnr: The least of any row against the reference, in dB; see `row_signals`.
        numbers: How many a row has.
        max_error: The largest difference from the reference.
        max_value: The largest magnitude of the reference.
        max_between: The largest difference between two sets of kernels or two files.
        mean_between: The largest mean of such differences in a case.
    """

    sqnr: float = math.inf
    numbers: int = 1
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
        self.numbers = max(expected.shape[1], 1)
        signals = row_signals((expected**2).sum(axis=1), expected.size)
        noises = (error**2).sum(axis=1)
        for signal, noise in zip(signals, noises, strict=True):
            if noise:
                ratio = 10 * math.log10(signal / noise) if signal else -math.inf
                self.sqnr = min(self.sqnr, ratio)


def _budget(noise: _OutputNoise, step: float | None, quietest: float = math.inf) -> Budget:
    sqnr = None
    if math.isfinite(noise.sqnr):
        margin = MARGIN + _CHANCE / math.sqrt(noise.numbers)
        sqnr = math.floor(min(noise.sqnr - margin, quietest))
    if step:
        lsb = max(LSB, math.ceil(2 * noise.max_between / step))
        mean = max(MEAN_LSB, math.ceil(200 * noise.mean_between / step) / 100)
        return Budget(step=step, lsb=lsb, mean_lsb=mean, sqnr=sqnr)
    if sqnr is not None:
        return Budget(sqnr=sqnr)
    # A row that is all zeros has no signal, and an exact output no noise.
    step = max(noise.max_value, 1.0) * _FLOAT16_ROUNDOFF
    return Budget(step=step, lsb=math.ceil(2 * noise.max_error / step) + 1)
