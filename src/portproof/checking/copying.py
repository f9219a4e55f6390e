"""What is checked, into its bundle: as it is, and by a process in the sandbox."""

import shutil
from collections.abc import Callable
from pathlib import Path

from portproof.checking.interface import Contents
from portproof.checking.request import CheckRequest
from portproof.confined_export import make_confined


def copy_into(file: Path, contents: Contents, root: Path, folder: str) -> str:
    """Copy a file or a folder as it is into `root/folder`; returns what of it a runtime loads."""
    target = root / folder
    if file.is_dir():
        shutil.copytree(file, target, symlinks=True)
        return f"{folder}/{contents.loaded}".rstrip("/")
    target.mkdir()
    shutil.copyfile(file, target / file.name)
    return f"{folder}/{file.name}"


def make_in_sandbox(request: CheckRequest, seconds: float, log: Callable[[str], None]) -> None:
    """Have `python -m portproof.checking` make the bundle of a request in the sandbox.

    Args:
        request: What is asked for. Its model, where it has one, is a file or a folder.
        seconds: How long it may take.
        log: Called with each line that it prints.

    Raises as `confined_export.make_confined` does.
    """
    file = _whole(request.file)
    model = _whole(Path(request.model)) if request.model else None
    inputs = request.inputs and request.inputs.absolute()

    def words(folder: Path) -> list[str]:
        paths = {"file": file, "inputs": inputs, "bundle": folder / request.name}
        whole = {**paths, "model": str(model or "")}
        return [request.model_copy(update=whole).to_json()]

    make_confined(
        "portproof.checking",
        words,
        models=[file, model] if model else [file],
        bundles={request.name: request.bundle},
        readable=[inputs] if inputs else [],
        seconds=seconds,
        log=log,
    )


def _whole(path: Path) -> Path:
    return path.resolve() if path.is_dir() else path.absolute()
