"""TensorFlow Serving: a server that runs already, asked over REST or gRPC."""

from dataclasses import replace
from functools import partial

from portproof.bundle.errors import UsageError
from portproof.runtimes.runtime import Runtime, missing_package, python_command

_HOW_TO_GET = "--serving URL of a running server, such as {}://127.0.0.1:{}/v1/models/NAME"

REST = Runtime(
    name="serving-rest",
    formats=("savedmodel",),
    command=partial(python_command, "serving_runner"),
    missing=lambda: _HOW_TO_GET.format("http", 8501),
)
GRPC = Runtime(
    name="serving-grpc",
    formats=("savedmodel",),
    # Its protocol's messages import TensorFlow, which this process has already.
    command=partial(python_command, "tensorflow_runner"),
    missing=lambda: _HOW_TO_GET.format("grpc", 8500),
)
RUNTIMES = (REST, GRPC)


def at(url: str) -> Runtime:
    """The runtime of the server at `url`: http(s):// for REST, grpc:// for gRPC."""
    scheme = url.split("://")[0]
    if scheme in ("http", "https"):
        missing, runtime = missing_package("requests", "requests"), REST
    elif scheme == "grpc":
        missing = missing_package("tensorflow_serving", "portproof[serving]")
        runtime = GRPC
    else:
        raise UsageError(
            f"--serving {url}: give {_HOW_TO_GET.format('http', 8501)} or grpc://...:8500"
        )
    return replace(runtime, missing=lambda: missing, options={"serving": url})
