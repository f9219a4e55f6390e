"""A small server of a SavedModel with TensorFlow Serving's two interfaces, to test the client.

The gRPC side implements the official PredictionService stubs; the REST side the documented
requests (REST API: predict in columns, metadata). Prints its two ports when it listens.
Arguments: the SavedModel's folder, the model's name, and optionally a fault.
"""

import json
import sys
import threading
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

FOLDER, NAME, *FAULT = sys.argv[1:]
MODEL = tf.saved_model.load(FOLDER)
PROTO = saved_model_pb2.SavedModel.FromString(Path(FOLDER, "saved_model.pb").read_bytes())
SIGNATURES = {
    name: signature
    for name, signature in PROTO.meta_graphs[0].signature_def.items()
    if not name.startswith("__")
}


def predict(signature: str, inputs: dict[str, tf.Tensor]) -> dict[str, np.ndarray]:
    outputs = MODEL.signatures[signature](**inputs)
    return {name: tensor.numpy() for name, tensor in outputs.items()}


class Prediction(prediction_service_pb2_grpc.PredictionServiceServicer):
    def Predict(self, request: Any, context: Any) -> Any:  # noqa: N802
        if request.model_spec.name != NAME:
            context.abort(
                grpc.StatusCode.NOT_FOUND, f"Servable not found: {request.model_spec.name}"
            )
        inputs = {name: tf.constant(tf.make_ndarray(t)) for name, t in request.inputs.items()}
        response = predict_pb2.PredictResponse()
        for name, array in predict(request.model_spec.signature_name, inputs).items():
            response.outputs[name].CopyFrom(tf.make_tensor_proto(array, shape=array.shape))
        return response


class Rest(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path != f"/v1/models/{NAME}/metadata":
            return self._respond(404, {"error": "Servable not found"})
        described = {
            key: {
                "inputs": {n: {"dtype": dtype(t)} for n, t in signature.inputs.items()},
                "outputs": {n: {"dtype": dtype(t)} for n, t in signature.outputs.items()},
            }
            for key, signature in SIGNATURES.items()
        }
        return self._respond(200, {"metadata": {"signature_def": {"signature_def": described}}})

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.path != f"/v1/models/{NAME}:predict":
            return self._respond(404, {"error": "Servable not found"})
        name = request["signature_name"]
        inputs = {
            key: tf.constant(value, SIGNATURES[name].inputs[key].dtype)
            for key, value in request["inputs"].items()
        }
        outputs = {key: listed(array) for key, array in predict(name, inputs).items()}
        return self._respond(
            200, {"outputs": outputs if len(outputs) > 1 else next(iter(outputs.values()))}
        )

    def _respond(self, status: int, content: object) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def dtype(info: Any) -> str:
    return "DT_" + tf.as_dtype(info.dtype).name.upper().replace("FLOAT32", "FLOAT")


def listed(array: np.ndarray) -> object:
    """Floats in the fewest digits that restore them; in six digits if that is the fault."""
    if array.dtype.kind != "f":
        return array.tolist()
    digits = "{:.6g}" if "six digits" in FAULT else "{!s}"
    return np.vectorize(lambda x: float(digits.format(x)), otypes=[float])(array).tolist()


server = grpc.server(futures.ThreadPoolExecutor(2))
prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(Prediction(), server)
grpc_port = server.add_insecure_port("127.0.0.1:0")
server.start()
rest = ThreadingHTTPServer(("127.0.0.1", 0), Rest)
threading.Thread(target=rest.serve_forever, daemon=True).start()
print(rest.server_port, grpc_port, flush=True)
sys.stdin.read()  # until the test closes it
