"""A bundle's manifest as text for a person."""

from collections.abc import Iterator

from portproof.bundle.bundle import Bundle
from portproof.bundle.manifest import Manifest


def bundle_text(bundle: Bundle) -> Iterator[str]:
    """Lines that describe what the bundle holds."""
    manifest = bundle.manifest
    origin = manifest.source
    what = f"a {origin.kind} with {origin.parameters:,} parameters"
    if manifest.held_to:
        what = f"a file without its original, held to {manifest.held_to}"
    yield f"{manifest.model}: {what}"
    yield f"  weights and signatures {origin.digest[:16]}, bundle {bundle.digest[:16]}"
    yield "signatures"
    for name, signature in manifest.signatures.items():
        yield f"  {name}{signature}"
    for name, reason in manifest.left_out_signatures.items():
        yield f"  {name} left out: {reason}"
    if manifest.functions:
        yield "functions"
    for function in manifest.functions:
        times = "once" if function.traces == 1 else f"{function.traces} times"
        yield f"  {function.name} was traced {times}: {', '.join(function.signatures)}"
    yield from _artifacts(manifest)
    yield "test vectors"
    for signature_name in manifest.signatures:
        cases = [vector.case for vector in bundle.vectors(signature_name)]
        yield f"  {signature_name}: {', '.join(cases)}"
    if manifest.packages:
        yield "made with"
        yield "  " + ", ".join(f"{name} {version}" for name, version in manifest.packages.items())


def _artifacts(manifest: Manifest) -> Iterator[str]:
    yield "artifacts"
    names = [item.name for item in manifest.artifacts] + [item.format for item in manifest.left_out]
    width = max(map(len, names))
    for artifact in manifest.artifacts:
        endpoints = artifact.endpoints.values()
        paths = ", ".join(dict.fromkeys(e.path for e in endpoints))
        beside = dict.fromkeys(e.one_row for e in endpoints if e.one_row not in (None, e.path))
        if beside:
            paths += f" (for runtimes of one row: {', '.join(map(str, beside))})"
        yield f"  {artifact.name:<{width}} {artifact.size:>12,} bytes  {paths}"
        for note in artifact.notes:
            yield f"  {'':<{width}} {note}"
    for left_out in manifest.left_out:
        yield f"  {left_out.format:<{width}} left out: {left_out.reason}"
