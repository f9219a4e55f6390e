"""Runs the corpus: undamaged artifacts, faulty artifacts, faulty runtimes, harmless rewrites."""

from collections.abc import Callable
from pathlib import Path

from export.train import train
from portproof.bundle.manifest import DECIDING
from verify.faults import architectures, corpus, harmless, quantised, runtime_faults
from verify.faults.corpus import Exported, Fault
from verify.faults.examine import PORTPROOF, Observation, Runners, examine, runtime_named
from verify.faults.results import Results
from verify.faults.runtime_faults import RUNTIME_OF_FORMAT

Log = Callable[[str], None]


def run(names: list[str], folder: Path, log: Log) -> Results:
    """The results for some architectures. `folder` is for the trained models and the bundles."""
    results = Results()
    runners = Runners()
    training = folder / "training"
    for name in names:
        if name in corpus.BUILT_IN:
            train(name, training)
    try:
        all_exported = [corpus.export_architecture(name, folder, training) for name in names]
        for exported in all_exported:
            _run_artifact_faults(exported, folder, runners, results)
            _run_rewrites(exported, folder, runners, results)
            log(f"{exported.name}: {results.line()}")
        runners.stop()
        for fault in runtime_faults.TITLES:
            _run_runtime_fault(all_exported, fault, results)
            log(f"{fault}: {results.line()}")
    finally:
        runners.stop()
    return results


def _run_artifact_faults(
    exported: Exported, folder: Path, runners: Runners, results: Results
) -> None:
    """Run every fault of the artifacts, each in the one runtime of its format."""
    undamaged = _examine_undamaged(exported, exported.formats, runners)
    # A format whose undamaged artifact does not pass in its runtime cannot show a fault.
    passing_formats = [
        format_
        for format_, observation in undamaged.items()
        if not observation.flagged_in_deciding(PORTPROOF)
    ]
    for fault in corpus.faults(exported, folder, passing_formats):
        results.add_fault(fault, _examine_fault(fault, runners), undamaged[fault.format])
    if exported.name in quantised.ARCHITECTURES:
        _run_quantised_faults(exported, folder, runners, results)


def _run_quantised_faults(
    exported: Exported, folder: Path, runners: Runners, results: Results
) -> None:
    """Run the int8 form of an architecture, and every fault of it."""
    int8 = quantised.quantised(exported, folder)
    undamaged = _examine_undamaged(int8, ["tflite"], runners)["tflite"]
    results.add_rewrite(int8.name, "tflite", "quantised, within its budget", undamaged)
    for fault in quantised.faults(int8, folder, runners):
        results.add_fault(fault, _examine_fault(fault, runners), undamaged)


def _examine_undamaged(
    exported: Exported, formats: list[str], runners: Runners
) -> dict[str, Observation]:
    """By format, what the undamaged artifact does in the runtime of that format."""
    return {
        format_: examine(
            exported.bundle, format_, runtime_named(RUNTIME_OF_FORMAT[format_]), runners
        )
        for format_ in formats
    }


def _examine_fault(fault: Fault, runners: Runners) -> Observation:
    runtime = runtime_named(RUNTIME_OF_FORMAT[fault.format])
    return examine(fault.bundle, fault.format, runtime, runners)


def _run_rewrites(exported: Exported, folder: Path, runners: Runners, results: Results) -> None:
    """Run the undamaged artifacts in other ways, then harmless rewrites of the model."""
    for alternative in harmless.alternative_runs(exported.formats):
        observation = examine(
            exported.bundle,
            alternative.format,
            alternative.runtime,
            runners,
            DECIDING,
            alternative.shuffle,
        )
        known_defect = harmless.KNOWN_DEFECTS.get((exported.name, alternative.runtime.name), "")
        results.add_rewrite(
            exported.name, alternative.format, alternative.title, observation, known_defect
        )
    if exported.keras_model is None:
        return
    for title, rewrite in harmless.REWRITES.items():
        model = rewrite(exported.keras_model)
        if model is None:
            continue
        source = architectures.keras_source(exported.name, model)
        # In tfjs-layers a training step's outputs are the weights, and a rewrite changes those.
        formats = [name for name in exported.formats if name != "tfjs-layers"]
        for rewritten in corpus.replace_each_format(exported, folder, title, source, formats):
            runtime = runtime_named(RUNTIME_OF_FORMAT[rewritten.format])
            observation = examine(rewritten.bundle, rewritten.format, runtime, runners, DECIDING)
            results.add_rewrite(exported.name, rewritten.format, title, observation)


def _run_runtime_fault(all_exported: list[Exported], fault: str, results: Results) -> None:
    """Run one fault of the runtimes, which a proxy in front of each runner causes."""
    runners = Runners()
    title = runtime_faults.TITLES[fault]
    try:
        for exported, format_, runtime in runtime_faults.faulty_runtimes(all_exported, fault):
            undamaged = _examine_undamaged(exported, [format_], runners)[format_]
            if undamaged.flagged_in_deciding(PORTPROOF):
                continue
            observation = examine(exported.bundle, format_, runtime, runners)
            corpus_fault = Fault(exported.name, format_, title, exported.bundle)
            results.add_fault(corpus_fault, observation, undamaged)
    finally:
        runners.stop()
