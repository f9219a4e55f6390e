"""Tests of a runtime: what Portproof relies on in its runner, by the protocol alone."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np

from portproof.bundle.tensors import Arrays
from portproof.runtimes.process import Limits, RunnerError
from portproof.runtimes.protocol import VERSION, Answer, Refusal, Request
from portproof.runtimes.runner import Runner
from portproof.runtimes.runtime import Runtime
from portproof.testing.conformance import Conformance
from portproof.testing.models import (
    MODELS,
    NAMED,
    OF_DTYPE,
    OTHER_SCALE,
    SCALE,
    KitModel,
    exported,
    reasons,
)
from portproof.verifying.asking import CallResult, ask
from portproof.verifying.trial import Trial, trials

REQUIRED = (
    *("protocol", "versions", "numbers", "other batches", "another artifact", "NaN"),
    *("empty batch", "refuses what is not there"),
)


def check_runtime(runtime: Runtime, folder: str | Path, time_limit: float = 120.0) -> Conformance:
    """Try a runtime on small models in each of its formats, without the sandbox.

    What is looked at: that the runner starts and speaks this version of the protocol; its numbers,
    names, dtypes and shapes, to the bit, in batches of other sizes and after another artifact; that
    NaN stays where it is; that it computes an empty batch, or refuses it; that a
    file which is not there ends in a refusal and not in its death; that after each of these it
    answers as before.

    Args:
        runtime: The runtime, which has to be here. What writes its formats has to be known, as by
            `portproof.add_format`.
        folder: Where the models are exported to. Those that are there are used again: name an empty
            folder after a change of what writes them.
        time_limit: Seconds for one call.

    Returns:
        What was found; `ok` tells whether it conforms, and as text it is a line for each check.

    Raises:
        BundleError: Something in the folder is no bundle of these models.
        UsageError: TensorFlow is not installed.
    """
    result = Conformance(runtime.name, REQUIRED)
    if reason := runtime.missing():
        result.add("protocol", "failed", f"it is not here: {reason}")
        return result
    if not plain_formats(runtime):
        formats = ", ".join(runtime.formats) or "none"
        result.add(
            "numbers", "failed", f"nothing writes its formats ({formats}): portproof.add_format"
        )
        return result
    runner = _Watched(runtime.runner(Limits(request=time_limit)))
    try:
        _check(runtime, runner, Path(folder), result)
    except _HangsError:
        pass  # what it was asked has failed, and each further call would take as long
    finally:
        runner.close()
    return result


class _HangsError(Exception):
    """A runner that did not answer in time."""


class _Watched:
    """A runner that knows whether it had to be started again."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self.versions: dict[str, str] = {}
        self.died = ""

    @property
    def peak_memory(self) -> int:
        return self._runner.peak_memory

    def start_if_needed(self) -> None:
        self._runner.start_if_needed()
        self.versions = self._runner.versions

    def reset_peak_memory(self) -> None:
        self._runner.reset_peak_memory()

    def stop(self) -> None:
        self._runner.stop()

    def compute(
        self, request: Request, inputs: Arrays, largest: float = math.inf
    ) -> tuple[Answer | Refusal, Arrays]:
        try:
            return self._runner.compute(request, inputs, largest)
        except RunnerError as error:
            self.died = str(error)
            raise

    def close(self) -> None:
        self._runner.stop()
        self._runner.close()


def _check(runtime: Runtime, runner: _Watched, folder: Path, result: Conformance) -> None:
    try:
        runner.start_if_needed()
    except RunnerError as error:
        result.add("protocol", "failed", str(error))
        return
    result.add("protocol", "passed", f"version {VERSION}")
    told = ", ".join(f"{name} {version}" for name, version in runner.versions.items())
    result.add("versions", "passed" if told else "failed", told or "it tells none")
    for model in MODELS:
        bundle = exported(model, folder, plain_formats(runtime))
        for format_, reason in reasons(bundle).items():
            if format_ in runtime.formats:
                result.add(_subject(model), "not tried", f"{format_}: {reason}")
        for trial in trials([bundle], runtime):
            if not trial.is_variant:
                _check_trial(trial, model, runner, folder, result)


def plain_formats(runtime: Runtime) -> list[str]:
    """The formats to export: a variant's numbers are others on purpose."""
    from portproof.formats.table import names

    return [name for name in runtime.formats if " " not in name and name in names()]


def _subject(model: KitModel) -> str:
    """What a model is there to try."""
    if model is NAMED:
        return "names"
    return next((dtype for dtype, m in OF_DTYPE.items() if m is model), "numbers")


def _check_trial(
    trial: Trial, model: KitModel, runner: _Watched, folder: Path, result: Conformance
) -> None:
    name = _subject(model)
    _expect(name, trial, model, model.inputs, runner, result)
    if model is not SCALE:
        return
    for rows in (1, 5, 7):
        cut = {key: array[:rows] for key, array in model.inputs.items()}
        _expect("other batches", trial, model, cut, runner, result)
    other = exported(OTHER_SCALE, folder, plain_formats(trial.runtime))
    for beside in trials([other], trial.runtime):
        if beside.artifact.name == trial.artifact.name:
            _expect("another artifact", beside, OTHER_SCALE, OTHER_SCALE.inputs, runner, result)
    _expect("another artifact", trial, model, model.inputs, runner, result)
    # An infinity is left out: LiteRT's reference kernels make the largest number of it.
    special = np.array([[np.nan, 1.0], [-2.0, np.nan], [0.0, -2.0]], np.float32)
    _expect("NaN", trial, model, {"x": special}, runner, result)
    empty = {key: array[:0] for key, array in model.inputs.items()}
    _expect("empty batch", trial, model, empty, runner, result, may_refuse=True)
    _expect("numbers", trial, model, model.inputs, runner, result)
    _expect_refusal(trial, model, runner, result)
    _expect("numbers", trial, model, model.inputs, runner, result)


def _expect(
    name: str,
    trial: Trial,
    model: KitModel,
    inputs: Arrays,
    runner: _Watched,
    result: Conformance,
    *,
    may_refuse: bool = False,
) -> None:
    """Look at one call. What the runtime says that it lacks is not tried."""
    runner.died = ""
    got = ask(trial, inputs, runner)
    where = f"{model.name} {trial.artifact.name}"
    if got.error and runner.died:
        result.add(name, "failed", f"{where}: {got.error}")
        if got.late:
            raise _HangsError
    elif got.error and may_refuse:
        result.add(name, "passed", f"{where}: refused: {got.error}")
    elif got.lacks:
        result.add(name, "not tried", f"{where}: it lacks {got.lacks}")
    else:
        wrong = got.error or _difference(got, model.compute(inputs), trial)
        result.add(name, "failed" if wrong else "passed", f"{where}: {wrong}" if wrong else "")


def _difference(got: CallResult, wanted: Arrays, trial: Trial) -> str:
    """In what the outputs are others, or nothing."""
    if got.outputs.keys() != wanted.keys():
        return f"outputs {sorted(got.outputs)}, and the signature has {sorted(wanted)}"
    for name, array in wanted.items():
        found = got.outputs[name]
        dtype = trial.signature.outputs[name].dtype
        if str(found.dtype) != dtype:
            return f"{name} is {found.dtype}, and not {dtype}"
        if found.shape != array.shape:
            return f"{name} has the shape {list(found.shape)}, and not {list(array.shape)}"
        if not np.array_equal(found, array, equal_nan=array.dtype.kind == "f"):
            return f"{name} is {found.ravel()[:6]}, and not {array.ravel()[:6]}"
    return ""


def _expect_refusal(trial: Trial, model: KitModel, runner: _Watched, result: Conformance) -> None:
    """Ask for an artifact whose file is not there."""
    runner.died = ""
    nowhere = replace(trial.bundle, artifacts=trial.bundle.path / "not-there")
    got = ask(replace(trial, bundle=nowhere), model.inputs, runner)
    if runner.died:
        told = f"{trial.artifact.name}: it ended: {runner.died}"
    elif not got.error:
        told = f"{trial.artifact.name}: it answered all the same"
    else:
        result.add("refuses what is not there", "passed")
        return
    result.add("refuses what is not there", "failed", told)
