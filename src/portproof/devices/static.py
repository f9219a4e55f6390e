"""A bundle -> a folder for any web server: whoever opens it runs the bundle in their browser."""

import hashlib
import json
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from portproof.bundle import atomic, tensors
from portproof.bundle.bundle import Bundle
from portproof.bundle.errors import UsageError, one_line
from portproof.bundle.float_format import is_float
from portproof.bundle.reading import MANIFEST_LIMIT, read_file
from portproof.bundle.tensors import Arrays
from portproof.comparing.allowed import allowed
from portproof.comparing.arrays import Expected, compare
from portproof.comparing.judging import expected_of, proves_nothing
from portproof.comparing.metrics import NEGLIGIBLE, Metrics, merged
from portproof.comparing.yardstick import size_of_inputs
from portproof.devices import runtimes
from portproof.devices.answers import SCHEMA
from portproof.devices.plan import Call, calls_of, path_in
from portproof.devices.runtimes import DeviceRuntime, device_runtimes
from portproof.devices.server import PAGE
from portproof.runtimes import javascript
from portproof.verifying.shortcomings import shortcomings_of

# What a page loads beside what its HTML names, below node_modules/.
_LOADED_LATER = {
    "tfjs": ("@tensorflow/tfjs-backend-wasm/dist/*.wasm",),
    "litert": ("@litertjs/core/wasm/*", "@litertjs/*/dist/**/*.js"),
    "onnxruntime": (
        "onnxruntime-web/dist/ort-wasm-simd-threaded.[mw]*",
        "onnxruntime-web/dist/ort-wasm-simd-threaded.asyncify.[mw]*",
    ),
}
_NAMED = re.compile(r'"\.\./node_modules/([^"]+)"')
# What tells a folder that `serve --static` made, and may be replaced.
_PLAN = "plan.json"


def write_site(bundle: Bundle, folder: Path) -> list[str]:
    """Write a page, what it loads, and all that it needs of the bundle.

    Args:
        bundle: The bundle.
        folder: Where; made, or replaced where it is such a folder.

    Returns the runtimes that it runs. Raises UsageError where the folder is something else, or
    no browser runs any of the bundle's artifacts.
    """
    folder = folder.resolve()
    _check_place(folder, bundle)
    used = [r for r in device_runtimes(None) if _runs(r, bundle)]
    if not used:
        raise UsageError(f"{bundle.path} has no artifact that a browser here runs.")
    with atomic.folder(folder) as staging:
        _write_app(staging, used)
        for artifact in bundle.manifest.artifacts:
            if any(artifact.name in runtime.formats for runtime in used):
                for file in artifact.files:
                    _copy(bundle.artifact_path(file.path), staging / "artifact" / file.path)
        plan = _plan_of(bundle, staging, used)
        plan |= {
            "runtimes": [runtime.name for runtime in used],
            "lacks": {runtime.name: runtime.lacks for runtime in used},
        }
        (staging / _PLAN).write_text(json.dumps(plan), encoding="utf-8")
    return [runtime.name for runtime in used]


def _plan_of(bundle: Bundle, staging: Path, used: Sequence[DeviceRuntime]) -> dict[str, Any]:
    try:
        return _Plan(bundle, staging).of(calls_of(bundle, used))
    except (KeyError, ValueError) as error:  # whatever a stranger wrote into test vectors
        raise UsageError(
            f"{bundle.path} has test vectors that prove nothing: {one_line(error)}."
        ) from None


def _check_place(folder: Path, bundle: Bundle) -> None:
    """Raises UsageError where a page would replace something else."""
    is_empty = not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))
    if not is_empty and not _is_page(folder):
        raise UsageError(f"{folder} is there already, and is no such page: name another folder.")
    if folder.is_relative_to(bundle.path.resolve()):
        raise UsageError(f"{folder} is in the bundle, whose files would be others: name another.")


def _is_page(folder: Path) -> bool:
    try:
        plan = json.loads(read_file(folder / _PLAN, MANIFEST_LIMIT))
    except (OSError, ValueError):
        return False
    return isinstance(plan, dict) and plan.get("schema") == SCHEMA


def _runs(runtime: DeviceRuntime, bundle: Bundle) -> bool:
    return any(artifact.name in runtime.formats for artifact in bundle.manifest.artifacts)


def _copy(file: Path, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(file, to)


def _write_app(staging: Path, used: Sequence[DeviceRuntime]) -> None:
    """The page, and the libraries of what it runs."""
    shutil.copyfile(PAGE / "static.html", staging / "index.html")
    app = staging / "app"
    for folder in (PAGE, javascript.FOLDER):
        for file in [*folder.glob("*.mjs"), *folder.glob("*.css"), *folder.glob("page/*")]:
            _copy(file, app / file.relative_to(folder))
    for page in {str(runtime.options["page"]) for runtime in used}:
        named = _NAMED.findall((javascript.FOLDER / "page" / f"{page}.html").read_text())
        for modules in runtimes.node_modules():
            for pattern in (*named, *_LOADED_LATER[page]):
                for file in modules.glob(pattern):
                    if file.is_file():
                        _copy(file, app / "node_modules" / file.relative_to(modules))


class _Plan:
    """What the page reads: the calls, and beside it the files of their inputs and limits."""

    def __init__(self, bundle: Bundle, folder: Path) -> None:
        self._bundle, self._folder = bundle, folder
        self._shortcomings = shortcomings_of(bundle)
        self._metrics: dict[tuple[str, str], dict[str, Metrics]] = {}

    def of(self, calls: Iterable[Call]) -> dict[str, Any]:
        """The plan, without the runtimes; the files are written."""
        told = [self._told(call) for call in calls]
        manifest = self._bundle.manifest
        return {
            "schema": SCHEMA,
            "model": manifest.model,
            "bundle": self._bundle.digest,
            "versions": runtimes.versions(),
            "nothing": list(self._nothing()),
            "calls": told,
        }

    def _told(self, call: Call) -> dict[str, Any]:
        request, trial = call.request, call.trial
        limits, outputs = self._limits(call)
        return {
            "key": call.key,
            "runtime": trial.runtime.name,
            "label": trial.artifact.name,
            "artifact": path_in(self._bundle, request),
            "format": request.format,
            "signature": request.signature,
            "byRow": request.by_row,
            "timed": False,
            **request.options,
            "of": trial.signature_name,
            "regime": call.vector.regime,
            "case": call.vector.case,
            "inputs": self._file("inputs", call.inputs),
            "limits": self._file("limits", limits),
            "outputs": outputs,
            "shader": trial.runtime.shader,
        }

    def _limits(self, call: Call) -> tuple[Arrays, dict[str, dict[str, Any]]]:
        """What the outputs are held to, by the artifact's own names: arrays, and numbers."""
        arrays: Arrays = {}
        numbers: dict[str, dict[str, Any]] = {}
        for output in call.trial.outputs:
            own = call.trial.endpoint.outputs[output]
            form = call.trial.endpoint.output_forms.get(output)
            expected = expected_of(call.arrays, output, call.trial.artifact.group)
            self._note(call, output, expected)
            numbers[own] = {"name": output, **_budget(call, output)}
            if form:  # another layout, or integers for floats: the report tells
                numbers[own]["untold"] = str(form)
                continue
            arrays[f"reference/{own}"] = expected.reference
            if expected.variant is not None:
                arrays[f"variant/{own}"] = expected.variant
            if is_float(expected.reference.dtype) and "variant" not in numbers[own]:
                limits = allowed(expected)
                arrays[f"oracle/{own}"], arrays[f"rounding/{own}"] = limits.oracle, limits.rounding
                if limits.shader is not None:
                    arrays[f"shader/{own}"] = limits.shader
                numbers[own] |= {"mean": limits.mean, "normal": limits.normal}
        return arrays, numbers

    def _note(self, call: Call, output: str, expected: Expected) -> None:
        """Remember how large the bounds are, of what is to be near the original."""
        if not call.trial.is_variant and expected.rounding is not None:
            metrics = compare(expected.reference, expected)
            negligible = metrics.finite * (NEGLIGIBLE * size_of_inputs(call.arrays)) ** 2
            place = call.trial.signature_name, output
            cases = self._metrics.setdefault(place, {})
            cases[call.vector.case] = replace(metrics, sum_negligible=negligible)

    def _nothing(self) -> Iterator[str]:
        """Why a comparison proves nothing, however near the numbers are."""
        for signature, reason in self._shortcomings.items():
            yield f"{signature}: {reason}"
        for (signature, output), cases in self._metrics.items():
            if reason := proves_nothing(merged(list(cases.values()))):
                yield f"{output} of {signature} {reason}"

    def _file(self, kind: str, arrays: Arrays) -> str:
        """A file of arrays, written once for all calls that have the same."""
        content = tensors.to_bytes(arrays)
        name = f"{kind}/{hashlib.sha256(content).hexdigest()[:32]}.safetensors"
        path = self._folder / name
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
        return name


def _budget(call: Call, output: str) -> dict[str, Any]:
    """Of what may differ by more than rounding, by how much."""
    budget = call.trial.allowance(output).budget
    if not budget:
        return {}
    told = budget.model_dump(exclude_none=True)
    floor = {"floor": call.trial.floor.sqnr} if call.trial.is_variant else {}
    return {"variant": {**told, **floor}}
