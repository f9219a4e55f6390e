"""Runs `.onnx` files in ONNX Runtime on the CPU, with the optimizations that it has by default."""

from portproof.bundle.tensors import Arrays, Infer
from portproof.runtimes.protocol import Request
from portproof.runtimes.python.loop import serve


def main() -> None:
    import onnxruntime

    providers: list[str] = []

    def load(request: Request) -> Infer:
        session = onnxruntime.InferenceSession(request.artifact, providers=["CPUExecutionProvider"])
        providers[:] = session.get_providers()
        names = [output.name for output in session.get_outputs()]

        def infer(arrays: Arrays) -> Arrays:
            return dict(zip(names, session.run(names, arrays), strict=True))

        return infer

    serve({"onnxruntime": onnxruntime.__version__}, load, lambda: ",".join(providers))


if __name__ == "__main__":
    main()
