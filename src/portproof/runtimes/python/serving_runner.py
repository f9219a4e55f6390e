"""Asks a running TensorFlow Serving over REST."""

import json
from typing import Any

import numpy as np

from portproof.bundle.signature import DTYPES
from portproof.bundle.tensors import Arrays, Infer
from portproof.runtimes.protocol import Request
from portproof.runtimes.python.loop import serve

SECONDS = 60


def main() -> None:
    from importlib.metadata import version

    serve({"requests": version("requests")}, load)


def load(request: Request) -> Infer:
    """A client of the model at the request's URL; the signature is the server's own metadata."""
    import requests

    url, name = request.options["serving"].rstrip("/"), request.signature
    metadata = _answer(requests.get(f"{url}/metadata", timeout=SECONDS))
    signatures = metadata["metadata"]["signature_def"]["signature_def"]
    if name not in signatures:
        raise ValueError(f"the server's model has no signature {name}: {sorted(signatures)}")
    outputs = {key: _dtype(info["dtype"]) for key, info in signatures[name]["outputs"].items()}

    def infer(inputs: Arrays) -> Arrays:
        body = json.dumps({"signature_name": name, "inputs": encoded(inputs)})
        values = _answer(requests.post(f"{url}:predict", data=body, timeout=SECONDS))["outputs"]
        if len(outputs) == 1:  # then REST leaves out the name
            values = {next(iter(outputs)): values}
        return {key: np.asarray(values[key]).astype(dtype) for key, dtype in outputs.items()}

    return infer


def encoded(inputs: Arrays) -> dict[str, Any]:
    """Inputs as JSON values. Raises ValueError for a value that would arrive as another.

    A float is written with the digits of its float64, which Python reads and writes exactly; NaN
    and the infinities as the literals that TensorFlow Serving documents (REST API, "JSON
    conformance"). What JSON cannot carry is a NaN's bits, and whether an empty list has columns.
    """
    values = {}
    for name, array in inputs.items():
        if array.size == 0:
            raise ValueError(f"REST cannot carry the shape {list(array.shape)} of input {name}")
        wide = array.astype(np.float64) if array.dtype.kind in "fV" else array
        returned = np.asarray(json.loads(json.dumps(wide.tolist()))).astype(array.dtype)
        if returned.tobytes() != array.tobytes():
            differ = np.argwhere(returned.view(np.uint8) != array.view(np.uint8)).ravel()
            raise ValueError(f"REST's JSON cannot carry input {name} exactly: byte {differ[0]}")
        values[name] = wide.tolist()
    return values


def _answer(response: Any) -> Any:
    """The JSON of an answer. Raises ValueError with the server's own message."""
    try:
        content = response.json()
    except ValueError:
        raise ValueError(f"HTTP {response.status_code}: {response.text[:200]}") from None
    if not response.ok or "error" in content:
        raise ValueError(f"HTTP {response.status_code}: {content.get('error', content)}")
    return content


_DTYPES = {"DT_FLOAT": "float32", "DT_DOUBLE": "float64", "DT_HALF": "float16"}


def _dtype(name: str) -> np.dtype[Any]:
    """`DT_FLOAT` as NumPy's dtype."""
    return DTYPES[_DTYPES.get(name, name.removeprefix("DT_").lower())]


if __name__ == "__main__":
    main()
