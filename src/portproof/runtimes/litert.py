"""LiteRT's interpreter, without TensorFlow: with XNNPACK as it ships, and its reference kernels."""

from functools import partial

from portproof.runtimes.environments.python import PythonEnvironment
from portproof.runtimes.runtime import TFLITE, Runtime

_LACKS = (
    (r"Didn't find op for builtin opcode '(\w+)' version '(\d+)'", r"\1 of version \2"),
    (r"Encountered unresolved custom op: (\w+)", r"\1"),
)

# The reference kernels are plain loops.
_SLOWNESS = {"BUILTIN": 1.0, "BUILTIN_REF": 25.0}


def _runtime(name: str, resolver: str, version: str = "") -> Runtime:
    packages = PythonEnvironment(
        "litert",
        version,
        packages=("ai-edge-litert",),
        # 1.0 was built with NumPy 1, and does not say so.
        constraints=("numpy<2",) if version.startswith("1.0.") else (),
    )
    return Runtime(
        name=name,
        formats=TFLITE,
        command=partial(packages.command, "litert_runner", resolver),
        environment=packages,
        at=partial(_runtime, name, resolver),
        backend=resolver,
        slowness=_SLOWNESS[resolver],
        inspects=TFLITE,
        lacks=_LACKS,
    )


RUNTIMES = (_runtime("litert", "BUILTIN"), _runtime("litert-reference", "BUILTIN_REF"))
