"""What a bundle says of itself: `manifest.json`, as artifacts/README.md describes it."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from portproof.bundle.digest import File
from portproof.bundle.forms import Form, translated
from portproof.bundle.signature import Record, Signature
from portproof.bundle.structure import Names
from portproof.bundle.tensors import Infer

SCHEMA: Literal["portproof/manifest/4"] = "portproof/manifest/4"

Regime = Literal["typical", "batch", "edge"]
REGIMES: tuple[Regime, ...] = ("typical", "batch", "edge")
# The regimes that decide the exit status; `edge` is reported.
DECIDING: tuple[Regime, ...] = ("typical", "batch")
# How the signature of a training step ends: `serving_default_train_step`.
TRAINING_STEP = "_train_step"


def is_training(signature: str) -> bool:
    """Whether a signature, by its name, is a training step."""
    return signature.endswith(TRAINING_STEP)


# What folders, YAML and tables take as it is.
_PlainName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
_Variant = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]*$")]
# A tensor of a graph: an op and which of its outputs.
_TensorName = Annotated[str, StringConstraints(pattern=r"^[^:]+:[0-9]+$")]


class Endpoint(Record):
    """Where an artifact holds one signature, and the artifact's own names of its tensors.

    Attributes:
        path: The file or folder that a runtime is given to load, relative to the bundle.
        inputs: The artifact's name of each of the signature's inputs. Converters rename tensors,
            and Keras names them after layers.
        outputs: The same for the outputs.
        one_row: The path of a file with the same signature for exactly one row, for runtimes that
            take no dynamic dimension (LiteRT in the browser, microcontrollers); None without one.
        dynamic: Whether the file at `path` takes any number of rows. If not, `path` is `one_row`.
        signature: The artifact's own name of the signature, where that is another one; empty: it
            has no name.
        input_forms: The forms of inputs that the artifact has in another form.
        output_forms: The same for the outputs.
        feeds: The tensors of a SavedModel's graph behind the inputs, for those who call it without
            its SignatureDef (C, Go, Java).
        fetches: The same for the outputs.
    """

    path: str
    inputs: dict[str, str]
    outputs: dict[str, str]
    one_row: str | None = None
    dynamic: bool = True
    signature: str | None = None
    input_forms: dict[str, Form] = Field(default_factory=dict)
    output_forms: dict[str, Form] = Field(default_factory=dict)
    feeds: dict[str, _TensorName] = Field(default_factory=dict)
    fetches: dict[str, _TensorName] = Field(default_factory=dict)

    @property
    def is_the_signatures(self) -> bool:
        """Whether all names and forms are the signature's own."""
        pairs = [*self.inputs.items(), *self.outputs.items()]
        same = self.signature is None and not (self.input_forms or self.output_forms)
        return same and all(name == own for name, own in pairs)

    def translated(self, infer: Infer, signature: Signature) -> Infer:
        """A call by the signature's names and forms, of one by the artifact's own."""
        names, forms = (self.inputs, self.outputs), (self.input_forms, self.output_forms)
        return translated(infer, names, forms, signature.outputs)


class Budget(Record):
    """The error that a variant declares for one of its outputs, beyond float rounding.

    Attributes:
        step: The scale of a quantised output: the value of one LSB.
        lsb: How many steps any element may be off from what the variant's own arithmetic gives
            (`FOLDER/NAME` in the test vectors), or from the reference where the vectors do not
            have that. None: not limited.
        mean_lsb: The same for the mean of a case.
        sqnr: The least signal to quantisation noise ratio of any row against the reference, in dB
            (a row's signal is at least that of one typical number of the case). None: not limited.
    """

    step: float | None = Field(default=None, gt=0)
    lsb: float | None = Field(default=None, ge=0)
    mean_lsb: float | None = Field(default=None, ge=0)
    sqnr: float | None = None

    @model_validator(mode="after")
    def _has_a_limit(self) -> "Budget":
        if self.sqnr is None and (self.step is None or self.lsb is None):
            raise ValueError("a budget is an sqnr, or a step and an lsb")
        return self

    def __str__(self) -> str:
        limits = []
        if self.lsb is not None:
            mean = "" if self.mean_lsb is None else f", {self.mean_lsb:.3g} on average"
            limits.append(f"{self.lsb:.3g} steps of {self.step:.3g}{mean}")
        if self.sqnr is not None:
            limits.append(f"{self.sqnr:.3g} dB")
        return "its budget of " + " and ".join(limits)


Budgets = dict[str, dict[str, Budget]]  # by signature and output


def full_name(format_: str, variant: str = "") -> str:
    """A format and its variant in words: `tflite int8`."""
    return f"{format_} {variant}".strip()


def folder_name(full_name: str) -> str:
    """The folder of an artifact's files, below the bundle: `tflite-int8`."""
    return full_name.replace(" ", "-")


class Artifact(Record):
    """One model in one format and variant.

    Attributes:
        format: The format's name.
        variant: The option that changes numbers, such as `int8`; empty for plain float32.
        endpoints: Where each signature is, by its name.
        files: Every file of the artifact.
        graph: For a format that holds weights alone (`checkpoint`): the folder of the artifact
            whose graph they belong to.
        budgets: The error that a variant declares, by signature and output; plain float32
            declares none.
        notes: What was done to make it that a plain conversion does not do.
    """

    format: _PlainName
    variant: _Variant = ""
    endpoints: dict[str, Endpoint] = Field(min_length=1)
    files: tuple[File, ...] = Field(min_length=1)
    graph: str | None = None
    budgets: Budgets = Field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _declares_no_error_unless_variant(self) -> "Artifact":
        if self.budgets and not self.variant:
            raise ValueError(f"{self.format} declares an error, which only a variant may")
        return self

    @property
    def name(self) -> str:
        return full_name(self.format, self.variant)

    @property
    def folder(self) -> str:
        return folder_name(self.name)

    @property
    def group(self) -> str:
        """The group of a case's arrays with a variant's own numbers; empty for plain float32."""
        return self.folder if self.variant else ""

    @property
    def size(self) -> int:
        """Bytes of what a program loads. Of files of one row it loads one in place of the other."""
        beside = {e.one_row for e in self.endpoints.values() if e.one_row != e.path}
        return sum(file.size for file in self.files if file.path not in beside)


class Sweep(Record):
    """One input taken along its magnitudes, the others as they are: each row is a point.

    `of` says, by output, which formula of the input it is, such as `x * weight`, where it is one.
    """

    input: str
    of: dict[str, str] = Field(default_factory=dict)


class Vector(Record):
    """One case of test vectors, in a file.

    Its arrays are `inputs/NAME`, `reference/NAME` and, for outputs that are floats, `oracle/NAME`,
    `rounding/NAME` and, where shaders may be less precise, `shader/NAME`. `variants` are files of
    `FOLDER/NAME`: what the own arithmetic of the variant in that folder gives. The cases of a
    signature are run in the order of the manifest, because a case may repeat another.
    """

    signature: str
    regime: Regime
    case: str
    file: File
    variants: tuple[File, ...] = ()
    sweep: Sweep | None = None


class LeftOut(Record):
    """A format, or a variant of one, that the model was not exported to, and why."""

    format: str
    reason: str


class Structure(Record):
    """How the original nests a signature's inputs and outputs, with the flat names as leaves."""

    inputs: Names
    outputs: Names


class Function(Record):
    """A traced Python function: how many times TensorFlow traced it, and for which signatures."""

    name: str
    traces: int
    signatures: tuple[str, ...]


class Origin(Record):
    """What the bundle was made from: the kind of Python object, and the SHA-256 of its weights."""

    kind: str
    digest: str
    parameters: int


class HeldTo(Record):
    """What gave the references of a file of which nobody has the original.

    Attributes:
        runtime: The runtime's name.
        version: Its versions.
        budgets: What another runtime's outputs may differ by, by signature and output; those
            without have to be the same bits.
    """

    runtime: str
    version: str
    budgets: Budgets = Field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.runtime} ({self.version})"


class Manifest(Record):
    """The whole of `manifest.json`.

    Attributes:
        model: The model's name.
        source: What the bundle was made from.
        held_to: What gave the references of a file of which nobody has the original; None: they are
            the original's.
        packages: Versions of the packages that made it.
        signatures: Every signature by name, those of training steps among them.
        functions: The model's `tf.function`s and how often each was traced.
        artifacts: What was written.
        left_out: The formats that cannot carry the model, and why.
        left_out_signatures: The signatures of the model that no bundle can carry, and why.
        layers: The names of a Keras model's layers, by which people speak of its parts.
        structures: How the original nests inputs and outputs, of the signatures where it does.
        generated_inputs: The signatures for which nobody gave example inputs, so that they were
            generated.
        float32_only_ops: By signature, the ops that the oracle computes in float32, because
            TensorFlow has no other kernel.
        shader_ops: By signature, the ops in its graph of which shaders promise less precision.
        row_dependent: The signatures whose rows depend on each other, as where something is
            normalised over the batch: a row at a time gives other numbers.
        operations: By signature, the floating-point operations of one row, or of a call where
            there are no rows: what decides how many rows a slow runtime is asked for.
        vectors: The cases of test vectors, in the order in which they are to be run.
        plots: The training's plots.
    """

    schema_: Literal["portproof/manifest/4"] = Field(alias="schema")
    model: str
    source: Origin
    held_to: HeldTo | None = None
    packages: dict[str, str]
    signatures: dict[str, Signature] = Field(min_length=1)
    functions: tuple[Function, ...]
    artifacts: tuple[Artifact, ...] = Field(min_length=1)
    left_out: tuple[LeftOut, ...] = ()
    left_out_signatures: dict[str, str] = Field(default_factory=dict)
    layers: tuple[str, ...] = ()
    structures: dict[str, Structure] = Field(default_factory=dict)
    generated_inputs: tuple[str, ...] = ()
    float32_only_ops: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    shader_ops: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    row_dependent: tuple[str, ...] = ()
    operations: dict[str, float] = Field(default_factory=dict)
    vectors: tuple[Vector, ...] = Field(min_length=1)
    plots: tuple[File, ...] = ()

    @property
    def files(self) -> list[File]:
        """Every file of the bundle but the manifest itself."""
        of_artifacts = [file for artifact in self.artifacts for file in artifact.files]
        of_vectors = [file for vector in self.vectors for file in (vector.file, *vector.variants)]
        return [*of_artifacts, *of_vectors, *self.plots]
