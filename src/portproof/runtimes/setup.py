"""Sets up runtimes: makes the environments that they need, several at a time."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial

from portproof.bundle.errors import SetupError
from portproof.runtimes.environments.environment import Environment
from portproof.runtimes.runtime import Runtime
from portproof.runtimes.table import select

# Most of the time is spent on downloads and on writing files.
_AT_ONCE = 4


@dataclass
class SetupResult:
    """What came of a set-up.

    Attributes:
        failed: By runtime, why an environment that it needs could not be made.
        skipped: By runtime that was not named, what this machine lacks for it.
        made: How many environments were made.
    """

    failed: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    made: int = 0


def make_environments(
    runtimes: Sequence[Runtime], *, by_name: bool, log: Callable[[str], None]
) -> SetupResult:
    """Make what the runtimes need and is not here. A failure costs only the runtimes that need it.

    Args:
        runtimes: The runtimes.
        by_name: Whether the person named them. Else those are left out that are to be named, and
            it is no failure that this machine lacks something for one.
        log: Called with each step, from several threads.
    """
    result = SetupResult()
    chosen = []
    for runtime in runtimes:
        if by_name:
            chosen.append(runtime)
        elif not runtime.only_by_name:
            if lack := runtime.obstacle() or _lack(runtime):
                result.skipped[runtime.name] = lack
            else:
                chosen.append(runtime)
    wanted = dict.fromkeys(e for runtime in chosen for e in runtime.environments)
    reasons = _make_all([e for e in wanted if not e.is_here], log)
    result.made = sum(not reason for reason in reasons.values())
    for runtime in chosen:
        if reason := next(filter(None, map(reasons.get, runtime.environments)), ""):
            result.failed[runtime.name] = reason
    return result


def set_up_runtimes(names: Sequence[str], log: Callable[[str], None]) -> None:
    """See `portproof.set_up`, which documents it."""
    runtimes = select(list(names), [])
    result = make_environments(runtimes, by_name=bool(names), log=log)
    for name, reason in result.skipped.items():
        log(f"left out {name}: {reason}")
    if result.made == 0 and not result.failed:
        log("all is here")
    # Runtimes that need the same environment fail for the same reason.
    if reasons := dict.fromkeys(result.failed.values()):
        raise SetupError("; ".join(reasons))


def set_up_named(
    runtimes: Sequence[Runtime], names: Sequence[str], log: Callable[[str], None]
) -> list[Runtime]:
    """The runtimes, those of these names set up, or with the reason why they could not be."""
    named = [runtime for runtime in runtimes if runtime.name in names and not runtime.obstacle()]
    failed = make_environments(named, by_name=True, log=log).failed
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


def _make_all(
    environments: Sequence[Environment], log: Callable[[str], None]
) -> dict[Environment, str]:
    """Make environments, each after those that it needs; gives the reason where one failed."""
    making: dict[Environment, Future[str]] = {}
    with ThreadPoolExecutor(_AT_ONCE) as pool:

        def start(environment: Environment) -> None:
            if environment not in making:
                for needed in environment.needs:
                    start(needed)
                needs = [making[needed] for needed in environment.needs]
                making[environment] = pool.submit(_make, environment, needs, log)

        for environment in environments:
            start(environment)
    return {environment: made.result() for environment, made in making.items()}


def _lack(runtime: Runtime) -> str:
    """What this machine lacks to make what a runtime needs, or nothing."""
    lacks = [e.obstacle() for e in runtime.environments if not e.is_here]
    return ", ".join(filter(None, lacks))


def _make(
    environment: Environment, needs: Sequence[Future[str]], log: Callable[[str], None]
) -> str:
    """Make one environment; gives the reason why it could not be made, or nothing.

    What it needs was started before it, so that waiting for it in the pool ends.
    """
    if reason := next((reason for needed in needs if (reason := needed.result())), ""):
        return reason
    try:
        environment.make(log)
    except SetupError as error:
        return str(error)
    return ""
