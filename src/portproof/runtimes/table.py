"""The table of runtimes. A new runtime is one file beside this one and a row here.

Runtimes from elsewhere are added by `add`, or by an entry point in the group `portproof.runtimes`
that names a Runtime.
"""

from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import entry_points

from portproof.bundle.errors import UsageError
from portproof.bundle.text import choices
from portproof.runtimes import (
    chromium,
    keras,
    litert,
    litert_adb,
    litert_webgpu,
    onnxruntime,
    openvino,
    serving,
    tensorflow,
    tensorflow_c,
    tfjs_node,
    tflite_micro,
)
from portproof.runtimes.runtime import Runtime

RUNTIMES: tuple[Runtime, ...] = (
    *tensorflow.RUNTIMES,
    *tensorflow_c.RUNTIMES,
    *keras.RUNTIMES,
    *litert.RUNTIMES,
    *litert_webgpu.RUNTIMES,
    *litert_adb.RUNTIMES,
    *tflite_micro.RUNTIMES,
    *onnxruntime.RUNTIMES,
    *openvino.RUNTIMES,
    *serving.RUNTIMES,
    *tfjs_node.RUNTIMES,
    *chromium.RUNTIMES,
)


ENTRY_POINTS = "portproof.runtimes"
_added: list[Runtime] = []


def add(runtime: Runtime) -> None:
    """Add a runtime of one's own to this process's table."""
    _added[:] = [*(r for r in _added if r.name != runtime.name), runtime]


def table() -> tuple[Runtime, ...]:
    """All runtimes: our own, those that were added, and those that installed packages bring."""
    from_packages = [point.load() for point in entry_points(group=ENTRY_POINTS)]
    by_name = {runtime.name: runtime for runtime in (*RUNTIMES, *_added, *from_packages)}
    return tuple(by_name.values())


def select(names: list[str], servers: list[str]) -> tuple[Runtime, ...]:
    """The runtimes of these names, or all where there are none; `servers` are URLs of Serving.

    A name may have a version, `litert@1.4.0`. Raises UsageError.
    """
    known = {runtime.name: runtime for runtime in table()}
    served = [serving.at(url) for url in servers]
    if len({runtime.name for runtime in served}) < len(served):
        raise UsageError("--serving takes one http:// and one grpc:// address.")
    known |= {runtime.name: runtime for runtime in served}
    if names:
        names = [*names, *(runtime.name for runtime in served)]
    chosen = tuple(_named(name, known) for name in dict.fromkeys(names))
    return chosen or tuple(known.values())


def needs_one_row(targets: Sequence[str]) -> bool:
    """Whether one of these runtimes runs files of one row; without any, whether one may."""
    return any(runtime.one_row for runtime in select(list(targets), []))


def _named(full_name: str, known: dict[str, Runtime]) -> Runtime:
    """The runtime of a name, at its version where the name has one."""
    name, at, version = full_name.partition("@")
    if name not in known:
        if runs := [runtime.name for runtime in known.values() if name in runtime.formats]:
            raise UsageError(f"{name!r} is a format, and no runtime: {', '.join(runs)} run it.")
        raise UsageError(f"there is no runtime {name!r}: {choices(name, known)}")
    if not at:
        return known[name]
    make = known[name].at
    if not make:
        raise UsageError(f"{name} has no versions to choose from: name it without @{version}.")
    runtime = make(version)
    if not runtime.environment or not runtime.environment.is_version(version):
        raise UsageError(f"{full_name}: {version!r} is no version, such as {name}@1.2.3.")
    return replace(runtime, name=full_name)
