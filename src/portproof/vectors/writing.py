"""Test vectors, written: each case once, into a file of its own."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from portproof.bundle import tensors
from portproof.bundle.digest import file_record
from portproof.bundle.manifest import Regime, Sweep, Vector
from portproof.bundle.tensors import Arrays
from portproof.vectors.cases import Case, cases, training_cases
from portproof.vectors.computing import CaseComputer, TestedFunction
from portproof.vectors.formulas import formulas
from portproof.vectors.row_limit import cost_of, row_limit


@dataclass
class WrittenVectors:
    """The cases that were written.

    Attributes:
        shader_ops: By signature, the ops of which shaders promise less precision.
        float32_only_ops: By signature, the ops that the oracle has in float32 only.
        row_dependent: The signatures in which rows depend on each other.
        operations: By signature, the floating-point operations of one row.
    """

    vectors: list[Vector] = field(default_factory=list)
    shader_ops: dict[str, tuple[str, ...]] = field(default_factory=dict)
    float32_only_ops: dict[str, tuple[str, ...]] = field(default_factory=dict)
    row_dependent: list[str] = field(default_factory=list)
    operations: dict[str, float] = field(default_factory=dict)


def write_vectors(
    functions: Iterable[TestedFunction], folder: Path, regimes: Collection[Regime]
) -> WrittenVectors:
    """Compute and write the cases of some regimes of some functions, below `folder/vectors`."""
    (folder / "vectors").mkdir()
    written = WrittenVectors()
    for function in functions:
        compute = CaseComputer(function)
        if ops := compute.oracle.shader_ops:
            written.shader_ops[function.name] = ops
        if ops := compute.oracle.float32_only_ops:
            written.float32_only_ops[function.name] = ops
        row = _row(function)
        cost = cost_of(function.concrete, row)
        written.operations[function.name] = cost.operations
        known_formulas = formulas(function.concrete)
        make = training_cases if function.training else cases
        for case in make(function.signature, function.examples, row_limit(row, cost)):
            if case.regime not in regimes or (arrays := compute(case)) is None:
                continue
            alone = case.regime == "typical" and function.signature.batched
            if alone and not function.training and compute.rows_depend(case.inputs):
                written.row_dependent.append(function.name)
            sweep = Sweep(input=case.swept, of=known_formulas) if case.swept else None
            written.vectors.append(_write_case(folder, function.name, case, sweep, arrays))
    return written


def _row(function: TestedFunction) -> Arrays:
    """One row of example inputs; of a signature that is not batched, the inputs of a call."""
    examples = dict(function.examples)
    return {k: a[:1] for k, a in examples.items()} if function.signature.batched else examples


def _write_case(folder: Path, name: str, case: Case, sweep: Sweep | None, arrays: Arrays) -> Vector:
    # A signature may have any name; a file may not.
    path = f"vectors/{quote(name, safe='')}.{quote(case.name, safe='')}.safetensors"
    tensors.write(folder / path, arrays)
    return Vector(
        signature=name,
        regime=case.regime,
        case=case.name,
        file=file_record(folder, path),
        sweep=sweep,
    )
