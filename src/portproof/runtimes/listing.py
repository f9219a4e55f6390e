"""What is here: the runtimes with their versions, and the environments in the cache."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from portproof.bundle.errors import UsageError
from portproof.runtimes.environments.environment import (
    MadeEnvironment,
    made_environments,
    remove_unfinished,
)
from portproof.runtimes.runtime import Runtime
from portproof.runtimes.table import table


@dataclass(frozen=True)
class RuntimeState:
    """One version of a runtime.

    Attributes:
        name: The name to give to `--runtime`.
        version: Its version; empty where it has none.
        folder: The folder of its own packages; None: they are in this process's environment, or it
            has none.
        size: The bytes of that folder.
        missing: Why it cannot run here and how to get it; empty where it can.
    """

    name: str
    version: str
    folder: Path | None
    size: int
    missing: str


def runtime_states() -> list[RuntimeState]:
    """Each runtime at its default version, and at every other version that was set up."""
    made = {environment.folder: environment for environment in made_environments()}
    return [
        _state(runtime, made)
        for default in table()
        for runtime in (default, *_other_versions(default, made))
    ]


def _other_versions(runtime: Runtime, made: dict[Path, MadeEnvironment]) -> list[Runtime]:
    """The runtime at the versions, beside the default one, that were set up."""
    if not runtime.at or not runtime.environment:
        return []
    # Keras has its default version in an environment with TensorFlow's name.
    names = (runtime.environment.name, runtime.name)
    versions = sorted({e.version for e in made.values() if e.name in names}, key=_numbers)
    others = [replace(runtime.at(v), name=f"{runtime.name}@{v}") for v in versions]
    return [
        other
        for other in others
        if other.environment
        and other.environment.folder in made
        and other.environment.folder != runtime.environment.folder
        and not other.missing()
    ]


def _numbers(version: str) -> list[int]:
    """The numbers in a version, to sort by: npm's need not be versions in Python's sense."""
    return [int(number) for number in re.findall(r"\d+", version)]


def _state(runtime: Runtime, made: dict[Path, MadeEnvironment]) -> RuntimeState:
    if missing := runtime.missing():
        return RuntimeState(runtime.name, "", None, 0, missing)
    own = runtime.environment
    version = runtime.version() if runtime.version else own.version if own else ""
    if not own or own.in_place or own.folder not in made:
        return RuntimeState(runtime.name, version, None, 0, "")
    return RuntimeState(runtime.name, version, own.folder, made[own.folder].size, "")


def remove(names: Sequence[str]) -> list[MadeEnvironment]:
    """Remove environments, and what was left of interrupted ones; gives those that were whole.

    Args:
        names: The names of environments, all versions of each, or one: `tfjs@4.10.0`. None: all.

    Raises UsageError where there is none of that name, and removes nothing then.
    """
    made = made_environments()
    for name in names:
        if not any(name in (environment.name, str(environment)) for environment in made):
            raise UsageError(
                f"there is no environment {name} to remove: `portproof setup --list` names them."
            )
    chosen = [e for e in made if not names or e.name in names or str(e) in names]
    for environment in chosen:
        environment.remove()
    remove_unfinished()
    return chosen
