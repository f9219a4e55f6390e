"""What is here: the runtimes with their versions, and the environments in the cache."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from portproof.bundle.errors import UsageError
from portproof.runtimes.environments.environment import MadeEnvironment, made_environments
from portproof.runtimes.runtime import Runtime
from portproof.runtimes.table import select, table


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
    if not runtime.at:
        return []
    default = runtime.environments[-1].folder
    versions = dict.fromkeys(environment.version for environment in made.values())
    others = [select([f"{runtime.name}@{version}"], [])[0] for version in versions]
    return [
        other
        for other in others
        if (folder := other.environments[-1].folder) in made
        and folder != default
        and not other.missing()
    ]


def _state(runtime: Runtime, made: dict[Path, MadeEnvironment]) -> RuntimeState:
    missing = runtime.missing()
    own = runtime.environments[-1] if runtime.environments and not missing else None
    environment = made.get(own.folder) if own and not own.in_place else None
    return RuntimeState(
        runtime.name,
        (runtime.version() if runtime.version else own.version) if own else "",
        environment.folder if environment else None,
        environment.size if environment else 0,
        missing,
    )


def remove(names: Sequence[str]) -> list[MadeEnvironment]:
    """Remove the environments of some runtimes, or all environments, and give what was removed.

    What a runtime shares with others, such as Node and the browser, goes only with all. Raises
    UsageError where a runtime that was named has none.
    """
    made = made_environments()
    if names:
        own = {runtime.name: runtime.environments[-1:] for runtime in select(list(names), [])}
        folders = {e.folder for environments in own.values() for e in environments}
        made = [environment for environment in made if environment.folder in folders]
        here = {environment.folder for environment in made}
        for name, environments in own.items():
            if not any(environment.folder in here for environment in environments):
                raise UsageError(
                    f"{name} has no environment to remove: `portproof setup --list` shows them."
                )
    for environment in made:
        environment.remove()
    return made
