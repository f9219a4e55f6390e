"""Times artifacts one after the other, each in a runner of its own that nothing runs beside."""

from collections.abc import Callable, Sequence
from pathlib import Path

from bundle.bundle import Bundle
from bundle.errors import UsageError
from verify.performance import Performance
from verify.process import Limits, RunnerProcess
from verify.run import find
from verify.runtimes import select
from verify.timing import CAREFUL, measured
from verify.trial import trials

OnDone = Callable[[Performance], None]


def bench(
    paths: Sequence[Path],
    artifacts: Path,
    runtimes: Sequence[str],
    limits: Limits,
    on_done: OnDone = lambda _: None,
) -> list[Performance]:
    """Time every artifact of some bundles, or of all below `artifacts`, in every runtime here.

    What it computes is not judged. Raises BundleError where a bundle is not what was exported,
    UsageError where the names are wrong.
    """
    bundles = [Bundle.open(path) for path in paths or find(artifacts)]
    found = []
    for runtime in select(list(runtimes), []):
        if missing := runtime.missing():
            if runtime.name in runtimes:
                raise UsageError(f"{runtime.name} is absent; to have it: {missing}")
            continue
        for trial in trials(bundles, runtime):
            runner = RunnerProcess(runtime.command(), runtime.environment, limits)
            try:
                found.append(measured(trial, runner, CAREFUL))
            finally:
                runner.stop()
            on_done(found[-1])
    if not found:
        raise UsageError("nothing was timed: no runtime here runs a format of these bundles.")
    return found
