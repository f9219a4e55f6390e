"""Harmless changes, which alter rounding but not correctness: none of them may be flagged."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import keras
import numpy as np

from portproof.runtimes.runtime import Runtime
from portproof.runtimes.table import RUNTIMES
from verify.faults import mutations
from verify.faults.examine import runtime_named

# Architecture and runtime -> a defect of the runtime. What is flagged here is no false alarm.
KNOWN_DEFECTS = {
    ("integers", "tfjs-chromium-webgl"): "int32 products pass through floats",
    ("integers", "tfjs-chromium-webgpu"): "int32 products pass through floats",
    ("integers", "litert-webgpu"): "zeros where an int32 tensor meets a constant vector",
}


@dataclass(frozen=True)
class AlternativeRun:
    """Another way to run an undamaged artifact of a format."""

    title: str
    format: str
    runtime: Runtime
    shuffle: bool = False


def alternative_runs(formats: list[str]) -> Iterator[AlternativeRun]:
    """Every other way to run each format: other runtimes, kernels, threads and orders of rows."""
    for format_ in formats:
        for runtime in RUNTIMES:
            if format_ in runtime.formats and not runtime.missing():
                yield AlternativeRun(f"in {runtime.name}", format_, runtime)
        for title, make_runtime in _RUNTIMES_WITH_OTHER_SETTINGS.get(format_, {}).items():
            yield AlternativeRun(title, format_, make_runtime())
        runtime = runtime_named(_RUNTIME_FOR_SHUFFLED_ROWS[format_])
        yield AlternativeRun("rows in another order", format_, runtime, shuffle=True)


_RUNTIME_FOR_SHUFFLED_ROWS = {
    "savedmodel": "openvino",
    "checkpoint": "tensorflow",
    "keras": "keras-jax",
    "tflite": "litert",
    "tfjs-graph": "tfjs-node-wasm",
    "tfjs-layers": "tfjs-node-cpu",
}


def _with_environment(name: str, **environment: str) -> Runtime:
    runtime = runtime_named(name)
    return replace(runtime, variables=lambda: {**runtime.variables(), **environment})


def _litert(resolver: str, threads: int) -> Runtime:
    runtime = runtime_named("litert")
    return replace(
        runtime, command=lambda: [*runtime.command()[:-1], resolver, str(threads)], backend=resolver
    )


_TENSORFLOW: dict[str, Callable[[], Runtime]] = {
    "without oneDNN": lambda: _with_environment("tensorflow", TF_ENABLE_ONEDNN_OPTS="0"),
    "compiled by XLA": lambda: _with_environment(
        "tensorflow", TF_XLA_FLAGS="--tf_xla_auto_jit=2 --tf_xla_cpu_global_jit"
    ),
    "with one thread": lambda: _with_environment(
        "tensorflow", TF_NUM_INTRAOP_THREADS="1", TF_NUM_INTEROP_THREADS="1"
    ),
}
_RUNTIMES_WITH_OTHER_SETTINGS: dict[str, dict[str, Callable[[], Runtime]]] = {
    "savedmodel": _TENSORFLOW,
    "tflite": {
        "without XNNPACK": lambda: _litert("BUILTIN_WITHOUT_DEFAULT_DELEGATES", 1),
        "with one thread": lambda: _litert("BUILTIN", 1),
        "with two threads": lambda: _litert("BUILTIN", 2),
    },
}


# Rewrites of the model itself, which is then exported again


def units_permuted(model: keras.Model) -> keras.Model | None:
    """Permutes the units between two layers, so that the second layer sums in another order."""
    layers = [layer for layer in model.layers if layer.weights]
    for first, second in itertools.pairwise(layers):
        if _can_permute(first, second):
            order = np.random.default_rng(3).permutation(first.kernel.shape[-1])
            weights = {id(v): w for v, w in zip(model.weights, model.get_weights(), strict=True)}
            for variable in first.weights:
                weights[id(variable)] = weights[id(variable)][..., order]
            kernel = weights[id(second.kernel)]
            weights[id(second.kernel)] = np.take(kernel, order, axis=-2)
            return mutations.rebuilt(model, weights=[weights[id(v)] for v in model.weights])
    return None


def _can_permute(first: keras.Layer, second: keras.Layer) -> bool:
    supported = (keras.layers.Dense, keras.layers.Conv1D, keras.layers.Conv2D)
    both_supported = isinstance(first, supported) and isinstance(second, supported)
    depthwise = isinstance(first, keras.layers.DepthwiseConv2D) or isinstance(
        second, keras.layers.DepthwiseConv2D
    )
    return both_supported and not depthwise and first.kernel.shape[-1] == second.kernel.shape[-2]


def norm_folded(model: keras.Model) -> keras.Model | None:
    """Folds batch normalisation into the convolution before it, in float64 with one rounding."""
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    if not norms or not isinstance(model.get_layer("conv"), keras.layers.Conv2D):
        return None
    norm, conv = norms[0], model.get_layer("conv")
    gamma, beta, mean, variance = (np.float64(w) for w in norm.get_weights())
    scale = gamma / np.sqrt(variance + norm.epsilon)
    kernel = (np.float64(conv.get_weights()[0]) * scale).astype(np.float32)
    offset = (beta - mean * scale).astype(np.float32)
    x = keras.Input(model.inputs[0].shape[1:], name="x")
    folded = keras.layers.Conv2D(conv.filters, conv.kernel_size, name="conv")
    hidden = folded(x)
    layers_after = model.layers[model.layers.index(norm) + 1 :]
    for layer in layers_after:
        hidden = layer.__class__.from_config(layer.get_config())(hidden)
    folded.set_weights([kernel, offset])
    return keras.Model(x, {"y": hidden})


REWRITES: dict[str, Callable[[keras.Model], keras.Model | None]] = {
    "units permuted": units_permuted,
    "batch norm folded": norm_folded,
}
