"""Sets up runtimes: makes the environments that they need, several at a time."""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from portproof.bundle.errors import SetupError
from portproof.runtimes.environments.environment import Environment, Log, interrupted
from portproof.runtimes.runtime import Runtime
from portproof.runtimes.table import select

# Most of the time is spent on downloads and on writing files.
_AT_ONCE = 4


@dataclass
class SetupResult:
    """What came of a set-up.

    Attributes:
        failed: By runtime, why it cannot run: an environment could not be made, or this machine
            lacks something for it.
        skipped: The same of runtimes that were not named, where this machine lacks something.
        made: The runtimes whose environments were made.
    """

    failed: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    made: list[str] = field(default_factory=list)


def make_environments(runtimes: Sequence[Runtime], *, by_name: bool, log: Log) -> SetupResult:
    """Make what the runtimes need and is not here. A failure costs only the runtimes that need it.

    Args:
        runtimes: The runtimes.
        by_name: Whether the person named them. Else those are left out that are to be named, and
            it is no failure that this machine lacks something for one.
        log: Called with each step, from several threads.
    """
    result = SetupResult()
    wanted: dict[str, Environment] = {}
    for runtime in runtimes:
        environment = runtime.environment
        if not environment or (runtime.only_by_name and not by_name):
            continue
        if lack := runtime.obstacle() or environment.lack():
            (result.failed if by_name else result.skipped)[runtime.name] = lack
        elif not environment.is_here:
            wanted[runtime.name] = environment
    reasons = _make_all(list(wanted.values()), log)
    for name, environment in wanted.items():
        if reason := reasons[environment.folder]:
            result.failed[name] = reason
        else:
            result.made.append(name)
    return result


def set_up_runtimes(names: Sequence[str], log: Log) -> None:
    """See `portproof.set_up`, which documents it."""
    runtimes = select(list(names), [])
    result = make_environments(runtimes, by_name=bool(names), log=log)
    for name, reason in result.skipped.items():
        log(f"left out {name}: {reason}")
    if not result.made and not result.failed:
        log("all is here")
    # Runtimes that need the same environment fail for the same reason.
    if reasons := dict.fromkeys(result.failed.values()):
        raise SetupError("; ".join(reasons))


def set_up_named(runtimes: Sequence[Runtime], names: Sequence[str], log: Log) -> list[Runtime]:
    """The runtimes, those of these names set up, or with the reason why they could not be."""
    lacking = [r for r in runtimes if r.name in names and r.missing() and not r.obstacle()]
    failed = make_environments(lacking, by_name=True, log=log).failed
    for reason in dict.fromkeys(failed.values()):
        log(reason)
    return [
        replace(runtime, obstacle=partial(_failed, runtime.name, failed[runtime.name]))
        if runtime.name in failed
        else runtime
        for runtime in runtimes
    ]


def _failed(name: str, reason: str) -> str:
    return f"portproof setup {name} (it was tried: {reason})"


def _make_all(environments: Sequence[Environment], log: Log) -> dict[Path, str]:
    """Make environments and what they need; by folder, the reason where one failed."""
    making: dict[Path, Future[str]] = {}
    pool = ThreadPoolExecutor(_AT_ONCE)

    def start(environment: Environment) -> Future[str]:
        needs = [start(needed) for needed in environment.needs]
        if environment.folder not in making:
            making[environment.folder] = pool.submit(_make, environment, needs, log)
        return making[environment.folder]

    interrupted.clear()
    try:
        for environment in environments:
            start(environment)
        return {folder: made.result() for folder, made in making.items()}
    except BaseException:  # Ctrl-C, which ends the tools that are at work
        interrupted.set()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _make(environment: Environment, needs: Sequence[Future[str]], log: Log) -> str:
    """Make one environment; gives the reason why it could not be made, or nothing.

    What it needs was started before it, so that waiting for it in the pool ends.
    """
    if reason := next(filter(None, (needed.result() for needed in needs)), ""):
        return reason
    try:
        environment.make(log)
    except SetupError as error:
        return str(error)
    return ""
