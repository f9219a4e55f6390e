"""The models of export/: what they learn, and that a seed decides every bit of it."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from safetensors.numpy import load_file

from export import data, my_module, quadratic, quadratic_keras
from export.train import train
from export.training import trained
from portproof import UsageError
from tests.conftest import REPOSITORY


def weights(folder: Path) -> dict[str, bytes]:
    """Every variable of a training's checkpoint, as bytes."""
    reader = tf.train.load_checkpoint(str(folder))
    names = [n for n in reader.get_variable_to_shape_map() if "OBJECT_GRAPH" not in n]
    return {
        name: np.asarray(reader.get_tensor(name)).tobytes()
        for name in names
        if "save_counter" not in name
    }


def test_quadratic_learns_the_curve(training: Path) -> None:
    model = quadratic.Quadratic()
    history = trained(training / "quadratic", model)
    points = data.make(22)
    floor = float(np.mean((points.y - points.truth) ** 2))  # the loss of the true curve
    assert 35 < history["losses"][0] < 60
    assert len(history["losses"]) == 150
    assert history["losses"][-1] == pytest.approx(floor, rel=0.03)
    assert [float(v) for v in (model.w_q, model.w_l, model.b)] == pytest.approx(
        [1, 2, -8], abs=0.25
    )


def test_quadratic_keras_learns_the_curve(training: Path) -> None:
    model = quadratic_keras.build()
    history = trained(training / "quadratic_keras", model)
    kernel, bias = model.get_weights()
    assert history["losses"][-1] == pytest.approx(1, abs=0.2)
    assert [*kernel[:, 0], *bias] == pytest.approx([2, 1, -8], abs=0.25)


def test_initial_weights_are_uniform_from_0_to_5() -> None:
    starts = np.array(
        [[v.numpy() for v in quadratic.Quadratic(seed).variables] for seed in range(50)]
    )
    assert starts.min() >= 0
    assert starts.max() < 5
    assert starts.std() == pytest.approx(5 / 12**0.5, rel=0.15)


def test_loss_is_printed_every_ten_epochs(tmp_path: Path) -> None:
    lines: list[str] = []
    train("quadratic", tmp_path, epochs=21, log=lines.append)
    steps = [re.fullmatch(r"Mean squared error for step (\d+): \d+\.\d+", line) for line in lines]
    assert [match and match[1] for match in steps] == ["0", "10", "20"]


def test_my_module_multiplies() -> None:
    module = my_module.MyModule()
    product = module.multiply(tf.constant([5, 6, 3]))
    assert product.dtype == tf.int32
    assert product.numpy().tolist() == [15, 18, 9]


@pytest.mark.parametrize("name", ["quadratic", "quadratic_keras"])
def test_a_seed_decides_every_bit_of_the_weights(name: str, training: Path, tmp_path: Path) -> None:
    train(name, tmp_path / "same")
    train(name, tmp_path / "other", seed=23)
    assert weights(tmp_path / "same" / name) == weights(training / name)
    assert weights(tmp_path / "other" / name) != weights(training / name)


@pytest.mark.parametrize("name", ["quadratic", "quadratic_keras"])
def test_a_resumed_training_ends_with_the_same_bits(
    name: str, training: Path, tmp_path: Path
) -> None:
    train(name, tmp_path, epochs=75)
    assert weights(tmp_path / name) != weights(training / name)
    train(name, tmp_path, resume=True)
    assert weights(tmp_path / name) == weights(training / name)
    resumed, whole = (
        load_file(folder / name / "history.safetensors") for folder in (tmp_path, training)
    )
    assert resumed.keys() == whole.keys()
    for key in whole.keys() - {"before"}:
        np.testing.assert_array_equal(resumed[key], whole[key])


def test_a_training_that_does_not_match_cannot_be_resumed(training: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no training to resume"):
        train("quadratic", tmp_path, resume=True)
    with pytest.raises(UsageError, match="--seed 22"):
        train("quadratic", training, seed=3, resume=True)
    with pytest.raises(UsageError, match="past epoch 10"):
        train("quadratic", training, epochs=10, resume=True)


def test_an_unknown_model_is_refused_with_the_names_of_all() -> None:
    command = [sys.executable, "-m", "export.train", "cubic"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "quadratic, my_module, quadratic_keras" in done.stderr
