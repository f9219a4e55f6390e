"""What a page of `portproof serve --static` computed -> the device's report, by the one judge."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from safetensors import SafetensorError, safe_open

from portproof.bundle.bundle import Bundle
from portproof.bundle.errors import UsageError
from portproof.bundle.reading import opened, parsed
from portproof.bundle.report import Report
from portproof.bundle.tensors import Arrays, from_bytes, in_group
from portproof.bundle.text import printable
from portproof.devices.device import answer_of
from portproof.devices.naming import named
from portproof.devices.plan import Numbering
from portproof.devices.reports import of_device
from portproof.devices.runtimes import device_runtimes
from portproof.runtimes.process import RunnerError, RunnerGoneError
from portproof.runtimes.protocol import Answer, ProtocolError, Refusal, Request
from portproof.verifying.scheduling import run_cells

SCHEMA = "portproof/answers/1"
# How such a file is named.
SUFFIX = ".safetensors"
_LIMIT = 2 << 30
_Word = Annotated[str, StringConstraints(max_length=300)]


class Answers(BaseModel):
    """What a page says beside the tensors.

    Attributes:
        schema_: The version of this form.
        model: The bundle's model.
        bundle: The bundle's digest.
        agent: What the browser says that it is.
        device: What tells the device from others.
        adapters: Its GPU's adapters, as the page sees them.
        runtimes: The runtimes that it was asked for.
        answers: By the call's key, an answer as of a runner.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    schema_: Literal["portproof/answers/1"] = Field(alias="schema")
    model: str
    bundle: str
    agent: _Word
    device: _Word
    adapters: dict[_Word, _Word] = Field(max_length=16)
    runtimes: tuple[_Word, ...] = Field(max_length=32)
    answers: dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Computed:
    """A file of answers.

    Attributes:
        said: What the page says.
        outputs: The outputs, each named `KEY/NAME`.
    """

    said: Answers
    outputs: Arrays


def read_answers(path: Path) -> Computed:
    """Read what a page computed. Raises UsageError where the file is something else."""
    try:
        with opened(path, _LIMIT, links=True) as stream:
            content = stream.read()
        with safe_open(path, "numpy") as file:
            metadata: Mapping[str, str] = file.metadata() or {}
        said = parsed(Answers, metadata["portproof"].encode())
        return Computed(said, from_bytes(content))
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}.") from None
    except (KeyError, ValueError, SafetensorError):
        raise UsageError(
            f"{path} is not what a page of this version's portproof serve --static gave."
        ) from None


def report_of(
    computed: Computed, bundle: Bundle, targets: Mapping[str, Sequence[str]] = MappingProxyType({})
) -> Report:
    """Judge what a page computed, by the bundle's test vectors.

    Args:
        computed: What it computed.
        bundle: The bundle.
        targets: By model, the runtimes that it ships to.

    Raises UsageError where it is of another bundle.
    """
    said = computed.said
    if said.bundle != bundle.digest:
        raise UsageError(
            f"what {named(said.agent)} computed is of another bundle of {bundle.manifest.model} "
            f"({said.bundle[:16]}) than this ({bundle.digest[:16]}): only the same files count."
        )
    runtimes = device_runtimes(None, said.runtimes)
    if not said.runtimes or {r.name for r in runtimes} != set(said.runtimes):
        raise UsageError(
            f"what {named(said.agent)} computed names runtimes that this version does not know: "
            "write the page with it, and open it again."
        )
    adapters = {printable(name): printable(value) for name, value in said.adapters.items()}
    report = run_cells(
        [bundle],
        device_runtimes(_Replay(computed, bundle, adapters), said.runtimes),
        total_limit=math.inf,
        edge_share=0.0,
        targets=targets,
    )
    return of_device(report, named(said.agent), printable(said.device), printable(said.agent))


@dataclass
class _Replay:
    """A runner whose answers are in a file."""

    computed: Computed
    bundle: Bundle
    versions: dict[str, str]
    peak_memory: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self._numbering = Numbering(self.bundle)

    def start_if_needed(self) -> None: ...

    def compute(
        self, request: Request, inputs: Arrays, largest: float = math.inf
    ) -> tuple[Answer | Refusal, Arrays]:
        """See `Runner.compute`. What the page did not compute is nobody's answer."""
        if request.timed:
            raise RunnerGoneError("the page was not timed")
        key = self._numbering.key(request, inputs)
        line = self.computed.said.answers.get(key)
        if line is None:
            raise RunnerGoneError("the page did not compute this")
        outputs = in_group(self.computed.outputs, key)
        if sum(array.nbytes for array in outputs.values()) > largest:
            raise RunnerError("gave more bytes than the outputs have")
        try:
            return answer_of(json.dumps(line).encode()), outputs
        except ProtocolError as error:
            raise RunnerError(str(error)) from None

    def reset_peak_memory(self) -> None:
        """Nothing, as of the others: nothing runs."""

    def stop(self) -> None: ...

    def close(self) -> None: ...
