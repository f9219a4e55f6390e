"""What a bundle says of itself: `manifest.json`, as artifacts/README.md describes it."""

from typing import Literal

from pydantic import Field, model_validator

from bundle.digest import File
from bundle.signature import Frozen, Signature
from bundle.structure import Names

SCHEMA: Literal["portproof/manifest/1"] = "portproof/manifest/1"

Regime = Literal["typical", "batch", "edge"]
REGIMES: tuple[Regime, ...] = ("typical", "batch", "edge")


class Endpoint(Frozen):
    """Where an artifact holds one signature, and by which names of its own.

    `path` is what a runtime is given to load, relative to the bundle. `inputs` and `outputs` map
    the signature's names to the artifact's: converters rename tensors, Keras names layers.
    `one_row` is the path of a file with the same signature of one row instead of a dynamic first
    dimension, where the artifact has that: for runtimes that take no dynamic dimension (LiteRT in
    the browser, microcontrollers). Where `dynamic` is false, `path` is that file too.
    `feeds` and `fetches` are the tensors of a SavedModel's graph behind the names: for who calls it
    without a SignatureDef (C, Go, Java).
    """

    path: str
    inputs: dict[str, str]
    outputs: dict[str, str]
    one_row: str | None = None
    dynamic: bool = True
    feeds: dict[str, str] = Field(default_factory=dict)
    fetches: dict[str, str] = Field(default_factory=dict)


class Budget(Frozen):
    """The error that a variant declares for one output of itself, beyond float rounding.

    In its own units: of a quantised output, `lsb` steps of its scale (`step`) for any element and
    `mean_lsb` for the mean of a case, from the variant's own numbers where the vectors have them
    (`VARIANT/NAME`: as its arithmetic is specified), else from the reference; and `sqnr`, in dB,
    the least signal to quantisation noise of a row against the reference. What is None is not
    held to.
    """

    step: float | None = Field(default=None, gt=0)
    lsb: float | None = Field(default=None, ge=0)
    mean_lsb: float | None = Field(default=None, ge=0)
    sqnr: float | None = None

    @model_validator(mode="after")
    def _declares(self) -> "Budget":
        if self.sqnr is None and (self.step is None or self.lsb is None):
            raise ValueError("a budget is an sqnr, or a step and an lsb")
        return self

    def __str__(self) -> str:
        parts = []
        if self.lsb is not None:
            mean = "" if self.mean_lsb is None else f", {self.mean_lsb:.3g} on average"
            parts.append(f"{self.lsb:.3g} LSB of {self.step:.3g}{mean}")
        if self.sqnr is not None:
            parts.append(f"{self.sqnr:.3g} dB")
        return "its budget of " + " and ".join(parts)


def full_name(format_: str, variant: str = "") -> str:
    """A format and its variant in words: `tflite int8`."""
    return f"{format_} {variant}".strip()


def folder_name(full_name: str) -> str:
    """Where an artifact's files are, below the bundle: `tflite-int8`."""
    return full_name.replace(" ", "-")


class Artifact(Frozen):
    """One model in one format and variant.

    `graph` is set for a format that holds weights alone (`checkpoint`): the path of the artifact
    whose graph they belong to. `budgets`, by signature and output, are what a variant that changes
    numbers declares; plain float32 declares none. `notes` say what was done to make it that a
    plain conversion does not.
    """

    format: str
    variant: str = ""
    endpoints: dict[str, Endpoint] = Field(min_length=1)
    files: tuple[File, ...] = Field(min_length=1)
    graph: str | None = None
    budgets: dict[str, dict[str, Budget]] = Field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return full_name(self.format, self.variant)

    @property
    def folder(self) -> str:
        return folder_name(self.name)

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)


class Sweep(Frozen):
    """One input taken along its magnitudes, the others as they are: each row is a point.

    `of` says, by output, what of it is a formula of the input, such as `x * weight`.
    """

    input: str
    of: dict[str, str] = Field(default_factory=dict)


class Vector(Frozen):
    """One case of test vectors, in a file.

    Its arrays are `inputs/NAME`, `reference/NAME` and, for outputs that are floats, `oracle/NAME`,
    `rounding/NAME` and, where shaders may do worse, `shader/NAME`. The cases of a signature are
    run in the order of the manifest, so a case may repeat another.
    """

    signature: str
    regime: Regime
    case: str
    file: File
    sweep: Sweep | None = None


class LeftOut(Frozen):
    """A format, or a variant of one, that the model was not exported to, and why."""

    format: str
    reason: str


class Structure(Frozen):
    """How the original nests a signature's inputs and outputs, with the flat names as leaves."""

    inputs: Names
    outputs: Names


class Function(Frozen):
    """A traced Python function: how many times TensorFlow traced it, and for which signatures."""

    name: str
    traces: int
    signatures: tuple[str, ...]


class Origin(Frozen):
    """What the bundle was made from: the kind of Python object, and the SHA-256 of its weights."""

    kind: str
    digest: str
    parameters: int


class Manifest(Frozen):
    """The whole of `manifest.json`.

    `layers` are the names of a Keras model's layers, by which to speak of its parts. `shaded`
    names, by signature, the functions in its graph of which shaders promise less. `structures`
    says how the original nests inputs and outputs, of signatures where it does; of those in
    `drawn` nobody gave example inputs, and they were drawn from the signature. `narrow` names, by
    signature, the ops that the oracle computes in float32, for TensorFlow has no other kernel.
    """

    schema_: Literal["portproof/manifest/1"] = Field(default=SCHEMA, alias="schema")
    model: str
    source: Origin
    packages: dict[str, str]
    signatures: dict[str, Signature] = Field(min_length=1)
    functions: tuple[Function, ...]
    artifacts: tuple[Artifact, ...] = Field(min_length=1)
    left_out: tuple[LeftOut, ...] = ()
    layers: tuple[str, ...] = ()
    structures: dict[str, Structure] = Field(default_factory=dict)
    drawn: tuple[str, ...] = ()
    narrow: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    shaded: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    vectors: tuple[Vector, ...] = Field(min_length=1)
    plots: tuple[File, ...] = ()

    @property
    def files(self) -> list[File]:
        """Every file of the bundle but the manifest itself."""
        own = [file for artifact in self.artifacts for file in artifact.files]
        return [*own, *(vector.file for vector in self.vectors), *self.plots]
