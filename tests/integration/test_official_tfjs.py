"""Our TF.js graph models compared with the official converter's, on models of the zoo."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from portproof import Bundle, ExportError
from portproof.bundle.manifest import DECIDING
from portproof.bundle.tensors import in_group
from portproof.comparing.judging import expected_of, judge
from portproof.comparing.metrics import Metrics
from portproof.exporting import export_source
from portproof.formats.table import select
from portproof.formats.tfjs_ops import OPS
from portproof.runtimes.process import Limits
from portproof.runtimes.runner import Runner
from portproof.runtimes.table import select as select_runtimes
from portproof.verifying.asking import ask
from portproof.verifying.trial import Trial, trials
from tests.helpers.official_tfjs import convert, official_ops
from verify.faults.damage import rewrite_manifest
from verify.zoo import layers, weights

# Fast models of the zoo with one output, so that the official name can be matched with it.
SUBSET = (
    "activations",
    "conv_1d",
    "conv_2d",
    "lstm",
    "normalizations",
    "residual",
    "unet",
)
SIGNATURE = "serving_default"


def test_the_list_of_operations_is_the_official_converters() -> None:
    assert official_ops() == OPS


@pytest.fixture(scope="module")
def runner() -> Iterator[Runner]:
    [runtime] = select_runtimes(["tfjs-node-cpu"], [])
    process = runtime.runner(Limits())
    yield process
    process.stop()


def trial_of(bundle: Bundle) -> Trial:
    [runtime] = select_runtimes(["tfjs-node-cpu"], [])
    [trial] = trials([bundle], runtime)
    return trial


def official(bundle: Bundle, folder: Path) -> Bundle:
    """The bundle with the official converter's graph model in the place of ours."""
    copy = folder / "official"
    shutil.copytree(bundle.path, copy)
    target = copy / "tfjs-graph" / SIGNATURE
    shutil.rmtree(target)
    convert(bundle.path / "savedmodel", SIGNATURE, target)
    names = list(json.loads((target / "model.json").read_text())["signature"]["outputs"])
    artifacts = []
    for artifact in bundle.manifest.artifacts:
        if artifact.format == "tfjs-graph":
            [output] = bundle.manifest.signatures[SIGNATURE].outputs
            [official_name] = names
            endpoint = artifact.endpoints[SIGNATURE].model_copy(
                update={"outputs": {output: official_name}}
            )
            artifact = artifact.model_copy(update={"endpoints": {SIGNATURE: endpoint}})
        artifacts.append(artifact)
    return rewrite_manifest(
        copy, bundle.manifest.model_copy(update={"artifacts": tuple(artifacts)})
    )


def metrics_of(bundle: Bundle, runner: Runner) -> list[tuple[str, Metrics | None]]:
    """For each case, its verdict and metrics; no metrics where it did not run."""
    trial = trial_of(bundle)
    [output] = trial.outputs
    results: list[tuple[str, Metrics | None]] = []
    for vector in bundle.vectors(SIGNATURE):
        arrays = bundle.read(vector)
        result = ask(trial, in_group(arrays, "inputs"), runner)
        got, spec = result.outputs.get(output), trial.signature.outputs[output]
        verdict, _, metrics = judge(got, spec, expected_of(arrays, output))
        results.append((verdict, metrics))
    return results


@pytest.mark.slow
@pytest.mark.parametrize("name", SUBSET)
def test_our_model_is_at_least_as_near_the_oracle_as_the_official_one(
    name: str, runner: Runner, tmp_path: Path
) -> None:
    source = weights.source(name, weights.with_random_weights(name, layers.MODELS[name]()))
    formats = select(["tfjs-graph"])
    bundle = export_source(
        source, tmp_path / name, formats=formats, required=["tfjs-graph"], regimes=DECIDING
    )
    ours = metrics_of(bundle, runner)
    assert len(ours) >= 4
    theirs = metrics_of(official(bundle, tmp_path), runner)
    for (verdict, metrics), (_, others) in zip(ours, theirs, strict=True):
        assert metrics
        if verdict in ("exact", "faithful"):
            continue
        assert others
        assert (metrics.error or 0) <= (others.error or 0)


def test_an_op_that_tfjs_does_not_have_is_named(tmp_path: Path) -> None:
    import tensorflow as tf

    class Module(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None, 3, 3], tf.float32, name="x")])
        def inverse(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"y": tf.linalg.pinv(x)}

    import portproof

    with pytest.raises(ExportError, match="has no Svd of float32"):
        portproof.export(Module(), tmp_path / "x", formats=["tfjs-graph"])
