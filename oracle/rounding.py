"""The rounding that a correct evaluation of a graph may show: the rule, and all its constants.

**The rule.** A float output is `faithful` where each element is as near the float64 oracle as the
reference is, up to rounding: its error is at most the reference's own, and the largest deviation
that `SAMPLES` evaluations of the same graph in float64 show there, in each of which the result of
every operation is off by `AMPLITUDE` times what one correct operation may be off by, up or down.
That deviation is taken to be at least one unit in the last place of the oracle's value. And the n
elements of an output together use on average at most 1/(2 AMPLITUDE) of their bounds, and a share
of the rest that falls with 1/sqrt(n). That much they would use if every rounding, which is half
its largest on average, went the same way everywhere; a weight that is off does that, rounding
does not. Where it does all the same, for all elements hang on one result (a batch normalisation's
variance of few rows, in training), the reference shows it: twice what it is off by on average is
allowed too, for it is itself one sample of such an error.

**Why.** What a float32 program may differ by is not a property of the program but of the graph and
its input: a sum that cancels loses all its digits in any order of summation, and a table lookup
loses none. So the graph itself is asked. Evaluating it many times with its roundings disturbed is
Monte Carlo arithmetic (D. S. Parker, "Monte Carlo Arithmetic", UCLA CSD-970002, 1997); the
original's own float32 evaluation is one such sample, and the samples here are more of them. It
judges every element by itself: a small output beside a huge one has a bound of its own, and where
a value stands at a step (a rounding, a comparison, a relu) the samples fall on both sides of it.

**How far one operation may be off** is taken in units in the last place (ULP):

- `+ - *` and conversions: half a unit, being correctly rounded (IEEE 754-2019, section 4.3), and
  nothing where the dtype can hold the result. Of a sum, half a unit of its larger operand, so that
  `(a + b) + c` may be computed as `a + (b + c)`.
- elementary functions: what OpenCL C 3.0 demands of float (section 7.4, "Relative Error as ULPs",
  the full profile), the one standard that states it for all of them.
- sums of n terms, and what is made of them (matrix products, convolutions, means, pooling). Added
  up one after the other, in random order, the partial sums S_k make an error of variance
  u^2/3 * sum(S_k^2), where sum(S_k^2) is on average n S^2/3 + n Q/6 for the total S and the sum of
  squares Q (a random walk that must end at S: S_k is k S/n on average, with variance
  k (1 - k/n) Q/n). So the result is disturbed by u sqrt(1 + n/9) of itself, and each term by
  u sqrt(1 + n/18). Any tree of partial sums, and a fused multiply-add, does better. The ones under
  the roots are the last rounding (of a mean, 2.5 ULP for its division, which may be a product with
  a rounded 1/n), and three of each term: the product, and its factors where an implementation
  folded a scale into them. That errors grow with sqrt(n), not n, is what is seen and proven under
  random rounding (N. J. Higham and T. Mary, "A New Approach to Probabilistic Rounding Error
  Analysis", SIAM J. Sci. Comput. 41, 2019). It is not so of thousands of equal terms added one by
  one, whose roundings are equal too: such a sum is less than float32 can do, and is said to be.
  Sums of whole numbers that stay below the dtype's precision are exact.
- operations that the tables do not have: four units, unless they only move, choose or compare.

What does not depend on the values of inputs and weights (sizes, positions, scalars) is left alone.
A sample that fails, does not end, or gives other shapes or no number says nothing.

`AMPLITUDE` is the distance in standard deviations, roughly, at which a correct program is still
called faithful where one operation decides; the largest of 16 samples of a sum of many is seldom
below its standard deviation (1 in 400) and 1.8 of them on average. One rule and one set of
constants serves every model.

**Shaders.** GPU shading languages promise less of some functions. `SHADER` is the same sampling
with what WGSL promises in addition (W3C, "WebGPU Shading Language", section "Floating Point
Accuracy"; GLSL ES 3.20, section 4.7.1, has the same figures for what it states, and nothing for
trigonometry). What is within that on a shader's backend, and not within the rule, is `close`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import tensorflow as tf
from tensorflow.core.framework import types_pb2

SAMPLES = 16
AMPLITUDE = 4.0

# How many samples, and the factors of what a correct operation and a shader's may be off by. What
# shaders promise is the worst already, of which fewer samples tell enough.
CORRECT = (SAMPLES, AMPLITUDE, 0.0)
SHADER = (SAMPLES // 4, AMPLITUDE, 1.0)

# Half a unit in the last place of 1: what one correct rounding is off by, at most, relatively.
ROUNDOFF = {
    types_pb2.DT_BFLOAT16: 2.0**-8,
    types_pb2.DT_HALF: 2.0**-11,
    types_pb2.DT_FLOAT: 2.0**-24,
    types_pb2.DT_DOUBLE: 2.0**-53,
}

Tensor = Any
# Inputs, result and unit roundoff -> by how much a shader's result may be off.
Shader = Callable[[list[Tensor], Tensor, float], Tensor]


@dataclass(frozen=True)
class Elementwise:
    """An operation whose result is off by `ulps` of itself; a sum's (`of_operands`) of those.

    `floor` is the least size that this is relative to. `exact`: a result that the dtype
    can hold is not rounded at all.
    """

    ulps: float = 0.5
    of_operands: bool = False
    floor: float = 0.0
    exact: bool = False
    shader: Shader | None = None


@dataclass(frozen=True)
class Contraction:
    """A sum of products, or a plain sum: `terms(inputs, attr)` says of how many.

    `operand` is the position of the input that stands for the terms, `ulps` the last rounding.
    """

    terms: Callable[[list[Tensor], Any], Tensor]
    operand: int = 0
    ulps: float = 0.5


@dataclass(frozen=True)
class Composite:
    """An operation of one input that is several in one: its input is disturbed, then its result.

    `operand(x, unit)` gives by how much its input may be off; `ulps` is the result's own error,
    relative to a value of at least `floor`.
    """

    operand: Callable[[Tensor, float], Tensor]
    ulps: float
    floor: float = 0.0
    shader: Shader | None = None


def _ulps(count: float) -> Shader:
    return lambda _, y, u: 2 * u * count * tf.abs(y)


def _absolute(error: float) -> Shader:
    return lambda _, y, __: tf.fill(tf.shape(y), tf.constant(error, y.dtype))


def _exp_ulps(x: Tensor) -> Tensor:
    """WGSL's `exp`: 3 + 2|x| ULP."""
    return 3 + 2 * tf.abs(x)


def _log(x: Tensor, y: Tensor, u: float) -> Tensor:
    """WGSL's `log`: 2^-21 where x is in [0.5, 2], and 3 ULP elsewhere."""
    near_one = tf.logical_and(x >= 0.5, x <= 2.0)
    return tf.where(near_one, tf.constant(2.0**-21, x.dtype), 6 * u * tf.abs(y))


def _power(inputs: list[Tensor], y: Tensor, u: float) -> Tensor:
    """`exp2(b * log2(a))`, as WGSL has it."""
    a, b = inputs
    log2 = tf.math.log(tf.abs(a)) / tf.math.log(tf.constant(2.0, a.dtype))
    exponent = tf.abs(b) * _log(tf.abs(a), log2, u)
    return tf.abs(y) * (exponent + 2 * u * _exp_ulps(b * log2))


def _sigmoid(inputs: list[Tensor], y: Tensor, u: float) -> Tensor:
    return 2 * u * y * (_exp_ulps(inputs[0]) * (1 - y) + 2.5)


def _softmax(inputs: list[Tensor], y: Tensor, u: float) -> Tensor:
    return 2 * u * y * (2 * _exp_ulps(_below_largest(inputs[0])) + 2.5)


def _exp_of_negative(inputs: list[Tensor], y: Tensor, u: float) -> Tensor:
    x = tf.minimum(inputs[0], 0)
    return 2 * u * (_exp_ulps(x) * tf.exp(x) + tf.abs(y))


def _hyperbolic(inputs: list[Tensor], _: Tensor, u: float) -> Tensor:
    return 2 * u * _exp_ulps(inputs[0]) * tf.cosh(inputs[0])


def _tangent(_: list[Tensor], y: Tensor, __: float) -> Tensor:
    return 2.0**-11 * (1 + tf.abs(y)) * tf.sqrt(1 + y * y)


def _error_function(inputs: list[Tensor], _: Tensor, u: float) -> Tensor:
    """Abramowitz and Stegun 7.1.26 (1.5e-7), which shaders use for what WGSL does not have."""
    square = tf.square(inputs[0])
    return 1.5e-7 + 2 * u * _exp_ulps(square) * tf.exp(-square)


ELEMENTWISE: dict[str, Elementwise] = {
    **dict.fromkeys(
        ("Add", "AddN", "AddV2", "Sub", "BiasAdd"), Elementwise(of_operands=True, exact=True)
    ),
    **dict.fromkeys(("Mul", "MulNoNan", "Square", "Cast", "LeakyRelu"), Elementwise(exact=True)),
    **dict.fromkeys(("Xlogy", "Xlog1py", "Xdivy"), Elementwise(4)),
    **dict.fromkeys(("Lgamma", "Digamma", "Igamma", "Igammac"), Elementwise(16, floor=1)),
    **dict.fromkeys(("Erfinv", "Ndtri", "BesselI0e", "BesselI1e"), Elementwise(16)),
    "SquaredDifference": Elementwise(1.5),
    **dict.fromkeys(
        ("RealDiv", "Div", "DivNoNan", "Reciprocal", "Inv", "Softsign"),
        Elementwise(2.5, shader=_ulps(2.5)),
    ),
    "Sqrt": Elementwise(3, shader=_ulps(4.5)),
    "Rsqrt": Elementwise(2, shader=_ulps(2)),
    "Exp": Elementwise(3, shader=lambda x, y, u: 2 * u * _exp_ulps(x[0]) * tf.abs(y)),
    "Expm1": Elementwise(3, shader=lambda x, _, u: 2 * u * _exp_ulps(x[0]) * tf.exp(x[0])),
    "Log": Elementwise(3, shader=lambda x, y, u: _log(x[0], y, u)),
    "Log1p": Elementwise(2, shader=lambda x, y, u: _log(1 + x[0], y, u)),
    "Pow": Elementwise(16, shader=_power),
    "Sin": Elementwise(4, shader=_absolute(2.0**-11)),
    "Cos": Elementwise(4, shader=_absolute(2.0**-11)),
    "Tan": Elementwise(5, shader=_tangent),
    "Asin": Elementwise(4, shader=_absolute(6.81e-5)),
    "Acos": Elementwise(4, shader=_absolute(6.81e-5)),
    "Atan": Elementwise(5, shader=_ulps(4096)),
    "Atan2": Elementwise(6, shader=_ulps(4096)),
    "Sinh": Elementwise(4, shader=_hyperbolic),
    "Cosh": Elementwise(4, shader=_hyperbolic),
    "Tanh": Elementwise(5, shader=_absolute(1e-5)),
    **dict.fromkeys(("Asinh", "Acosh", "Atanh"), Elementwise(5, shader=_absolute(2.0**-21))),
    "Erf": Elementwise(16, shader=_error_function),
    "Erfc": Elementwise(16, shader=_error_function),
    # exp, a sum and a division, in the ULPs of each.
    "Sigmoid": Elementwise(6, shader=_sigmoid),
    # log(1 + exp(x)), in which half a unit of the 1 is lost twice: by the sum, and by the log.
    "Softplus": Elementwise(6, floor=1 / 6, shader=_exp_of_negative),
    "SigmoidGrad": Elementwise(2),
    "TanhGrad": Elementwise(2),
    "SqrtGrad": Elementwise(3),
    "RsqrtGrad": Elementwise(4),
}


def _attr_axis(transposed: str, plain: int, turned: int) -> Any:
    def terms(inputs: list[Tensor], attr: Any) -> Tensor:
        return tf.shape(inputs[0])[turned if attr[transposed].b else plain]

    return terms


def _filter_terms(position: int, channel: int) -> Any:
    """How many weights of a filter meet in one output, whose channels are its axis `channel`."""

    def terms(inputs: list[Tensor], _: Any) -> Tensor:
        shape = tf.shape(inputs[position])
        return tf.reduce_prod(shape) // tf.maximum(shape[channel], 1)

    return terms


def _depthwise_terms(inputs: list[Tensor], _: Any) -> Tensor:
    return tf.reduce_prod(tf.shape(inputs[1])[:2])


def _reduced_terms(inputs: list[Tensor], _: Any) -> Tensor:
    axes = tf.reshape(inputs[1], [-1])
    rank = tf.rank(inputs[0])
    axes = tf.math.floormod(tf.cast(axes, tf.int32), tf.maximum(rank, 1))
    return tf.reduce_prod(tf.gather(tf.shape(inputs[0]), axes))


def _cumulated_terms(inputs: list[Tensor], _: Any) -> Tensor:
    return tf.shape(inputs[0])[tf.cast(inputs[1], tf.int32)]


def _pooled_terms(_: list[Tensor], attr: Any) -> Tensor:
    count = 1
    for size in attr["ksize"].list.i:
        count *= int(size)
    return tf.constant(count)


def _one_term(_: list[Tensor], __: Any) -> Tensor:
    return tf.constant(1)


def _all_terms(inputs: list[Tensor], _: Any) -> Tensor:
    return tf.size(inputs[0])


def _all_rows(inputs: list[Tensor], _: Any) -> Tensor:
    return tf.size(inputs[1])


def _scattered_terms(inputs: list[Tensor], _: Any) -> Tensor:
    """As many as there are updates: all of them may meet in one place."""
    indices = inputs[0] if inputs[0].dtype.is_integer else inputs[1]
    return tf.reduce_prod(tf.shape(indices)[:-1])


def _einsum_terms(inputs: list[Tensor], attr: Any) -> Tensor:
    """The sizes of the labels that the output does not have."""
    left, right = attr["equation"].s.decode().replace(" ", "").split("->")
    sizes: dict[str, Tensor] = {}
    for labels, array in zip(left.split(","), inputs, strict=True):
        before, _, after = labels.partition("...")
        shape = tf.shape(array)
        sizes |= {label: shape[n] for n, label in enumerate(before)}
        sizes |= {label: shape[n - len(after)] for n, label in enumerate(after)}
    count = tf.constant(1)
    for label in sorted(set(sizes) - set(right)):
        count *= sizes[label]
    return count


CONTRACTIONS: dict[str, Contraction] = {
    "MatMul": Contraction(_attr_axis("transpose_a", 1, 0), 1),
    **dict.fromkeys(
        ("BatchMatMul", "BatchMatMulV2", "BatchMatMulV3"),
        Contraction(_attr_axis("adj_x", -1, -2), 1),
    ),
    **dict.fromkeys(("Conv2D", "Conv3D"), Contraction(_filter_terms(1, -1), 1)),
    "DepthwiseConv2dNative": Contraction(_depthwise_terms, 1),
    **dict.fromkeys(
        ("Conv2DBackpropInput", "Conv3DBackpropInputV2"), Contraction(_filter_terms(1, -2), 1)
    ),
    **dict.fromkeys(
        (
            *("Conv2DBackpropFilter", "Conv3DBackpropFilterV2"),
            *("DepthwiseConv2dNativeBackpropFilter",),
        ),
        Contraction(_filter_terms(2, -1), 2),
    ),
    "DepthwiseConv2dNativeBackpropInput": Contraction(_depthwise_terms, 1),
    "Einsum": Contraction(_einsum_terms),
    **dict.fromkeys(("Sum", "Prod"), Contraction(_reduced_terms)),
    "Mean": Contraction(_reduced_terms, ulps=2.5),
    **dict.fromkeys(("Cumsum", "Cumprod"), Contraction(_cumulated_terms)),
    **dict.fromkeys(("UnsortedSegmentSum", "SegmentSum", "SegmentMean"), Contraction(_all_rows)),
    "ScatterNd": Contraction(_scattered_terms, 1),
    **dict.fromkeys(("TensorScatterAdd", "TensorScatterSub"), Contraction(_scattered_terms, 2)),
    "L2Loss": Contraction(_all_terms),
    # floor(a / b), which steps where the quotient is rounded.
    **dict.fromkeys(("FloorDiv", "FloorMod"), Contraction(_one_term)),
    "AvgPool": Contraction(_pooled_terms, ulps=2.5),
    "BiasAddGrad": Contraction(_filter_terms(0, -1)),
}


def _below_largest(x: Tensor) -> Tensor:
    return x - tf.reduce_max(x, axis=-1, keepdims=True)


def _logits(x: Tensor, u: float) -> Tensor:
    """What is taken to the power is the distance from the largest, which is rounded."""
    return u * tf.abs(_below_largest(x))


def _exponent(x: Tensor, u: float) -> Tensor:
    """`exp(x) - 1` for negative x, in which the 1 is what rounding is relative to."""
    return u * tf.cast(x < 0, x.dtype)


COMPOSITE: dict[str, Composite] = {
    "Softmax": Composite(_logits, 6, shader=_softmax),
    "LogSoftmax": Composite(_logits, 6, floor=1, shader=_absolute(2.0**-20)),
    "Elu": Composite(_exponent, 3, shader=_exp_of_negative),
    "Selu": Composite(_exponent, 3, shader=_exp_of_negative),
}

Row = Elementwise | Contraction | Composite
TABLE: dict[str, Row] = {**ELEMENTWISE, **CONTRACTIONS, **COMPOSITE}
SHADED = {name for name, row in TABLE.items() if not isinstance(row, Contraction) and row.shader}

# What gives back values that it was given, or counts, compares and decides.
EXACT = frozenset(
    (
        *("Abs", "Neg", "Sign", "Floor", "Ceil", "Round", "Rint", "Relu", "Relu6", "ReluGrad"),
        *("Relu6Grad", "Maximum", "Minimum", "Max", "Min", "ArgMax", "ArgMin", "MaxPool"),
        *("MaxPoolGrad", "MaxPool3D", "MaxPool3DGrad", "MaxPoolWithArgmax", "ClipByValue"),
        *("Identity", "IdentityN", "Snapshot", "StopGradient", "PreventGradient", "Bitcast"),
        *("CheckNumerics", "EnsureShape", "Const", "Placeholder", "PlaceholderWithDefault"),
        *("Reshape", "Squeeze", "ExpandDims", "Transpose", "ConjugateTranspose", "Tile"),
        *("BroadcastTo", "Concat", "ConcatV2", "ConcatOffset", "Pack", "Unpack", "Split"),
        *("SplitV", "Slice", "StridedSlice", "StridedSliceGrad", "Gather", "GatherV2"),
        *("GatherNd", "ResourceGather", "Pad", "PadV2", "MirrorPad", "ReverseV2"),
        *("ReverseSequence", "Roll", "SpaceToBatchND", "BatchToSpaceND", "SpaceToBatch"),
        *("BatchToSpace", "SpaceToDepth", "DepthToSpace", "ExtractImagePatches", "OneHot"),
        *("Select", "SelectV2", "Where", "Switch", "Merge", "Enter", "Exit", "NextIteration"),
        *("RefSwitch", "Fill", "ZerosLike", "OnesLike", "Range", "Diag", "DiagPart"),
        *("MatrixDiag", "MatrixDiagV2", "MatrixDiagV3", "MatrixDiagPart", "MatrixDiagPartV2"),
        *("MatrixDiagPartV3", "MatrixSetDiag", "MatrixSetDiagV2", "MatrixSetDiagV3"),
        *("MatrixBandPart", "TopK", "TopKV2", "Unique", "UniqueV2", "DynamicPartition"),
        *("DynamicStitch", "ParallelDynamicStitch", "TensorScatterUpdate", "TensorScatterMax"),
        *("TensorScatterMin", "UnsortedSegmentMax", "UnsortedSegmentMin", "SegmentMax"),
        *("SegmentMin", "ResizeNearestNeighbor", "NextAfter", "Real", "Imag", "FakeParam"),
        *("ReadVariableOp", "DeepCopy", "TensorListGetItem", "TensorListStack"),
        *("TensorListGather", "TensorListConcat", "TensorListConcatV2", "TensorListPopBack"),
        *("TensorArrayReadV3", "TensorArrayGatherV3", "TensorArrayConcatV3"),
    )
)
UNLISTED = Elementwise(4)


def row(op: str) -> Row | None:
    """The rule for an op of float results; None for one that is exact."""
    return None if op in EXACT else TABLE.get(op, UNLISTED)
