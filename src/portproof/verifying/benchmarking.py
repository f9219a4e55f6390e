"""Times artifacts one after the other, each in a process that nothing runs beside."""

from collections.abc import Callable, Sequence
from pathlib import Path

from portproof.bundle.bundle import Bundle
from portproof.bundle.errors import UsageError
from portproof.bundle.report import Performance
from portproof.runtimes.process import Limits
from portproof.runtimes.table import select
from portproof.sandbox.sandbox import Sandbox, sandbox_if_possible
from portproof.verifying.timing import CAREFUL, measure_performance
from portproof.verifying.trial import trials

OnPerformance = Callable[[Performance], None]


def time_bundles(
    paths: Sequence[Path],
    runtimes: Sequence[str],
    limits: Limits,
    on_performance: OnPerformance = lambda _: None,
) -> list[Performance]:
    """Time every artifact of some bundles in every runtime here, or in the named ones.

    What they compute is not judged. Raises BundleError where a bundle is not what was exported,
    UsageError where the names are wrong.
    """
    opened = [Bundle.open(path) for path in paths]
    with sandbox_if_possible() as box:
        bundles = [box.admitted(bundle) for bundle in opened] if box else opened
        return _timed(bundles, runtimes, limits, box, on_performance)


def _timed(
    bundles: list[Bundle],
    runtimes: Sequence[str],
    limits: Limits,
    box: Sandbox | None,
    on_performance: OnPerformance,
) -> list[Performance]:
    timed = []
    for runtime in select(list(runtimes), []):
        if missing := runtime.missing():
            if runtime.name in runtimes:
                raise UsageError(f"{runtime.name} is absent; to have it: {missing}")
            continue
        for trial in trials(bundles, runtime):
            runner = runtime.runner(limits, box)
            try:
                timed.append(measure_performance(trial, runner, CAREFUL))
            finally:
                runner.stop()
            on_performance(timed[-1])
    if not timed:
        raise UsageError("nothing was timed: no runtime here runs a format of these bundles.")
    return timed
