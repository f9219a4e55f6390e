"""Tests of a format: that what it writes is a bundle's artifact, the same each time."""

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from portproof.bundle.bundle import Bundle
from portproof.bundle.errors import ExportError, PortproofError
from portproof.bundle.manifest import Artifact
from portproof.formats.format import Format, Written
from portproof.testing.conformance import Conformance, Outcome
from portproof.testing.models import MODELS, KitModel, reasons, source_of, write

REQUIRED = ("writes", "endpoints", "the same bytes twice")


def check_format(format: Format) -> Conformance:  # noqa: A002
    """Try a format on small models.

    What is looked at: that it writes some model, and that each signature has an endpoint with all
    of its inputs and outputs; that two exports are the same bytes. What it does not carry is told,
    with the reason that it gives.

    An exception that is no ExportError is a failure.

    Args:
        format: The format. It is added to this process, as by `portproof.add_format`.

    Returns:
        What was found; `ok` tells whether it conforms, and as text it is a line for each check.

    Raises:
        UsageError: TensorFlow is not installed.
    """
    import portproof

    result = Conformance(format.full_name, REQUIRED)
    crashes: list[str] = []

    def write_and_tell(source: Any, root: Path, folder: str) -> Written:
        try:
            return format.write(source, root, folder)
        except ExportError:
            raise
        except Exception as error:
            crashes.append(f"{type(error).__name__}: {error}")
            raise

    # In another process nothing can be looked at but what comes of it.
    watched = format if format.of_saved_model else replace(format, write=write_and_tell)
    portproof.add_format(watched)
    try:
        with TemporaryDirectory() as folder:
            for model in MODELS:
                crashes.clear()
                _check_model(format, model, Path(folder), result)
                for crash in crashes[:1]:
                    told = f"{model.name}: {crash}: raise portproof.ExportError with the reason"
                    result.add("refuses", "failed", told)
    finally:
        portproof.add_format(format)
    return result


def _check_model(format_: Format, model: KitModel, folder: Path, result: Conformance) -> None:
    source = source_of(model)
    try:
        once, again = (
            write(source, folder / time / model.name, [format_.full_name])
            for time in ("first", "second")
        )
    except (PortproofError, ValueError) as error:  # what it wrote is no artifact
        result.add("writes", "failed", f"{model.name}: {error}")
        return
    refused = [reasons(bundle).get(format_.full_name, "") for bundle in (once, again)]
    if any(refused):
        outcome: Outcome = "not tried" if all(refused) else "failed"
        told = refused[0] or f"written at first, and then: {refused[1]}"
        result.add("writes", outcome, f"{model.name}: {told}")
        return
    [first], [second] = (
        [artifact for artifact in bundle.manifest.artifacts if artifact.name == format_.full_name]
        for bundle in (once, again)
    )
    result.add("writes", "passed")
    _check_endpoints(first, once, model, result)
    changed = [a.path for a, b in zip(first.files, second.files, strict=False) if a != b]
    same = first.files == second.files
    detail = "" if same else f"{model.name}: {', '.join(changed) or 'other files'}"
    result.add("the same bytes twice", "passed" if same else "failed", detail)


def _check_endpoints(
    artifact: Artifact, bundle: Bundle, model: KitModel, result: Conformance
) -> None:
    before = len(result.failures)
    for name, signature in bundle.manifest.signatures.items():
        endpoint = artifact.endpoints.get(name)
        if endpoint is None:
            result.add("endpoints", "failed", f"{model.name}: none for the signature {name}")
            continue
        for kind, own, wanted in (
            ("inputs", endpoint.inputs, signature.inputs),
            ("outputs", endpoint.outputs, signature.outputs),
        ):
            if own.keys() != wanted.keys():
                told = f"{model.name}: {kind} {sorted(own)}, and the signature has {sorted(wanted)}"
                result.add("endpoints", "failed", told)
    if len(result.failures) == before:
        result.add("endpoints", "passed")
