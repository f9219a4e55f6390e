"""Known limits of runtimes that the zoo meets, recognised by the runtimes' messages."""

import re

from portproof.bundle.report import Cell

# Three strings for each limit: a pattern of the runtimes' names, a pattern to find in a cell's
# `MODEL FORMAT OUTPUT: DETAIL`, and the explanation, in which `\1` stands for the pattern's first
# group.
KNOWN_LIMITS: tuple[tuple[str, str, str], ...] = (
    (
        "litert|litert-chromium-wasm|openvino",
        r" gelu: .* times the rounding error allowed",
        "GELU by 1 + erf(x) loses the digits of its tail, which Keras keeps with erfc(-x)",
    ),
    (
        "tfjs-.*",
        r" gelu: .* times the rounding error allowed",
        "tfjs-layers makes its gelu of TF.js's own Erf, which is off by 1.5e-7",
    ),
    (
        "litert.*|openvino|tflite-micro|onnxruntime.*",
        r"no more the model",
        "what the variant rounds changes what the model gives, of random weights most of all",
    ),
    (
        "openvino",
        r"\[(\w+)\] END: node: .*CALLBACK HAS THROWN",
        r"OpenVINO's own rewriting (\1) fails after a layer of 8-bit weights",
    ),
    (
        "keras-openvino",
        r" (?:change|mean): .* times the rounding error allowed",
        "Keras on OpenVINO mistakes one of two calls of a nested model: what goes into both is "
        "right, and the difference of what they give is not",
    ),
    (
        "litert-reference",
        r"div\.cc.* data\[i\] != zero_point was not true",
        "LiteRT's reference kernels do not divide by an int8 tensor that has a zero in it",
    ),
    (
        "litert-webgpu|litert-chromium-webgpu",
        r"^conv_2d_transpose tflite.*: ",
        "LiteRT's WebGPU accelerator computes a transposed convolution that is padded (`same`) as "
        "something else; without padding it is right",
    ),
    (
        "litert-webgpu|litert-chromium-webgpu",
        r"^smooth_functions tflite.* (?:exponential|softplus): ",
        "LiteRT's WebGPU accelerator writes over an exponential that is an output and read again",
    ),
    (
        "litert-chromium-webgpu",
        r"litert_web\.cc:245",
        "LiteRT.js fails on WebGPU without a word of the reason",
    ),
    (
        "openvino",
        r"^gru onnx float16 y: .*SQNR of a row is 45\.3 dB",
        "a row of two small numbers, which another order of rounding leaves 2 dB more noise than "
        "is declared; of all rows together it is as quiet as ONNX Runtime",
    ),
    (
        "tfjs-chromium-webgl",
        r"Failed to compile fragment shader",
        "TF.js's WebGL backend writes a shader that does not compile, for tensors of many axes",
    ),
    (
        "tfjs-chromium-webgpu",
        r": 0 where the reference has",
        "TF.js's WebGPU backend gives zeros where its shader does not compile, for tensors of many "
        "axes",
    ),
)


def explanation(cell: Cell) -> str:
    """Why a cell did not pass, if that is a known limit of its runtime; otherwise nothing."""
    if cell.verdict == "unsupported":
        return f"lacks {cell.lacks}"
    message = f"{cell.model} {cell.full_format} {cell.output}: {cell.detail}"
    for runtimes, pattern, text in KNOWN_LIMITS:
        if re.fullmatch(runtimes, cell.runtime) and (match := re.search(pattern, message)):
            return match.expand(text)
    return ""
