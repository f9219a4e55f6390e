"""Known limits of runtimes that the zoo meets, recognised by the runtimes' messages."""

import re

from portproof.bundle.report import Cell

# Three strings for each limit: a pattern of the runtimes' names, a pattern to find in a cell's
# `OUTPUT: DETAIL`, and the explanation, in which `\1` stands for the pattern's first group.
KNOWN_LIMITS: tuple[tuple[str, str, str], ...] = (
    (
        "tflite-micro",
        r"Didn't find op for builtin opcode '(\w+)'",
        r"TensorFlow Lite Micro has no \1",
    ),
    (
        "tflite-micro",
        r"Node (\w+) \(number \d+\) failed to prepare",
        r"TensorFlow Lite Micro does not take this \1",
    ),
    (
        "tflite-micro",
        r"Type '(\w+)' is not supported by (\w+)",
        r"TensorFlow Lite Micro has no \2 of \1",
    ),
    (
        "tflite-micro",
        r"killed by SIGSEGV",
        "TensorFlow Lite Micro's interpreter crashes on the file, and names no op",
    ),
    (
        "tflite-micro",
        r"Dimension mismatch",
        "TensorFlow Lite Micro takes no dynamic dimension, and the length of the input is one",
    ),
    (
        "litert-chromium-wasm",
        r"does not match expected ranked tensor type",
        "LiteRT.js takes no dynamic dimension, and the length of the input is one",
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
        "litert-reference",
        r"Didn't find op for builtin opcode '(\w+)' version '(\d+)'",
        r"LiteRT's reference kernels have no \1 of version \2",
    ),
    (
        "litert",
        r"failed to create XNNPACK runtime",
        "XNNPACK refuses an int8 node that LiteRT hands to it, and names no op",
    ),
    (
        "openvino",
        r"No translator found for (\w+) node",
        r"OpenVINO's TFLite reader has no \1",
    ),
    (
        "openvino",
        r"No conversion rule found for operations: ([\w, ]+?) To facilitate",
        r"OpenVINO's TensorFlow reader has no \1",
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
        "tfjs-(node|chromium)-wasm",
        r"Kernel '(\w+)' not registered for backend 'wasm'",
        r"TF.js's WASM backend has no \1",
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
    message = f"{cell.output}: {cell.detail}"
    for runtimes, pattern, text in KNOWN_LIMITS:
        if re.fullmatch(runtimes, cell.runtime) and (match := re.search(pattern, message)):
            return match.expand(text)
    return ""
