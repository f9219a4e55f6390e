"""TensorFlow Serving: a server that runs already, asked over REST or gRPC."""

from dataclasses import replace
from functools import partial

from portproof.bundle.errors import UsageError
from portproof.runtimes.environments.python import PythonEnvironment
from portproof.runtimes.runtime import Runtime

_HOW_TO_GET = "--serving URL of a running server, such as {}://127.0.0.1:{}/v1/models/NAME"
_REST = PythonEnvironment("serving-rest", packages=("requests",))
# Its protocol's messages import TensorFlow.
_GRPC = PythonEnvironment("serving-grpc", packages=("tensorflow-serving-api", "tensorflow"))

_LACKS = ((r"REST(?:'s JSON)? cannot carry ([^:]*)", r"what JSON cannot carry: \1"),)

REST = Runtime(
    name="serving-rest",
    formats=("savedmodel",),
    command=partial(_REST.command, "serving_runner"),
    environment=_REST,
    reach="network",
    server=_HOW_TO_GET.format("http", 8501),
    only_by_name=True,
    lacks=_LACKS,
)
GRPC = Runtime(
    name="serving-grpc",
    formats=("savedmodel",),
    command=partial(_GRPC.command, "serving_grpc_runner"),
    environment=_GRPC,
    reach="network",
    server=_HOW_TO_GET.format("grpc", 8500),
    only_by_name=True,
)
RUNTIMES = (REST, GRPC)


def at(url: str) -> Runtime:
    """The runtime of the server at `url`: http(s):// for REST, grpc:// for gRPC."""
    runtime = {"http": REST, "https": REST, "grpc": GRPC}.get(url.split("://")[0])
    if not runtime:
        raise UsageError(
            f"--serving {url}: give {_HOW_TO_GET.format('http', 8501)} or grpc://...:8500"
        )
    return replace(runtime, server="", options={"serving": url})
