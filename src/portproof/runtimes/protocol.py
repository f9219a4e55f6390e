"""The messages between Portproof and a runner.

A runner is a program that drives one runtime. It writes a `Hello` and then answers each `Request`
on standard input with an `Answer` or a `Refusal` on standard output. A message is a line of JSON.
Tensors follow the line of a request and of an answer, as many bytes of safetensors as its `size`
says, under the artifact's own names. What a library prints belongs on standard error; its last line
is quoted when the runner dies.

Standard input and output are one socket: unlike a pipe or a file, it cannot be opened once more by
a path, which is all that a model with operations for files could do.

A runner that dies, hangs, passes its limits or says something else loses that one request, and a
fresh one gets the next. Its temporary files go into a folder that is removed with it.
"""

import json
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from portproof.bundle.text import printable

# What a request asks for instead of the outputs; see `Request.inspect`.
Inspect = Literal["", "tensors", "oracle"]

# What a person reads of a message, which a model may have made up.
Shown = Annotated[str, AfterValidator(printable)]
# Raised with every change that a runner has to know of.
VERSION = 3


class ProtocolError(Exception):
    """A line that is not what the protocol says; its text is the reason in one line."""


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    def to_line(self) -> str:
        return self.model_dump_json() + "\n"


class Hello(_Message):
    """A runner's first line: that it is ready.

    Attributes:
        ready: The versions of what it runs, by name.
        protocol: The version of this protocol that it speaks.
    """

    ready: dict[Shown, Shown]
    protocol: int = 1


class Request(_Message):
    """One call of one signature of an artifact.

    Attributes:
        artifact: The absolute path of the file or folder to load.
        format: Its format, without the variant.
        graph: For weights alone (`checkpoint`), the absolute path of the artifact with their graph.
        signature: The signature to call.
        signatures: How many signatures the artifact has.
        by_row: Whether the batch is to be computed one row after the other.
        options: `Runtime.options` of the runtime that is asked.
        inspect: `tensors` asks for the tensors inside the model by their own names instead of the
            outputs, `oracle` (of TensorFlow's runner) for their right values. Only formats in
            the runtime's `inspects` are asked for them.
        nodes: Of `tensors` (of TensorFlow's runner), the only nodes that are asked for; empty: all.
        timed: Whether the runner may leave out what proves the backend and costs time.
        size: How many bytes of safetensors follow, which are the inputs. With `nodes`, arrays named
            `fed/NODE` are taken for what these nodes give.
    """

    artifact: str
    format: str
    graph: str | None
    signature: str
    signatures: int
    by_row: bool
    options: dict[str, Any]
    inspect: Inspect
    timed: bool
    nodes: tuple[str, ...] = ()
    size: int = 0


class Node(_Message):
    """A node of a graph, with the nodes that it takes from; weights may be left out."""

    name: str
    op: str
    inputs: tuple[str, ...]


class Answer(_Message):
    """What came of a request.

    Attributes:
        seconds: How long the runtime computed.
        load: How long loading the artifact took, in seconds.
        backend: What really computed. It must be the backend that the runtime's row names.
        note: What is worth knowing of a good answer, such as the kernels that ran.
        restart: Whether the runner asks to be replaced before the next request.
        nodes: Where it is asked for tensors, the nodes in the order of computation.
        output_nodes: Of TensorFlow's runner, the node of each output too.
        size: How many bytes of safetensors follow, which are the outputs.
    """

    seconds: float = Field(ge=0, allow_inf_nan=False)
    load: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    backend: str = ""
    note: Shown = ""
    restart: bool = False
    nodes: tuple[Node, ...] = ()
    output_nodes: dict[str, str] = Field(default_factory=dict)
    size: int = Field(default=0, ge=0)


class Refusal(_Message):
    """Why there is no answer, in one line.

    Attributes:
        error: The reason; not empty.
        restart: Whether the runner asks to be replaced before the next request, as TF.js does:
            after an error its backends may give wrong answers.
    """

    error: Annotated[Shown, Field(min_length=1)]
    restart: bool = False


def read_hello(line: str) -> Hello:
    """A runner's first line. Raises ProtocolError where it is none, or of another version."""
    message = _object(line)
    if "error" in message:
        raise ProtocolError(str(message["error"]))
    try:
        hello = Hello.model_validate(message)
    except ValidationError:
        raise ProtocolError(f"did not say that it is ready: {line.strip()[:200]}") from None
    if hello.protocol != VERSION:
        older = hello.protocol < VERSION
        update = "the package that brings this runner" if older else "portproof"
        raise ProtocolError(
            f"the runner speaks version {hello.protocol} of the protocol, and this is version "
            f"{VERSION}: update {update}"
        )
    return hello


def read_answer(line: str) -> Answer | Refusal:
    """The answer to a request. Raises ProtocolError where the line is none."""
    message = _object(line)
    try:
        if "error" in message:
            return Refusal.model_validate(message)
        return Answer.model_validate(message)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise ProtocolError(f"answered without a valid {field}: {first['msg']}") from None


def _object(line: str) -> dict[str, Any]:
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        message = None
    if not isinstance(message, dict):
        raise ProtocolError(f"answered with what is not a JSON object: {line.strip()[:200]}")
    return message


# What ARCHITECTURE.md shows.
EXAMPLE_HELLO = Hello(ready={"ai-edge-litert": "2.3.0"}, protocol=VERSION)
EXAMPLE_REQUEST = Request(
    artifact="/bundle/tflite/model.tflite",
    format="tflite",
    graph=None,
    signature="serving_default",
    signatures=1,
    by_row=False,
    options={},
    inspect="",
    timed=False,
    size=88,
)
EXAMPLE_ANSWER = Answer(seconds=0.0004, load=0.02, backend="BUILTIN", size=88)
EXAMPLE_REFUSAL = Refusal(error="the reason in one line")
