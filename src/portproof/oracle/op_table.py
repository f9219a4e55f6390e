"""The table: how far each operation of a graph may be off. rounding.py has the figures' sources."""

from dataclasses import replace
from functools import cache

import tensorflow as tf

from portproof.oracle import shader_errors, term_counts
from portproof.oracle.rules import Composite, Contraction, Elementwise, Rule, Tensor

ELEMENTWISE: dict[str, Elementwise] = {
    **dict.fromkeys(("Add", "AddV2", "Sub", "BiasAdd"), Elementwise(of_operands=True, exact=True)),
    # A sum of several, each partial sum of which may be one that the dtype cannot hold.
    "AddN": Elementwise(of_operands=True),
    **dict.fromkeys(("Mul", "MulNoNan", "Square", "Cast", "LeakyRelu"), Elementwise(exact=True)),
    **dict.fromkeys(("Xlogy", "Xlog1py", "Xdivy"), Elementwise(4)),
    **dict.fromkeys(("Lgamma", "Digamma", "Igamma", "Igammac"), Elementwise(16, floor=1)),
    **dict.fromkeys(("Erfinv", "Ndtri", "BesselI0e", "BesselI1e"), Elementwise(16)),
    "SquaredDifference": Elementwise(1.5),
    **dict.fromkeys(
        ("RealDiv", "Div", "DivNoNan", "Reciprocal", "Inv", "Softsign"),
        Elementwise(2.5, shader=shader_errors.ulps(2.5)),
    ),
    "Sqrt": Elementwise(3, shader=shader_errors.ulps(4.5)),
    "Rsqrt": Elementwise(2, shader=shader_errors.ulps(2)),
    "Exp": Elementwise(3, shader=shader_errors.exp),
    "Expm1": Elementwise(3, shader=shader_errors.exp_minus_1),
    "Log": Elementwise(3, shader=shader_errors.log_of),
    "Log1p": Elementwise(2, shader=shader_errors.log_of_1_plus),
    "Pow": Elementwise(16, shader=shader_errors.power),
    "Sin": Elementwise(4, shader=shader_errors.absolute(2.0**-11)),
    "Cos": Elementwise(4, shader=shader_errors.absolute(2.0**-11)),
    "Tan": Elementwise(5, shader=shader_errors.tangent),
    "Asin": Elementwise(4, shader=shader_errors.absolute(6.81e-5)),
    "Acos": Elementwise(4, shader=shader_errors.absolute(6.81e-5)),
    "Atan": Elementwise(5, shader=shader_errors.ulps(4096)),
    "Atan2": Elementwise(6, shader=shader_errors.ulps(4096)),
    "Sinh": Elementwise(4, shader=shader_errors.hyperbolic),
    "Cosh": Elementwise(4, shader=shader_errors.hyperbolic),
    "Tanh": Elementwise(5, shader=shader_errors.absolute(1e-5)),
    **dict.fromkeys(
        ("Asinh", "Acosh", "Atanh"), Elementwise(5, shader=shader_errors.absolute(2.0**-21))
    ),
    "Erf": Elementwise(16, shader=shader_errors.error_function),
    "Erfc": Elementwise(16, shader=shader_errors.error_function),
    # exp, a sum and a division, in the ULPs of each; or 1/2 + tanh(x / 2) / 2, in which a unit of
    # the 1/2 is lost, half by the tanh and half by the sum: so XLA expands it
    # (logistic_expander.cc), so ONNX Runtime has it (mlas/lib/logistic.cpp), and so had TensorFlow
    # (Eigen's scalar_logistic_op).
    "Sigmoid": Elementwise(6, floor=1 / 12, shader=shader_errors.sigmoid),
    # log(1 + exp(x)), in which half a unit of the 1 is lost twice: by the sum, and by the log.
    "Softplus": Elementwise(6, floor=1 / 6, shader=shader_errors.exp_of_negative),
    "SigmoidGrad": Elementwise(2),
    "TanhGrad": Elementwise(2),
    "SqrtGrad": Elementwise(3),
    "RsqrtGrad": Elementwise(4),
}

CONTRACTIONS: dict[str, Contraction] = {
    "MatMul": Contraction(term_counts.along_axis("transpose_a", 1, 0), 1),
    **dict.fromkeys(
        ("BatchMatMul", "BatchMatMulV2", "BatchMatMulV3"),
        Contraction(term_counts.along_axis("adj_x", -1, -2), 1),
    ),
    **dict.fromkeys(("Conv2D", "Conv3D"), Contraction(term_counts.of_filter(1, -1), 1)),
    "DepthwiseConv2dNative": Contraction(term_counts.of_depthwise_filter, 1),
    **dict.fromkeys(
        ("Conv2DBackpropInput", "Conv3DBackpropInputV2"),
        Contraction(term_counts.of_filter(1, -2), 1),
    ),
    **dict.fromkeys(
        (
            "Conv2DBackpropFilter",
            "Conv3DBackpropFilterV2",
            "DepthwiseConv2dNativeBackpropFilter",
        ),
        Contraction(term_counts.of_filter(2, -1), 2),
    ),
    "DepthwiseConv2dNativeBackpropInput": Contraction(term_counts.of_depthwise_filter, 1),
    "Einsum": Contraction(term_counts.of_einsum),
    **dict.fromkeys(("Sum", "Prod"), Contraction(term_counts.reduced)),
    "Mean": Contraction(term_counts.reduced, ulps=2.5),
    **dict.fromkeys(("Cumsum", "Cumprod"), Contraction(term_counts.cumulated)),
    **dict.fromkeys(
        ("UnsortedSegmentSum", "SegmentSum", "SegmentMean"), Contraction(term_counts.all_rows)
    ),
    "ScatterNd": Contraction(term_counts.scattered, 1),
    **dict.fromkeys(
        ("TensorScatterAdd", "TensorScatterSub"), Contraction(term_counts.scattered, 2)
    ),
    # A transform of n elements is n sums of n products, however an implementation shares them.
    "FFT": Contraction(term_counts.last_axes(1)),
    "FFT2D": Contraction(term_counts.last_axes(2)),
    "FFT3D": Contraction(term_counts.last_axes(3)),
    "IFFT": Contraction(term_counts.last_axes(1)),
    "IFFT2D": Contraction(term_counts.last_axes(2)),
    "IFFT3D": Contraction(term_counts.last_axes(3)),
    **dict.fromkeys(
        ("RFFT", "RFFT2D", "RFFT3D", "IRFFT", "IRFFT2D", "IRFFT3D"),
        Contraction(term_counts.of_length),
    ),
    "L2Loss": Contraction(term_counts.all_elements),
    # floor(a / b), which steps where the quotient is rounded.
    **dict.fromkeys(("FloorDiv", "FloorMod"), Contraction(term_counts.one)),
    "AvgPool": Contraction(term_counts.pooled, ulps=2.5),
    "BiasAddGrad": Contraction(term_counts.of_filter(0, -1)),
}


def _logits(x: Tensor, u: float) -> Tensor:
    """A softmax takes the distance from the largest to the power, and that distance is rounded."""
    return u * tf.abs(shader_errors.below_largest(x))


def _classes(x: Tensor) -> Tensor:
    """A softmax's sum, for each row: its n terms, and the part of them that is equal.

    Equal terms that are added one by one are rounded in the same direction, n u / 2 in the end; an
    untrained classifier has nothing else. As many as are equal is (sum p)^2 / sum p^2; a quarter of
    it, for `AMPLITUDE`, is what is added under the root of n / 9.
    """
    probabilities = tf.nn.softmax(x)
    equal = 1 / tf.reduce_sum(tf.square(probabilities), axis=-1, keepdims=True)
    count = tf.cast(tf.shape(x)[-1], x.dtype)
    return count + 9 * tf.square(equal / 8)


def _exponent(x: Tensor, u: float) -> Tensor:
    """`exp(x) - 1` for negative x, where rounding is relative to the 1."""
    return u * tf.cast(x < 0, x.dtype)


COMPOSITE: dict[str, Composite] = {
    "Softmax": Composite(_logits, 6, terms=_classes, shader=shader_errors.softmax),
    "LogSoftmax": Composite(
        _logits, 6, floor=1, terms=_classes, shader=shader_errors.absolute(2.0**-20)
    ),
    "Elu": Composite(_exponent, 3, shader=shader_errors.exp_of_negative),
    "Selu": Composite(_exponent, 3, shader=shader_errors.exp_of_negative),
}

TABLE: dict[str, Rule] = {**ELEMENTWISE, **CONTRACTIONS, **COMPOSITE}
# The ops of which shaders promise less precision.
SHADER_OPS = {
    name for name, rule in TABLE.items() if not isinstance(rule, Contraction) and rule.shader
}

# Ops that move values, or count, compare and choose: they round nothing.
# fmt: off
EXACT = frozenset({
    "Abs", "Neg", "Sign", "Floor", "Ceil", "Round", "Rint", "Relu", "Relu6", "ReluGrad",
    "Relu6Grad", "Maximum", "Minimum", "Max", "Min", "ArgMax", "ArgMin", "MaxPool", "MaxPoolGrad",
    "MaxPool3D", "MaxPool3DGrad", "MaxPoolWithArgmax", "ClipByValue", "Identity", "IdentityN",
    "Snapshot", "StopGradient", "PreventGradient", "Bitcast", "CheckNumerics", "EnsureShape",
    "Const", "Placeholder", "PlaceholderWithDefault", "Reshape", "Squeeze", "ExpandDims",
    "Transpose", "ConjugateTranspose", "Tile", "BroadcastTo", "Concat", "ConcatV2",
    "ConcatOffset", "Pack", "Unpack", "Split", "SplitV", "Slice", "StridedSlice",
    "StridedSliceGrad", "Gather", "GatherV2", "GatherNd", "ResourceGather", "Pad", "PadV2",
    "MirrorPad", "ReverseV2", "ReverseSequence", "Roll", "SpaceToBatchND", "BatchToSpaceND",
    "SpaceToBatch", "BatchToSpace", "SpaceToDepth", "DepthToSpace", "ExtractImagePatches",
    "OneHot", "Select", "SelectV2", "Where", "Switch", "Merge", "Enter", "Exit", "NextIteration",
    "RefSwitch", "Fill", "ZerosLike", "OnesLike", "Range", "Diag", "DiagPart", "MatrixDiag",
    "MatrixDiagV2", "MatrixDiagV3", "MatrixDiagPart", "MatrixDiagPartV2", "MatrixDiagPartV3",
    "MatrixSetDiag", "MatrixSetDiagV2", "MatrixSetDiagV3", "MatrixBandPart", "TopK", "TopKV2",
    "Unique", "UniqueV2", "DynamicPartition", "DynamicStitch", "ParallelDynamicStitch",
    "TensorScatterUpdate", "TensorScatterMax", "TensorScatterMin", "UnsortedSegmentMax",
    "UnsortedSegmentMin", "SegmentMax", "SegmentMin", "ResizeNearestNeighbor", "NextAfter",
    "Real", "Imag", "Complex", "Conj", "FakeParam", "ReadVariableOp", "DeepCopy",
    "TensorListGetItem", "TensorListStack", "TensorListGather", "TensorListConcat",
    "TensorListConcatV2", "TensorListPopBack", "TensorArrayReadV3", "TensorArrayGatherV3",
    "TensorArrayConcatV3",
})
# fmt: on
UNLISTED = Elementwise(4)


# Of these the results of whole numbers are whole, and of others rounded like any.
_COMPUTED_RANGES = frozenset({"Range", "LinSpace"})


def rule_of(op: str) -> Rule | None:
    """The rule for an op with float results; None for one that is exact."""
    return None if op in EXACT else TABLE.get(op, UNLISTED)


@cache
def rule_of_table(op: str) -> Rule | None:
    """The rule for an op that depends on no value of an input or a weight: a position, a table.

    Nothing is moved where the dtype can hold the result: a size or a whole position is the same in
    every implementation.
    """
    if op in EXACT and op not in _COMPUTED_RANGES:
        return None
    rule = TABLE.get(op, UNLISTED)
    return replace(rule, exact=True) if isinstance(rule, Elementwise) else rule
