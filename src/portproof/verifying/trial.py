"""One signature of one artifact in one runtime: what is on trial, and where."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from portproof.bundle.bundle import Bundle
from portproof.bundle.manifest import Artifact, Endpoint, Regime
from portproof.bundle.report import Cell
from portproof.bundle.signature import Signature
from portproof.bundle.tensors import Arrays, in_group
from portproof.bundle.verdicts import Verdict
from portproof.comparing.floors import Floor, floor_of
from portproof.comparing.judging import Allowance
from portproof.runtimes.runtime import Runtime


def versions_text(versions: Mapping[str, str]) -> str:
    """A runner's versions, as a bundle has those of what gave its references."""
    return ", ".join(f"{name} {number}" for name, number in versions.items())


@dataclass(frozen=True)
class Trial:
    """An artifact's signature, and the runtime that runs it.

    Attributes:
        floors: By variant, the floors that are the person's own.
        shortcoming: Why the signature's test vectors prove nothing, if they do not.
    """

    bundle: Bundle
    artifact: Artifact
    signature_name: str
    endpoint: Endpoint
    runtime: Runtime
    floors: Mapping[str, Floor] = field(default_factory=dict)
    shortcoming: str = ""

    @property
    def signature(self) -> Signature:
        return self.bundle.manifest.signatures[self.signature_name]

    @property
    def outputs(self) -> list[str]:
        return list(self.signature.outputs)

    @property
    def rows_depend(self) -> bool:
        """Whether a row's outputs depend on the other rows."""
        return self.signature_name in self.bundle.manifest.row_dependent

    def gave_references(self, versions: Mapping[str, str]) -> bool:
        """Whether its runtime, at these versions, gave the references of a file itself."""
        held_to = self.bundle.manifest.held_to
        return held_to is not None and (held_to.runtime, held_to.version) == (
            self.runtime.name,
            versions_text(versions),
        )

    @property
    def is_variant(self) -> bool:
        """Whether it gives other numbers than the references on purpose."""
        return bool(self.artifact.variant) and self.bundle.manifest.held_to is None

    def allowance(self, output: str) -> Allowance:
        """What the artifact and the runtime declare of an output."""
        held_to = self.bundle.manifest.held_to
        budgets = held_to.budgets if held_to else self.artifact.budgets
        budget = budgets.get(self.signature_name, {}).get(output)
        shader_ops = self.bundle.manifest.shader_ops.get(self.signature_name, ())
        return Allowance(budget, shader_ops if self.runtime.shader else ())

    @property
    def floor(self) -> Floor:
        """What the artifact must keep of the model, if it is a variant."""
        return self.floors.get(self.artifact.variant) or floor_of(self.artifact.variant)

    @property
    def typical_inputs(self) -> Arrays:
        """The inputs of the model's own data, by name."""
        vectors = self.bundle.vectors(self.signature_name)
        [vector, *_] = [vector for vector in vectors if vector.regime == "typical"]
        return in_group(self.bundle.read(vector), "inputs")

    def cell(self, output: str, regime: Regime, verdict: Verdict, **fields: Any) -> Cell:
        """A cell of this trial; `fields` are its other fields."""
        return Cell(
            model=self.bundle.manifest.model,
            format=self.artifact.format,
            variant=self.artifact.variant,
            runtime=self.runtime.name,
            signature=self.signature_name,
            output=output,
            regime=regime,
            verdict=verdict,
            **fields,
        )


def trials(
    bundles: list[Bundle],
    runtime: Runtime,
    floors: Mapping[str, Mapping[str, Floor]] = MappingProxyType({}),
    shortcomings: Mapping[str, Mapping[str, str]] = MappingProxyType({}),
) -> Iterator[Trial]:
    """Everything in some bundles that a runtime knows the format of.

    Args:
        bundles: The bundles.
        runtime: The runtime.
        floors: By model and variant, floors that are not the default ones.
        shortcomings: By model and signature, why its test vectors prove nothing.
    """
    for bundle in bundles:
        of_model = floors.get(bundle.manifest.model, {})
        short = shortcomings.get(bundle.manifest.model, {})
        for artifact in bundle.manifest.artifacts:
            if artifact.name in runtime.formats:
                for signature, endpoint in artifact.endpoints.items():
                    yield Trial(
                        bundle,
                        artifact,
                        signature,
                        endpoint,
                        runtime,
                        of_model,
                        short.get(signature, ""),
                    )
