"""What a diagnosis finds inside a model."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from portproof.bundle.verdicts import Verdict
from portproof.comparing.metrics import Metrics
from portproof.runtimes.protocol import Node
from portproof.verifying.trial import Trial


@dataclass(frozen=True)
class ComparedTensor:
    """A tensor of the reference's graph that the runtime has too, and how near the runtime's is.

    Attributes:
        node: The reference's node.
        name: The tensor's own name in the artifact; empty where it is an output of another name.
        verdict: As of an output.
        reason: Why it is not faithful.
        metrics: How near it is; None where the two cannot be compared.
        range: The shape and the range of what the reference holds.
        before: The largest error among the compared tensors that it is computed from, in units of
            what rounding allows there; None where there are none with a bound.
    """

    node: Node
    name: str
    verdict: Verdict
    reason: str
    metrics: Metrics | None
    range: str = ""
    before: float | None = None


@dataclass(frozen=True)
class LayerNoise:
    """The noise that a layer of a variant adds by itself.

    Attributes:
        layers: The names of the layer and of those that are fused with it, in the order of
            computation, as `portproof export --keep-float` takes them.
        tensors: What the layer gives, by the names in the artifact.
        sqnr: By output, signal to noise over the whole output where nothing else is noisy, in dB.
    """

    layers: tuple[str, ...]
    tensors: tuple[str, ...]
    sqnr: Mapping[str, float]

    @property
    def loudest(self) -> float:
        """Of the output where it is loudest."""
        return min(self.sqnr.values(), default=math.inf)


@dataclass(frozen=True)
class Diagnosis:
    """The diagnosis of one artifact's signature in a runtime, on one case.

    Attributes:
        trial: What was run, and where.
        case: The case's name.
        compared: How many tensors were compared.
        total: How many tensors the reference's graph has.
        tensors: What was compared, in the order of computation.
        first: The first tensor that is not faithful.
        path: The ops from the last compared tensors before it, to it.
        entering: Those tensors.
        ranges: The shape and the range of what they hold, by name.
        refused: Why nothing was computed.
        suspects: The nodes that this reason names.
        noise: Of a variant, the noise of each layer, the loudest first.
        whole: Of a variant, by output, its signal to noise with all of them, in dB.
        passes: Of a variant, whether its outputs are as they should be.
    """

    trial: Trial
    case: str
    compared: int = 0
    total: int = 0
    tensors: tuple[ComparedTensor, ...] = ()
    first: ComparedTensor | None = None
    path: tuple[str, ...] = ()
    entering: tuple[ComparedTensor, ...] = ()
    ranges: Mapping[str, str] = field(default_factory=dict)
    refused: str = ""
    suspects: tuple[Node, ...] = ()
    noise: tuple[LayerNoise, ...] = ()
    whole: Mapping[str, float] = field(default_factory=dict)
    passes: bool = True

    @property
    def agrees(self) -> bool:
        """Whether tensors were compared, and all are as they should be."""
        return self.first is None and not self.refused and self.compared > 0 and self.passes
