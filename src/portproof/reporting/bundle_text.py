"""A bundle's manifest as text for a person."""

from collections.abc import Iterator

from portproof.bundle.bundle import Bundle


def bundle_text(bundle: Bundle) -> Iterator[str]:
    """Lines that describe what the bundle holds."""
    manifest = bundle.manifest
    origin = manifest.source
    yield f"{manifest.model}: a {origin.kind} with {origin.parameters:,} parameters"
    yield f"  weights and signatures {origin.digest[:16]}, bundle {bundle.digest[:16]}"
    yield "signatures"
    for name, signature in manifest.signatures.items():
        yield f"  {name}{signature}"
    for name, reason in manifest.left_out_signatures.items():
        yield f"  {name} left out: {reason}"
    yield "functions"
    for function in manifest.functions:
        times = "once" if function.traces == 1 else f"{function.traces} times"
        yield f"  {function.name} was traced {times}: {', '.join(function.signatures)}"
    yield "artifacts"
    names = [item.name for item in manifest.artifacts] + [item.format for item in manifest.left_out]
    width = max(map(len, names))
    for artifact in manifest.artifacts:
        paths = ", ".join(dict.fromkeys(e.path for e in artifact.endpoints.values()))
        yield f"  {artifact.name:<{width}} {artifact.size:>12,} bytes  {paths}"
        for note in artifact.notes:
            yield f"  {'':<{width}} {note}"
    for left_out in manifest.left_out:
        yield f"  {left_out.format:<{width}} left out: {left_out.reason}"
    yield "test vectors"
    for signature_name in manifest.signatures:
        cases = [vector.case for vector in bundle.vectors(signature_name)]
        yield f"  {signature_name}: {', '.join(cases)}"
    yield "made with"
    yield "  " + ", ".join(f"{name} {version}" for name, version in manifest.packages.items())
