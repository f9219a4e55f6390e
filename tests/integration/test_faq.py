"""The errors in docs/troubleshooting.md are shown word for word: each is provoked here."""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import portproof
from portproof.bundle.bundle import Bundle
from portproof.bundle.errors import PortproofError
from tests.conftest import REPOSITORY

PAGE = (REPOSITORY / "docs" / "troubleshooting.md").read_text()
# Messages of a runtime or a report, which are not raised as errors here.
OTHER_MESSAGES = {
    "lacks Conv2DBackpropFilter",
    "no more the model: its SQNR is 0 dB, and 7 dB are wanted: the output's step 1/256 is 3.9 "
    "times its typical value: export the logits, or keep the last layer in floats (--keep-float)",
    "keras-torch is absent; to have it: portproof setup keras-torch",
}


def shown() -> list[str]:
    messages = re.findall(r"^```text\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)
    return [" ".join(message.split()) for message in messages]


def _dense(*more: Any) -> keras.Model:
    layers = [keras.Input((3,), name="x"), keras.layers.Dense(2, name="y"), *more]
    return keras.Sequential(layers, name="my_model")


class Own(keras.layers.Layer):
    def call(self, x: Any) -> Any:
        return x


def _custom_layer() -> None:
    _dense(Own()).save("my_model.keras")
    portproof.export("my_model.keras")


def _lambda() -> None:
    _dense(keras.layers.Lambda(lambda x: 2 * x, name="twice")).save("my_model.keras")
    portproof.export("my_model.keras")


def _h5() -> None:
    _dense().save_weights("my.weights.h5")
    Path("my.weights.h5").rename("my_model.h5")
    portproof.export("my_model.h5")


def _strings() -> None:
    class Module(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
        def lengths(self, text: Any) -> Any:
            return {"y": tf.strings.length(text)}

    portproof.export(Module(), "artifacts/my_model")


def _wrong_inputs() -> None:
    data = np.ones((4, 3), np.float32)
    portproof.export(_dense(), inputs={"a": data, "b": data})


def _random() -> None:
    class Sampling(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None, 3], tf.float32, name="x")])
        def sampling(self, x: Any) -> Any:
            with tf.name_scope("sampling"):
                return {"y": x + tf.random.normal(tf.shape(x))}

    portproof.export(Sampling())


def _without_data() -> None:
    portproof.export(_dense(), formats=["tflite int8"])


def _too_small() -> None:
    portproof.export(_dense(), formats=["tflite dynamic-range"])


def _unknown_length() -> None:
    x = keras.Input((None, 3), name="x")
    model = keras.Model(x, {"y": keras.layers.GRU(2)(x)}, name="my_model")
    portproof.export(model, formats=["tfjs-graph"])


def _missing_op() -> None:
    class Module(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None, 3, 3], tf.float32, name="x")])
        def inverse(self, x: Any) -> Any:
            return {"y": tf.linalg.pinv(x)}

    portproof.export(Module(), "artifacts/module", formats=["tfjs-graph"])


def _changed_file() -> None:
    bundle = portproof.export(_dense(), formats=["keras"])
    Path(bundle.path, "keras", "my_model.keras").write_bytes(b"another")
    Bundle.open(os.path.relpath(bundle.path))


PROVOKED: list[Callable[[], None]] = [
    *(
        _custom_layer,
        _lambda,
        _h5,
        _strings,
        _wrong_inputs,
        _random,
        _without_data,
        _too_small,
        _unknown_length,
        _missing_op,
    ),
    _changed_file,
]


@pytest.mark.parametrize("provoke", PROVOKED)
def test_an_error_has_the_text_that_the_page_shows(
    provoke: Callable[[], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PortproofError) as raised:
        provoke()
    message = str(raised.value).replace(f"{tmp_path}/", "")
    assert re.sub(r"made at \S+:\d+", "made at my_model.py:12", message) in shown()


def test_the_page_shows_no_other_message() -> None:
    assert len(set(shown()) - OTHER_MESSAGES) == len(PROVOKED)
    assert set(shown()) >= OTHER_MESSAGES
