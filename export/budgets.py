"""The error that a variant declares of itself: measured where its arithmetic is specified.

A variant is run in LiteRT at export: with both of its sets of kernels, and in both of its files.
Its own noise against the original, in the worst row of any, is the SQNR that it declares, less 3
dB: a runtime may add as much noise as the variant has. Of an int8 output the numbers that the
reference kernels give are kept in the vectors, and any runtime must give them up to a few steps of
the output's scale, or twice what LiteRT's two sets of kernels and the artifact's two files differ
by in this model.
"""

import contextlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from bundle import digest, tensors
from bundle.manifest import Artifact, Budget, Vector
from bundle.tensors import Arrays
from export.quiet import quiet
from export.source import Source

# Another kernel may round a requantised sum to the neighbour here and there, of which the next
# layer makes several steps (XNNPACK: up to four, of a depthwise convolution). On average that is
# little (0.02 there), and a weight's scale that is off by 1/127 is much (0.24).
LSB, MEAN_LSB = 5.0, 0.125
MARGIN = 3.0  # dB: as much noise again
_HALF = 2.0**-11  # float16's unit roundoff


def declared(
    source: Source, folder: Path, artifacts: Sequence[Artifact], vectors: Sequence[Vector]
) -> tuple[tuple[Artifact, ...], tuple[Vector, ...]]:
    """The artifacts with their budgets, and the vectors with what an int8 variant gives."""
    found = []
    added = False
    for artifact in artifacts:
        if artifact.variant and artifact.format == "tflite" and not artifact.budgets:
            budgets = {
                signature: _of_signature(source, folder, artifact, signature, vectors)
                for signature in artifact.endpoints
            }
            artifact = artifact.model_copy(update={"budgets": budgets})
            added |= artifact.variant == "int8"
        found.append(artifact)
    if added:
        described = [digest.describe(folder, vector.file.path) for vector in vectors]
        pairs = zip(vectors, described, strict=True)
        vectors = [vector.model_copy(update={"file": file}) for vector, file in pairs]
    return tuple(found), tuple(vectors)


@dataclass
class _Noise:
    """What a variant has shown of one output."""

    sqnr: float = math.inf
    farthest: float = 0.0
    largest: float = 0.0
    between: float = 0.0
    between_mean: float = 0.0

    def compare(self, other: Any, own: Any) -> None:
        """What two sets of kernels differ by."""
        apart = np.abs(other.astype(np.float64) - own)
        self.between = max(self.between, float(apart.max(initial=0)))
        self.between_mean = max(self.between_mean, float(apart.mean()) if apart.size else 0.0)

    def add(self, got: Any, reference: Any, by_row: bool) -> None:
        rows = len(reference) if by_row and reference.ndim else 1
        want = reference.astype(np.float64).reshape(rows, -1)
        noise = got.astype(np.float64).reshape(rows, -1) - want
        self.farthest = max(self.farthest, float(np.abs(noise).max(initial=0)))
        self.largest = max(self.largest, float(np.abs(want).max(initial=0)))
        signals, noises = (want**2).sum(axis=1), (noise**2).sum(axis=1)
        for signal, power in zip(signals, noises, strict=True):
            if power:
                ratio = 10 * math.log10(signal / power) if signal else -math.inf
                self.sqnr = min(self.sqnr, ratio)


def _of_signature(
    source: Source, folder: Path, artifact: Artifact, signature: str, vectors: Sequence[Vector]
) -> dict[str, Budget]:
    path, endpoint = folder / artifact.endpoints[signature].path, artifact.endpoints[signature]
    batched = source.signatures[signature].batched
    by_row = batched and not endpoint.dynamic
    run = _Runner(path, signature, by_row)
    others = [_Runner(path, signature, by_row, (OpResolverType.BUILTIN,))]
    if endpoint.one_row and endpoint.dynamic:
        others.append(_Runner(folder / endpoint.one_row, signature, True))
    noise: dict[str, _Noise] = {}
    for vector in vectors:
        if vector.signature != signature or vector.regime == "edge":
            continue
        arrays = tensors.read(folder / vector.file.path)
        outputs = run(tensors.grouped(arrays, "inputs"))
        for name, array in outputs.items():
            noise.setdefault(name, _Noise()).add(array, arrays[f"reference/{name}"], batched)
        for other in others:
            # Where XNNPACK refuses the file, as it does some, it says nothing of others.
            with contextlib.suppress(RuntimeError, ValueError):
                for name, array in other(tensors.grouped(arrays, "inputs")).items():
                    noise[name].add(array, arrays[f"reference/{name}"], batched)
                    noise[name].compare(array, outputs[name])
        if artifact.variant == "int8":
            own = {f"int8/{name}": array for name, array in outputs.items()}
            tensors.write(folder / vector.file.path, {**arrays, **own})
    steps = output_steps(path, signature) if artifact.variant == "int8" else {}
    return {name: _budget(found, steps.get(name)) for name, found in noise.items()}


def _budget(noise: _Noise, step: float | None) -> Budget:
    sqnr = math.floor(noise.sqnr - MARGIN) if math.isfinite(noise.sqnr) else None
    if step:
        lsb = max(LSB, math.ceil(2 * noise.between / step))
        mean = max(MEAN_LSB, math.ceil(200 * noise.between_mean / step) / 100)
        return Budget(step=step, lsb=lsb, mean_lsb=mean, sqnr=sqnr)
    if sqnr is not None:
        return Budget(sqnr=sqnr)
    # Of a row that is all zeros there is no signal, and of an exact output no noise.
    step = max(noise.largest, 1.0) * _HALF
    return Budget(step=step, lsb=math.ceil(2 * noise.farthest / step) + 1)


class _Runner:
    """One signature of a file in LiteRT, with the reference kernels where they have its ops."""

    def __init__(
        self,
        path: Path,
        signature: str,
        by_row: bool,
        resolvers: Sequence[Any] = (OpResolverType.BUILTIN_REF, OpResolverType.BUILTIN),
    ) -> None:
        self._by_row, self._key = by_row, signature
        self._path = str(path)
        self._resolvers = list(resolvers)
        self._runner: Any = None

    def __call__(self, inputs: Mapping[str, Any]) -> Arrays:
        while True:
            try:
                if self._runner is None:
                    self._start()
                return self._run(inputs)
            except (RuntimeError, ValueError):  # an op that these kernels lack
                if len(self._resolvers) == 1:
                    raise
                self._resolvers.pop(0)
                self._runner = None

    def _start(self) -> None:
        with quiet():
            self._interpreter = Interpreter(
                self._path, experimental_op_resolver_type=self._resolvers[0]
            )
        self._runner = self._interpreter.get_signature_runner(self._key)

    def _run(self, inputs: Mapping[str, Any]) -> Arrays:
        if not self._by_row:
            return dict(self._runner(**inputs))
        rows = len(next(iter(inputs.values())))
        made = [
            dict(self._runner(**{name: array[n : n + 1] for name, array in inputs.items()}))
            for n in range(rows)
        ]
        return {name: np.concatenate([row[name] for row in made]) for name in made[0]}


def output_steps(path: Path, signature: str) -> dict[str, float]:
    """By output, the scale of the int8 tensor that each float output is made from, where it is."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(path.read_bytes(), 0))
    steps: dict[str, float] = {}
    for found in model.signatureDefs:
        if found.signatureKey.decode() != signature:
            continue
        graph = model.subgraphs[found.subgraphIndex]
        made_by = {int(o): operator for operator in graph.operators for o in operator.outputs}
        for item in found.outputs:
            operator = made_by.get(item.tensorIndex)
            if operator is None:
                continue
            quantization = graph.tensors[operator.inputs[0]].quantization
            if quantization is not None and quantization.scale is not None:
                steps[item.name.decode()] = float(quantization.scale[0])
    return steps
