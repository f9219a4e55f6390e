"""The oracle and its rounding bounds: correct programs stay within them, wrong ones do not."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from portproof.bundle.float_format import as_stored
from portproof.comparing.judging import MEAN_SHARE
from portproof.oracle import op_table, rounding
from portproof.oracle.oracle import Oracle
from portproof.oracle.perturbing import perturbed
from portproof.oracle.raising import raised

Function = Callable[[Any], Any]


def oracle(function: Function, shape: list[int | None], dtype: Any = tf.float32) -> Oracle:
    spec = tf.TensorSpec(shape, dtype, name="x")
    traced = tf.function(lambda x: {"y": function(x)}, input_signature=[spec], autograph=False)
    return Oracle(traced.get_concrete_function())


def data(*shape: int) -> np.ndarray:
    return np.random.default_rng(5).normal(size=shape).astype(np.float32)


def bound(function: Function, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A function's outputs in float64, and how far rounding may move them."""
    deviations = oracle(function, [None, *x.shape[1:]]).deviations({"x": x})
    return deviations.exact["y"], deviations.correct["y"]


def loop(x: Any) -> Any:
    """The mean of x and tanh x, nine times, in a body that is a library function."""
    return tf.while_loop(lambda n, _: n < 9, lambda n, y: (n + 1, (y + tf.tanh(y)) / 2), [0, x])[1]


KERNEL = data(64, 8)
FUNCTIONS: dict[str, Function] = {
    "product": lambda x: x @ KERNEL,
    "sum": lambda x: tf.reduce_sum(x, axis=1),
    "softmax": tf.nn.softmax,
    "log softmax": tf.nn.log_softmax,
    "moments": lambda x: (x - tf.reduce_mean(x, 1, True)) / tf.math.reduce_std(x, 1, True),
    "einsum": lambda x: tf.einsum("...i,ij->...j", x, KERNEL),
    # Below 2^-12 a thousandth of it is less than what is lost of the 1/2 in it.
    "sigmoid": lambda x: tf.sigmoid(5 * x),
    "elementary": lambda x: tf.exp(x) + tf.sin(3 * x) * tf.math.log1p(tf.abs(x)) ** 1.5,
    "loop": loop,
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_float32_in_any_order_is_within_the_bound(name: str) -> None:
    """TensorFlow's own float32, and NumPy's sequential sum with its terms in another order."""
    x = data(300, 64)
    exact, allowed = bound(FUNCTIONS[name], x)
    error = np.abs(FUNCTIONS[name](tf.constant(x)).numpy() - exact)
    assert (error <= np.maximum(allowed, np.spacing(np.abs(exact).astype(np.float32)))).all()
    assert error.max() > 0, "float32 rounds, or nothing was tested"
    if name == "sum":
        for order in (slice(None), slice(None, None, -1), np.argsort(x[0])):
            sums = np.add.accumulate(x[:, order], axis=1)[:, -1]
            assert (np.abs(sums - exact) <= allowed).all()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_an_error_of_a_thousandth_is_beyond_the_bound(name: str) -> None:
    exact, allowed = bound(FUNCTIONS[name], data(300, 64))
    assert (np.abs(exact) * 1e-3 > allowed).mean() > 0.9


def test_a_sample_without_perturbation_equals_the_oracle() -> None:
    loop_oracle = oracle(loop, [None])
    x = data(50)
    session = loop_oracle._perturbed
    session.run("portproof_assign", {"portproof_state:0": [1, 0, 0]})
    fetched = session.run(loop_oracle._outputs, loop_oracle._feed({"x": x}))
    assert np.array_equal(fetched["y"], loop_oracle({"x": x})["y"])


def test_each_sample_differs_and_is_reproducible() -> None:
    product_oracle, x = oracle(FUNCTIONS["product"], [None, 64]), data(5, 64)
    session = product_oracle._perturbed

    def sample(salt: int) -> np.ndarray:
        session.run("portproof_assign", {"portproof_state:0": [salt, rounding.AMPLITUDE, 0.0]})
        y: np.ndarray = session.run(product_oracle._outputs, product_oracle._feed({"x": x}))["y"]
        return y

    assert np.array_equal(sample(1), sample(1))
    assert not np.array_equal(sample(1), sample(2))


def test_exact_arithmetic_has_a_bound_of_zero() -> None:
    """Sums of whole numbers, lookups and moved values: ids held as floats stay exact."""
    x = np.arange(24, dtype=np.float32).reshape(6, 4)
    for function in (
        lambda x: tf.reduce_sum(x, axis=1) - 3 * x[:, 0],
        lambda x: tf.gather(tf.constant(data(30, 2)), tf.cast(x + 1, tf.int32)),
        lambda x: tf.transpose(tf.nn.relu(x)),
        lambda x: x @ tf.constant(np.eye(4, dtype=np.float32)[::-1].copy()),
    ):
        assert not bound(function, x)[1].any()


def test_small_outputs_beside_huge_ones_have_their_own_bound() -> None:
    scale = tf.constant([1e20, 1e-20])
    exact, allowed = bound(lambda x: x * scale, data(9, 2))
    assert (allowed < 1e-5 * np.abs(exact)).all()


def test_cancellation_widens_the_bound() -> None:
    _, allowed = bound(lambda x: (x + 1e4) - 1e4, data(100, 1))
    assert (allowed > 1e-4).all()
    assert (allowed < 1e-2).all()


@pytest.mark.parametrize("scaled", [False, True])
def test_a_sum_may_begin_with_its_bias(scaled: bool) -> None:
    # As XNNPACK adds it up: every partial sum is of the bias's size, and rounded as such.
    kernel, offset = (data(1024, 4) / 1000).astype(np.float32), np.full(4, 1.7, np.float32)
    factor = np.full(4, 0.8, np.float32) if scaled else np.ones(4, np.float32)
    x = data(200, 1024)
    total = np.tile(offset, (len(x), 1))
    for n in range(1024):
        total += x[:, n : n + 1] * (kernel[n] * factor)
    exact, allowed = bound(lambda x: (x @ kernel) * factor + offset, x)
    assert (np.abs(total - exact) <= allowed).all()
    # What is added to it that is no constant is not in the sum.
    summed, allowed_sum = bound(lambda x: x @ kernel + x[:, :4], x)
    assert allowed_sum.mean() < allowed.mean() / 3
    assert summed.shape == exact.shape


def test_at_a_step_the_bound_spans_both_sides() -> None:
    x = np.array([[0.1, 0.2, 0.3], [1, 2, 3]], np.float32)
    third = tf.constant(np.full((3, 1), 1 / 3, np.float32))
    exact, allowed = bound(lambda x: tf.floor(5 * x @ third), x)
    assert allowed[0, 0] == 1, "five times the mean of these is 1, up to rounding"
    assert exact[1, 0] in (9, 10)


def test_float16_has_a_bound_of_its_own_precision() -> None:
    def product(x: Any) -> Any:
        return tf.cast(tf.cast(x, tf.float16) * tf.constant(1.5, tf.float16), tf.float32)

    x = data(50)
    exact, allowed = bound(product, x[:, None])
    error = np.abs(product(tf.constant(x[:, None])).numpy() - exact)
    assert (error <= allowed).all()
    assert error.max() > 1e-5
    assert (allowed < np.abs(exact) * 2**-7).all()


def test_some_functions_have_a_wider_bound_in_shaders() -> None:
    sin_oracle = oracle(tf.sin, [None])
    assert sin_oracle.shader_ops == ("Sin",)
    deviations = sin_oracle.deviations({"x": data(50)})
    assert deviations.shader
    assert (deviations.shader["y"] >= 2.0**-11).all()
    assert (deviations.correct["y"] < 1e-5).all()
    assert oracle(lambda x: x + 1, [None]).deviations({"x": data(5)}).shader is None


def test_every_op_of_the_table_is_perturbed() -> None:
    """Every op that has a rule, each in its own graph, is perturbed and none is lost."""
    ops = {node.op for function in EVERY for node in _frozen(function).node} & set(op_table.TABLE)
    assert ops == set(op_table.TABLE)
    for function in EVERY:
        frozen = _frozen(function)
        calls = [n for n in perturbed(frozen, set()).node if n.op == "StatefulPartitionedCall"]
        assert calls, function
        assert len(raised(frozen).node) == len(frozen.node)
        op_oracle = Oracle(_concrete(function))
        x = 0.1 + np.abs(data(*SHAPE)) / 4
        deviations = op_oracle.deviations({"x": x})
        assert np.isfinite(deviations.correct["y"]).all()
        assert deviations.correct["y"].max() > 0, function


SHAPE = (2, 6, 6, 3)
FILTER = data(2, 2, 3, 4)


def _concrete(function: Function) -> Any:
    spec = tf.TensorSpec(SHAPE, tf.float32, name="x")
    traced = tf.function(lambda x: {"y": function(x)}, input_signature=[spec], autograph=False)
    return traced.get_concrete_function()


def _frozen(function: Function) -> Any:
    return Oracle(_concrete(function)).graph


def _gradient(function: Function) -> Function:
    def gradient(x: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = function(x)
        return tape.gradient(y, x)

    return gradient


def _filter_gradient(function: Callable[[Any, Any], Any], kernel: np.ndarray) -> Function:
    def gradient(x: Any) -> Any:
        weights = tf.constant(kernel)
        with tf.GradientTape() as tape:
            tape.watch(weights)
            y = function(x, weights)
        return tape.gradient(y, weights, output_gradients=y)

    return gradient


def _conv(x: Any, kernel: Any) -> Any:
    return tf.nn.conv2d(x, kernel, 1, "SAME")


def _depthwise(x: Any, kernel: Any) -> Any:
    return tf.nn.depthwise_conv2d(x, kernel, [1, 1, 1, 1], "SAME")


def _conv3d(x: Any, kernel: Any) -> Any:
    return tf.nn.conv3d(x[..., None], kernel, [1, 1, 1, 1, 1], "SAME")


RAW = tf.raw_ops
IDS = np.arange(int(np.prod(SHAPE)), dtype=np.int32) % 3
KERNEL3D = data(2, 2, 2, 1, 2)
ONES = np.ones(3, np.float32)
EVERY: list[Function] = [
    *(tf.exp, tf.math.expm1, tf.math.log, tf.math.log1p, tf.sin, tf.cos, tf.tan, tf.asin, tf.acos),
    *(tf.atan, tf.sinh, tf.cosh, tf.tanh, tf.asinh, tf.atanh, tf.sigmoid, tf.nn.softplus, tf.sqrt),
    *(tf.math.rsqrt, tf.math.erf, tf.math.erfc, tf.nn.softmax, tf.nn.log_softmax, tf.nn.softsign),
    *(tf.square, tf.math.reciprocal, tf.math.lgamma, tf.math.digamma, tf.math.erfinv),
    *(tf.math.ndtri, tf.math.bessel_i0e, tf.math.bessel_i1e, tf.nn.l2_loss),
    lambda x: tf.nn.leaky_relu(-x),
    *(lambda x, f=f: tf.abs(f(x)) for f in (tf.signal.rfft, tf.signal.rfft2d, tf.signal.rfft3d)),
    *(
        lambda x, f=f: tf.math.real(f(tf.cast(x, tf.complex64)))
        for f in (tf.signal.fft, tf.signal.fft2d, tf.signal.fft3d)
    ),
    *(
        lambda x, f=f: tf.math.real(f(tf.cast(x, tf.complex64)))
        for f in (tf.signal.ifft, tf.signal.ifft2d, tf.signal.ifft3d)
    ),
    *(
        lambda x, f=f: f(tf.cast(x, tf.complex64))
        for f in (tf.signal.irfft, tf.signal.irfft2d, tf.signal.irfft3d)
    ),
    lambda x: tf.math.xlogy(x, x + 1),
    lambda x: tf.math.xlog1py(x, x),
    lambda x: tf.math.xdivy(x, x + 1),
    lambda x: tf.math.igamma(x, x + 1),
    lambda x: tf.math.igammac(x, x + 1),
    lambda x: tf.math.floordiv(100 * x, 0.001),
    lambda x: tf.math.cumprod(x, axis=1),
    lambda x: tf.math.unsorted_segment_sum(tf.reshape(x, [-1]), IDS, 3),
    lambda x: tf.math.segment_sum(tf.reshape(x, [-1]), np.sort(IDS)),
    lambda x: tf.math.segment_mean(tf.reshape(x, [-1]), np.sort(IDS)),
    lambda x: tf.scatter_nd(IDS[:, None], tf.reshape(x, [-1]), [3]),
    lambda x: tf.tensor_scatter_nd_add(x[0, 0, 0], IDS[:, None], tf.reshape(x, [-1])),
    lambda x: tf.tensor_scatter_nd_sub(x[0, 0, 0], IDS[:, None], tf.reshape(x, [-1])),
    lambda x: tf.acosh(x + 1),
    lambda x: tf.nn.elu(-x),
    lambda x: tf.nn.selu(-x),
    lambda x: x + 0.3,
    lambda x: RAW.Add(x=x, y=x / 3),
    lambda x: x - 0.3,
    lambda x: tf.add_n([x, x / 3, x / 7]),
    lambda x: x * 0.3,
    lambda x: x / 3,
    lambda x: RAW.Div(x=x, y=tf.constant(3.0)),
    lambda x: RAW.Inv(x=x),
    lambda x: tf.math.divide_no_nan(x, x + 1),
    lambda x: tf.math.multiply_no_nan(x, x + 1),
    lambda x: x**2.5,
    lambda x: tf.atan2(x, x + 1),
    lambda x: tf.math.floormod(x, 0.3),
    lambda x: tf.cast(tf.cast(x, tf.float16), tf.float32),
    lambda x: tf.math.squared_difference(x, 0.3),
    lambda x: tf.nn.bias_add(x, ONES / 3),
    lambda x: tf.reduce_sum(x, [1, 2]),
    lambda x: tf.reduce_mean(x, [-1]),
    lambda x: tf.reduce_prod(x, [1]),
    lambda x: tf.cumsum(x, axis=1),
    lambda x: tf.reshape(x, [-1, 3]) @ data(3, 2),
    lambda x: tf.matmul(x, data(2, 6, 3, 2)),
    lambda x: RAW.BatchMatMul(x=x, y=tf.constant(data(2, 6, 3, 2))),
    lambda x: RAW.BatchMatMulV3(x=x, y=tf.constant(data(2, 6, 3, 2)), Tout=tf.float32),
    lambda x: tf.einsum("bhwc,cd->bhwd", x, data(3, 2)),
    lambda x: _conv(x, FILTER),
    lambda x: _depthwise(x, data(2, 2, 3, 2)),
    lambda x: _conv3d(x, KERNEL3D),
    lambda x: tf.nn.conv2d_transpose(x, data(2, 2, 4, 3), [2, 12, 12, 4], 2),
    lambda x: tf.nn.avg_pool2d(x, 2, 2, "SAME"),
    _filter_gradient(_conv, FILTER),
    _filter_gradient(_depthwise, data(2, 2, 3, 2)),
    _filter_gradient(_conv3d, KERNEL3D),
    _gradient(lambda x: _depthwise(x, data(2, 2, 3, 2))),
    _gradient(lambda x: _conv3d(x, KERNEL3D)),
    _gradient(tf.sigmoid),
    _gradient(tf.tanh),
    _gradient(tf.sqrt),
    _gradient(tf.math.rsqrt),
    _filter_gradient(tf.nn.bias_add, ONES),
]


def test_the_mean_share_is_that_of_roundings_in_one_direction() -> None:
    assert 1 / (2 * rounding.AMPLITUDE) == MEAN_SHARE


def test_sizes_and_positions_are_not_perturbed() -> None:
    """Arithmetic on a tensor's shape or positions, not on its values, is not rounded."""
    x = data(6, 9)
    for function in (
        lambda x: x[:, : tf.cast(tf.cast(tf.shape(x)[1], tf.float32) * 0.7, tf.int32)],
        lambda x: tf.gather(x, tf.cast(tf.floor(tf.range(3.0) * 9.0 / 3.0), tf.int32), axis=1),
        lambda x: tf.boolean_mask(x, x * 1.1 >= x),  # another shape in each sample
    ):
        assert not bound(function, x)[1].any()


def test_samples_that_fail_are_ignored() -> None:
    def asserted(x: Any) -> Any:
        with tf.control_dependencies([tf.debugging.assert_less_equal(tf.nn.softmax(x), 1.0)]):
            return tf.nn.softmax(x)

    exact, allowed = bound(asserted, data(20, 3) * 20)
    assert np.isfinite(allowed).all()
    assert exact.shape == allowed.shape


def test_a_sample_that_does_not_terminate_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    def root(x: Any) -> Any:
        """Newton's iteration to a precision that no perturbed run reaches."""
        return tf.while_loop(
            lambda y: tf.reduce_max(tf.abs(y * y - x)) > 1e-13,
            lambda y: [(y + x / y) / 2],
            [tf.ones_like(x)],
        )[0]

    monkeypatch.setattr("portproof.oracle.oracle.MIN_SECONDS", 1)
    monkeypatch.setattr("portproof.oracle.oracle.MAX_SLOWDOWN", 1)
    exact, _ = bound(root, np.abs(data(5, 2)) + np.float32(0.3))
    assert np.isfinite(exact).all()


def test_a_function_marked_for_xla_is_evaluated_too() -> None:
    compiled = tf.function(lambda x: tf.exp(x), jit_compile=True, autograph=False)
    exact, allowed = bound(lambda x: compiled(x) * 3, data(20, 2))
    assert ((allowed > 0) & (allowed < 1e-5 * exact)).all()


def test_whole_numbers_too_large_for_the_dtype_are_rounded() -> None:
    """Every float32 beyond 2^24 is whole, but a sum of them is rounded like any other."""
    x = data(50, 1000) * np.float32(2**40)
    exact, allowed = bound(lambda x: tf.reduce_sum(x, axis=1), x)
    for order in (slice(None), slice(None, None, -1)):
        assert (np.abs(np.add.accumulate(x[:, order], axis=1)[:, -1] - exact) <= allowed).all()


def test_a_float64_model_has_bounds_in_its_own_range() -> None:
    exp_oracle = oracle(lambda x: tf.exp(-700 * tf.cast(x, tf.float64)), [None])
    deviations = exp_oracle.deviations({"x": np.full(3, 0.9, np.float32)})
    stored = as_stored(deviations.correct["y"], np.dtype(np.float64))
    assert (stored > 0).all()
    assert (stored < deviations.exact["y"] * 1e-10).all()
    assert as_stored(1e300, np.dtype(np.float32)) == np.finfo(np.float32).max


def test_a_models_bound_separates_float32_from_a_fault() -> None:
    """A whole Keras model: float32 errs by less than half the bound, a fault by more."""
    x = keras.Input((12, 4), name="x")
    hidden = keras.layers.LSTM(8, return_sequences=True)(x)
    hidden = keras.layers.LayerNormalization()(hidden + keras.layers.Dense(8)(x))
    model = keras.Model(x, keras.layers.Dense(3, "tanh")(hidden))
    model.set_weights([data(*w.shape) / 2 for w in model.get_weights()])
    exact, allowed = bound(lambda x: model(x, training=False), data(100, 12, 4))
    error = np.abs(model(data(100, 12, 4), training=False).numpy() - exact)
    assert (error < allowed / 2).all()
    weights = model.get_weights()
    weights[0][0, 0] += 0.01
    model.set_weights(weights)
    wrong = np.abs(model(data(100, 12, 4), training=False).numpy() - exact)
    assert (wrong > allowed).any()


@pytest.mark.parametrize("first", [True, False])
def test_an_infinite_operand_leaves_the_others_their_bounds(first: bool) -> None:
    """log(0) + x, of which a sum of exponentials goes on with the rest of the row."""

    def infinite(x: Any) -> Any:
        log = tf.math.log(tf.nn.relu(x))  # -inf where x is negative
        return tf.reduce_logsumexp(log + x if first else x + log, axis=1)

    spec = tf.TensorSpec([None, 5], tf.float32, name="x")
    function = tf.function(lambda x: {"y": infinite(x)}, input_signature=[spec], autograph=False)
    rows = np.random.default_rng(0).normal(size=(20, 5)).astype(np.float32)
    rows[:, 0] = -1.0
    deviations = Oracle(function.get_concrete_function()).deviations({"x": rows})
    bound, exact = deviations.correct["y"], deviations.exact["y"]
    assert (bound[np.isfinite(exact)] > 0).mean() > 0.9
