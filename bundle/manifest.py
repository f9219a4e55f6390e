"""What a bundle says of itself: `manifest.json`, as artifacts/README.md describes it."""

from typing import Literal

from pydantic import Field

from bundle.digest import File
from bundle.signature import Frozen, Signature

SCHEMA: Literal["portproof/manifest/1"] = "portproof/manifest/1"

Regime = Literal["typical", "batch", "edge"]
REGIMES: tuple[Regime, ...] = ("typical", "batch", "edge")


class Endpoint(Frozen):
    """Where an artifact holds one signature, and by which names of its own.

    `path` is what a runtime is given to load, relative to the bundle. `inputs` and `outputs` map
    the signature's names to the artifact's: converters rename tensors, Keras names layers.
    `one_row` names the same signature with one row instead of a dynamic first dimension, where the
    artifact has that too: for runtimes that take no dynamic dimension (LiteRT in the browser).
    """

    path: str
    inputs: dict[str, str]
    outputs: dict[str, str]
    one_row: str | None = None


class Artifact(Frozen):
    """One model in one format and variant.

    `graph` is set for a format that holds weights alone (`checkpoint`): the path of the artifact
    whose graph they belong to.
    """

    format: str
    variant: str = ""
    endpoints: dict[str, Endpoint] = Field(min_length=1)
    files: tuple[File, ...] = Field(min_length=1)
    graph: str | None = None

    @property
    def name(self) -> str:
        return f"{self.format} {self.variant}".strip()

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)


class Vector(Frozen):
    """One case of test vectors: arrays `inputs/NAME`, `reference/NAME`, `oracle/NAME` in a file.

    The cases of a signature are run in the order of the manifest, so a case may repeat another.
    """

    signature: str
    regime: Regime
    case: str
    file: File


class LeftOut(Frozen):
    """A format that the model was not exported to, and why."""

    format: str
    reason: str


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
    """The whole of `manifest.json`."""

    schema_: Literal["portproof/manifest/1"] = Field(default=SCHEMA, alias="schema")
    model: str
    source: Origin
    packages: dict[str, str]
    signatures: dict[str, Signature] = Field(min_length=1)
    functions: tuple[Function, ...]
    artifacts: tuple[Artifact, ...] = Field(min_length=1)
    left_out: tuple[LeftOut, ...] = ()
    vectors: tuple[Vector, ...] = Field(min_length=1)
    plots: tuple[File, ...] = ()

    @property
    def files(self) -> list[File]:
        """Every file of the bundle but the manifest itself."""
        own = [file for artifact in self.artifacts for file in artifact.files]
        return [*own, *(vector.file for vector in self.vectors), *self.plots]
