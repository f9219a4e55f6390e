"""Runs the corpus: each right artifact, each wrong one, each harmless rewrite."""

from collections.abc import Callable
from pathlib import Path

from export.train import train
from portproof.bundle.manifest import DECIDING
from verify.faults import architectures, corpus, harmless, quantised, runtime_faults
from verify.faults.corpus import Fault, Right
from verify.faults.examine import OURS, Runners, Seen, examine, runtime
from verify.faults.results import Results
from verify.faults.runtime_faults import RUNTIME

Log = Callable[[str], None]


def run(names: list[str], folder: Path, log: Log) -> Results:
    """Everything about some architectures. `folder` holds what is exported on the way."""
    results = Results()
    runners = Runners()
    training = folder / "training"
    for name in names:
        if name in corpus.BUILT_IN:
            train(name, training)
    try:
        rights = [corpus.right(name, folder, training) for name in names]
        for right in rights:
            _artifacts(right, folder, runners, results)
            _rewrites(right, folder, runners, results)
            log(f"{right.name}: {results.line()}")
        runners.stop()
        for fault in runtime_faults.TITLES:
            _runtimes(rights, fault, results)
            log(f"{fault}: {results.line()}")
    finally:
        runners.stop()
    return results


def _artifacts(right: Right, folder: Path, runners: Runners, results: Results) -> None:
    """What is wrong with artifacts, each in the one runtime of its format."""
    usual = _as_it_should_be(right, right.formats, runners)
    # Of what the runtime refuses even when it is right, it shows no fault.
    on_trial = [name for name, seen in usual.items() if not seen.counted(OURS)]
    for fault in corpus.faults(right, folder, on_trial):
        results.fault(fault, _on_trial(fault, runners), usual[fault.format])
    if right.name in quantised.ARCHITECTURES:
        whole = quantised.quantised(right, folder)
        usual = _as_it_should_be(whole, ["tflite"], runners)
        results.rewrite(whole.name, "tflite", "quantised, within its budget", usual["tflite"])
        for fault in quantised.faults(whole, folder, runners):
            results.fault(fault, _on_trial(fault, runners), usual["tflite"])


def _as_it_should_be(right: Right, formats: list[str], runners: Runners) -> dict[str, Seen]:
    return {f: examine(right.bundle, f, runtime(RUNTIME[f]), runners) for f in formats}


def _on_trial(fault: Fault, runners: Runners) -> Seen:
    return examine(fault.bundle, fault.format, runtime(RUNTIME[fault.format]), runners)


def _rewrites(right: Right, folder: Path, runners: Runners, results: Results) -> None:
    """Everything that is right, and computed in another way."""
    for way in harmless.ways(right.formats):
        seen = examine(right.bundle, way.format, way.runtime, runners, DECIDING, way.shuffle)
        known = harmless.KNOWN.get((right.name, way.runtime.name), "")
        results.rewrite(right.name, way.format, way.title, seen, known)
    if right.model is None:
        return
    for title, rewrite in harmless.REWRITES.items():
        model = rewrite(right.model)
        if model is None:
            continue
        source = architectures.source_of(right.name, model)
        # The outputs of tfjs-layers are weights too, which are others.
        formats = [name for name in right.formats if name != "tfjs-layers"]
        for made in corpus.written(right, folder, title, source, formats):
            where = runtime(RUNTIME[made.format])
            seen = examine(made.bundle, made.format, where, runners, DECIDING)
            results.rewrite(right.name, made.format, title, seen)


def _runtimes(rights: list[Right], fault: str, results: Results) -> None:
    """What is wrong with runtimes, each behind a proxy."""
    runners = Runners()
    try:
        for right, format_, where in runtime_faults.faulty(rights, fault):
            usual = _as_it_should_be(right, [format_], runners)[format_]
            if usual.counted(OURS):
                continue
            found = Fault(right.name, format_, runtime_faults.TITLES[fault], right.bundle)
            results.fault(found, examine(right.bundle, format_, where, runners), usual)
    finally:
        runners.stop()
