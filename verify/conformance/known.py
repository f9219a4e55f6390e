"""What a person found out about numbers that are wrong in the conformance run."""

import re

from portproof.bundle.report import Cell

# Three strings each: a pattern of runtimes, one to find in `MODEL FORMAT: DETAIL`, the explanation.
EXPLAINED: tuple[tuple[str, str, str], ...] = (
    (
        "litert-reference|tflite-micro",
        r"^conv-lora_rank_argument.* tflite: .*times the rounding error allowed",
        "LiteRT's reference logistic takes exp(x) for x below -9, which is off by a share of "
        "exp(x) (kernels/internal/reference/logistic.h)",
    ),
    (
        "openvino",
        r"high_dim_attention_5d_inputs_2d_attention.* savedmodel: ",
        "OpenVINO computes attention over two axes of five-dimensional inputs as something else",
    ),
    (
        "tfjs-node-wasm",
        r"high_dim_attention_5d_inputs_2d_attention.* tfjs-graph: ",
        "TF.js's WASM backend computes attention over two axes of five-dimensional inputs as "
        "something else; its CPU backend does not",
    ),
    (
        "openvino",
        r"^resizing-resizing_basics_nearest.* tflite: ",
        "OpenVINO's TFLite reader takes other pixels for RESIZE_NEAREST_NEIGHBOR with half-pixel "
        "centres",
    ),
    (
        "keras-openvino",
        r"^resizing-resizing_basics_(bicubic|lanczos)",
        "Keras on OpenVINO resizes with other coefficients, off by a tenth",
    ),
    (
        "openvino",
        r"^resizing-resizing_basics_bicubic.* onnx: .*times the rounding error allowed",
        "OpenVINO's bicubic resize of an ONNX file is off by a tenth; ONNX's reference evaluator "
        "gives the model's numbers for that file",
    ),
    (
        "openvino",
        r"data_shape\[1\]\.",
        "OpenVINO refuses a convolution in groups whose channels it does not count right",
    ),
    (
        "openvino",
        r"Check 'newNode' failed|unconverted_ops|core\.cpp:117",
        "OpenVINO fails while it compiles a quantised layer",
    ),
    (
        "keras-(jax|openvino)",
        r"^hashed_crossing.* keras: .*deserialized",
        "Keras does not load a HashedCrossing on this backend",
    ),
    (
        "keras-openvino",
        r"^pipeline.* keras: .*(deserialized|infer the output shape)",
        "Keras on OpenVINO does not find out the output of a Pipeline",
    ),
    (
        "tfjs-node-(cpu|wasm)",
        r"^clahe-layer.* tfjs-graph: ",
        "TF.js computes the new shape of a reshape as NaN, from sizes that it divides",
    ),
)


def explanation(cell: Cell) -> str:
    """Why a cell is rightly wrong or failed, or nothing."""
    text = f"{cell.model} {cell.full_format}: {cell.detail}"
    for runtimes, pattern, told in EXPLAINED:
        if re.fullmatch(runtimes, cell.runtime) and re.search(pattern, text):
            return told
    return ""
