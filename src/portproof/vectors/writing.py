"""Test vectors, written: each case once, into a file of its own."""

from collections.abc import Callable, Collection, Iterable, Sequence
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
from portproof.vectors.row_limit import row_limit

# The signature's name, the case and its arrays -> more arrays that belong into its file.
Observer = Callable[[str, Case, Arrays], Arrays]


@dataclass
class WrittenVectors:
    """The cases that were written.

    Attributes:
        shader_ops: By signature, the ops of which shaders promise less precision.
        float32_only_ops: By signature, the ops that the oracle has in float32 only.
        row_dependent: The signatures in which rows depend on each other.
    """

    vectors: list[Vector] = field(default_factory=list)
    shader_ops: dict[str, tuple[str, ...]] = field(default_factory=dict)
    float32_only_ops: dict[str, tuple[str, ...]] = field(default_factory=dict)
    row_dependent: list[str] = field(default_factory=list)


def write_vectors(
    functions: Iterable[TestedFunction],
    folder: Path,
    regimes: Collection[Regime],
    observers: Sequence[Observer] = (),
) -> WrittenVectors:
    """Compute and write the cases of some regimes of some functions, below `folder/vectors`.

    `observers` are called with each case before it is written.
    """
    (folder / "vectors").mkdir()
    written = WrittenVectors()
    for function in functions:
        compute = CaseComputer(function)
        if ops := compute.oracle.shader_ops:
            written.shader_ops[function.name] = ops
        if ops := compute.oracle.float32_only_ops:
            written.float32_only_ops[function.name] = ops
        known_formulas = formulas(function.concrete)
        for case in _cases(function):
            if case.regime not in regimes or (arrays := compute(case)) is None:
                continue
            alone = case.regime == "typical" and function.signature.batched
            if alone and not function.training and compute.rows_depend(case.inputs):
                written.row_dependent.append(function.name)
            for observe in observers:
                arrays |= observe(function.name, case, arrays)
            sweep = Sweep(input=case.swept, of=known_formulas) if case.swept else None
            written.vectors.append(_write_case(folder, function.name, case, sweep, arrays))
    return written


def _cases(function: TestedFunction) -> Iterable[Case]:
    row = {key: array[:1] for key, array in function.examples.items() if array.ndim}
    limit = row_limit(function.signature, function.concrete, row)
    make = training_cases if function.training else cases
    return make(function.signature, function.examples, limit)


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
