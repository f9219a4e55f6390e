"""The runtimes of a browser, on a device: those of the Chromium here, elsewhere."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from portproof.runtimes import chromium
from portproof.runtimes.environments.environment import Environment
from portproof.runtimes.environments.node import NodeEnvironment
from portproof.runtimes.process import Limits
from portproof.runtimes.runner import Runner
from portproof.runtimes.runtime import Runtime

if TYPE_CHECKING:
    from portproof.sandbox.sandbox import Sandbox

# What a page says of itself where it has no WebGPU; see page/device.mjs.
NO_WEBGPU = "this page has no WebGPU"
_LACKS = (
    (rf"{NO_WEBGPU}: it was opened over http", "WebGPU, which takes https or localhost"),
    (NO_WEBGPU, "WebGPU"),
    (r"does not support JSPI|JSPI is not|WebAssembly\.Suspending", "JSPI in the browser"),
    (r"the backend webgl does not start", "WebGL on a GPU"),
)
# A device has a GPU; its WASM is as slow as anyone's.
_SLOWNESS = 4.0


@dataclass(frozen=True)
class DeviceRuntime(Runtime):
    """A runtime on a device, which is its runner.

    Attributes:
        device: The device, or what it computed by itself.
    """

    device: Runner | None = None

    def missing(self) -> str:
        """Nothing: the device has what the server gives it."""
        return ""

    @property
    def process(self) -> tuple[object, ...]:
        """A device computes one thing after the other."""
        return ("device",)

    def runner(self, limits: Limits, sandbox: "Sandbox | None" = None) -> Runner:  # noqa: ARG002
        assert self.device
        return self.device


def device_runtimes(device: Runner | None, names: Collection[str] = ()) -> list[DeviceRuntime]:
    """The runtimes of a device: those of some names, or all of which the libraries are here.

    Without a device they are told what they would be asked, and run nothing.
    """
    chosen = [
        r for r in chromium.RUNTIMES if (_name(r) in names if names else _packages(r).is_here)
    ]
    return [_on(device, runtime) for runtime in chosen]


def lacking() -> list[str]:
    """The runtimes whose libraries are not here."""
    return [_name(r) for r in chromium.RUNTIMES if not _packages(r).is_here]


def node_modules() -> list[Path]:
    """The folders of the libraries that pages load."""
    folders = [_packages(r).folder / "node_modules" for r in chromium.RUNTIMES]
    return [folder for folder in dict.fromkeys(folders) if folder.is_dir()]


def versions() -> dict[str, str]:
    """The libraries' versions, by name."""
    found: Sequence[Environment] = [_packages(r) for r in chromium.RUNTIMES]
    return {environment.name: environment.version for environment in found if environment.is_here}


def _packages(runtime: Runtime) -> Environment:
    """What a page loads, without the browser of this machine."""
    environment = runtime.environment
    assert isinstance(environment, NodeEnvironment)
    return NodeEnvironment(environment.name, environment.requested, prefix=environment.prefix)


def _name(runtime: Runtime) -> str:
    return runtime.name.replace("-chromium-", "-browser-")


def _on(device: Runner | None, runtime: Runtime) -> DeviceRuntime:
    own = {field.name: getattr(runtime, field.name) for field in fields(Runtime)}
    own |= {
        "name": _name(runtime),
        "command": partial(list[str]),
        "variables": dict[str, str],
        "readable": tuple[Path, ...],
        "environment": None,
        "at": None,
        "inspects": (),
        "slowness": _SLOWNESS,
        "options": {**runtime.options, "page": runtime.name.split("-")[0]},
        "lacks": (*_LACKS, *runtime.lacks),
    }
    return DeviceRuntime(**own, device=device)
