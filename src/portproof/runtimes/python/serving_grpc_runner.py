"""Asks a running TensorFlow Serving over gRPC."""

from urllib.parse import urlsplit

from portproof.bundle.tensors import Arrays, Infer
from portproof.runtimes.protocol import Request
from portproof.runtimes.python.loop import serve

SECONDS = 60


def main() -> None:
    from importlib.metadata import version

    serve({"tensorflow-serving-api": version("tensorflow-serving-api")}, load)


def load(request: Request) -> Infer:
    """A client of grpc://HOST:PORT/v1/models/NAME."""
    import grpc
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    url = urlsplit(request.options["serving"])
    channel = grpc.insecure_channel(url.netloc)
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)

    def infer(inputs: Arrays) -> Arrays:
        message = predict_pb2.PredictRequest()
        message.model_spec.name = url.path.rstrip("/").rsplit("/", 1)[-1]
        message.model_spec.signature_name = request.signature
        for name, array in inputs.items():
            message.inputs[name].CopyFrom(tf.make_tensor_proto(array, shape=array.shape))
        try:
            answer = stub.Predict(message, timeout=SECONDS)
        except grpc.RpcError as error:
            raise ValueError(f"{error.code().name}: {error.details()}") from None
        return {name: tf.make_ndarray(tensor) for name, tensor in answer.outputs.items()}

    return infer


if __name__ == "__main__":
    main()
