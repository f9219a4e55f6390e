"""Known limits of runtimes that the zoo meets, recognised by the runtimes' messages."""

import re

from portproof.bundle.report import Cell

# Three strings for each limit: a pattern of the runtimes' names, a pattern to find in a cell's
# `OUTPUT: DETAIL`, and the explanation, in which `\1` stands for the pattern's first group.
KNOWN_LIMITS: tuple[tuple[str, str, str], ...] = (
    (
        "tflite-micro",
        r"killed by SIGSEGV",
        "TensorFlow Lite Micro's interpreter crashes on the file, and names no op",
    ),
    (
        "litert|litert-chromium-wasm|openvino",
        r"^gelu: .* times the rounding error allowed",
        "GELU by 1 + erf(x) loses the digits of its tail, which Keras keeps with erfc(-x)",
    ),
    (
        "tfjs-.*",
        r"^gelu: .* times the rounding error allowed",
        "tfjs-layers makes its gelu of TF.js's own Erf, which is off by 1.5e-7",
    ),
    (
        "litert",
        r"failed to create XNNPACK runtime",
        "XNNPACK refuses an int8 node that LiteRT hands to it, and names no op",
    ),
    (
        "openvino",
        r"\[(\w+)\] END: node: .*FullyConnectedCompressed.*CALLBACK HAS THROWN",
        r"OpenVINO's own rewriting (\1) fails after a fully connected layer of 8-bit weights",
    ),
    (
        "litert-chromium-wasm",
        r"SQNR of a row is ([-\d.]+) dB",
        r"LiteRT.js gives the file more noise (\1 dB) than both sets of LiteRT's kernels in Python",
    ),
    (
        "tfjs-chromium-webgpu",
        r"(product of shape 0|shapes 0,0|input \(0\)|Invalid .*size)",
        "a shape that depends on the batch (of a reshape, an initial state, a transposed "
        "convolution) is computed on the GPU, where TF.js's WebGPU backend does not read it back "
        "in time; with its default flags it would compute it on the CPU",
    ),
    (
        "tfjs-chromium-webgpu",
        r"(createBuffer failed|external Instance reference no longer exists)",
        "the browser's GPU process ends at a product of tensors of many axes (in SwiftShader)",
    ),
    (
        "tfjs-chromium-webgl",
        r"Failed to compile fragment shader",
        "TF.js's WebGL backend writes a shader that does not compile, for tensors of many axes",
    ),
)


def explanation(cell: Cell) -> str:
    """Why a cell did not pass, if that is a known limit of its runtime; otherwise nothing."""
    if cell.verdict == "unsupported":
        return f"lacks {cell.lacks}"
    message = f"{cell.output}: {cell.detail}"
    for runtimes, pattern, text in KNOWN_LIMITS:
        if re.fullmatch(runtimes, cell.runtime) and (match := re.search(pattern, message)):
            return match.expand(text)
    return ""
