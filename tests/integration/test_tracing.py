"""Traces are counted, and only a declared or traced signature is exported."""

import numpy as np
import pytest
import tensorflow as tf

import portproof
from portproof.bundle.bundle import Bundle
from portproof.bundle.errors import ExportError
from portproof.reporting.bundle_text import bundle_text
from portproof.sources.functions import traced_function
from portproof.sources.modules import from_module


def test_my_func_is_traced_once_for_each_signature() -> None:
    @tf.function
    def my_func(x: tf.Tensor) -> tf.Tensor:
        return tf.reduce_sum(x)

    assert traced_function("my_func", my_func).traces == 0
    assert int(my_func(tf.constant([31, 1, 4]))) == 36
    assert traced_function("my_func", my_func).traces == 1
    assert float(my_func(tf.constant([8.0, 11.8, 14.3]))) == pytest.approx(34.1)
    my_func(tf.constant([1, 2, 3]))
    my_func(tf.constant([1.0, 2.0, 3.0]))
    traced = traced_function("my_func", my_func)
    assert traced.traces == 2
    assert traced.signatures == ("(x: int32[3])", "(x: float32[3])")


def test_show_prints_signatures_and_traces(bundles: dict[str, Bundle]) -> None:
    text = "\n".join(bundle_text(bundles["my_module"]))
    assert "multiply(x: int32[?]) -> (output_0: int32[?])" in text
    assert "multiply was traced once: (x: int32[?])" in text


class Undeclared(tf.Module):
    @tf.function
    def double(self, x: tf.Tensor) -> tf.Tensor:
        return 2 * x


def test_a_function_without_a_signature_is_refused_with_the_way_to_declare_one() -> None:
    with pytest.raises(ExportError, match=r"declares no signature and was never traced.*input_sig"):
        portproof.export(Undeclared(), "unused", inputs={"x": np.ones(3, np.float32)})


def test_a_traced_function_has_the_signature_it_was_traced_for() -> None:
    module = Undeclared()
    module.double(tf.constant([1.0, 2.0]))
    source = from_module("double", module, {"x": np.ones(2, np.float32)})
    assert str(source.signatures["double"]) == "(x: float32[2]) -> (output_0: float32[2])"
    module.double(tf.constant([1, 2]))
    with pytest.raises(ExportError, match="was traced for 2 signatures"):
        from_module("double", module, {"x": np.ones(2, np.float32)})
