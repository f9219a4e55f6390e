"""Tensors in an artifact's own form, and back; and which forms are recognised."""

import numpy as np
import pytest

from portproof.bundle.errors import UsageError
from portproof.bundle.forms import Form, translated
from portproof.bundle.signature import Signature, TensorSpec
from portproof.bundle.tensors import Arrays
from portproof.checking.interface import Interface, OwnTensor
from portproof.checking.matching import match

FLOATS = TensorSpec(dtype="float32", shape=(None, 2, 3, 4))


def test_axes_go_there_and_back() -> None:
    form = Form(axes=(0, 3, 1, 2))
    array = np.arange(48, dtype=np.float32).reshape(2, 2, 3, 4)
    assert form.own(array).shape == (2, 4, 2, 3)
    np.testing.assert_array_equal(form.signatures(form.own(array), FLOATS), array)


def test_integers_of_a_scale_go_there_and_back() -> None:
    form = Form(dtype="int8", scale=0.5, zero_point=-3)
    array = np.array([0.0, 1.0, -0.5, 1e9, np.nan], np.float32)
    assert form.own(array).tolist() == [-3, -1, -4, 127, -3]
    back = form.signatures(form.own(array[:3]), TensorSpec(dtype="float32", shape=(3,)))
    np.testing.assert_array_equal(back, array[:3])


def test_integers_that_do_not_fit_are_no_others() -> None:
    narrow = TensorSpec(dtype="int32", shape=(1,))
    with pytest.raises(ValueError, match="int32 does not hold"):
        Form(dtype="int64").signatures(np.array([2**32 + 5]), narrow)
    with pytest.raises(ValueError, match="does not hold these integers"):
        Form(dtype="int32").own(np.array([2**32 + 5]))


def test_what_takes_one_row_is_called_for_each() -> None:
    """By an output without the axis of the rows, too."""

    def double(inputs: Arrays) -> Arrays:
        assert inputs["own"].shape == (1, 2)
        return {"y": 2 * inputs["own"][0]}

    spec = TensorSpec(dtype="float32", shape=(None, 2))
    outputs = {"y": Form(one_row=True)}
    call = translated(double, ({"x": "own"}, {"y": "y"}), ({}, outputs), {"y": spec})
    rows = np.arange(6, dtype=np.float32).reshape(3, 2)
    np.testing.assert_array_equal(call({"x": rows})["y"], 2 * rows)


def floats(*shape: int | None) -> OwnTensor:
    return OwnTensor("float32", shape)


def test_many_tensors_that_do_not_fit_are_refused_at_once() -> None:
    specs = {f"x{n}": TensorSpec(dtype="float32", shape=(None, 4)) for n in range(12)}
    specs["odd"] = TensorSpec(dtype="float32", shape=(None, 9))
    signature = Signature(inputs=specs, outputs={"y": specs["x0"]})
    own = {f"input_{n}": floats(None, 4) for n in range(13)}
    interface = Interface("", own, {"y": floats(None, 4)})
    with pytest.raises(UsageError, match="its inputs do not fit"):
        match("serving_default", signature, interface, {}, "file")


def test_a_scalar_is_no_vector_and_an_extra_output_no_model() -> None:
    scalar = TensorSpec(dtype="float32", shape=())
    signature = Signature(inputs={"x": scalar}, outputs={"y": scalar})
    with pytest.raises(UsageError, match="in the model and"):
        match("s", signature, Interface("s", {"x": floats(None)}, {"y": floats()}), {}, "file")
    two = Interface("s", {"x": floats()}, {"y": floats(), "z": floats()})
    with pytest.raises(UsageError, match="its outputs do not fit"):
        match("s", signature, two, {}, "file")
