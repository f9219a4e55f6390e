"""Runs the tutorial: `python -m tests.helpers.notebooks` renews what it shows."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import nbformat
from nbclient import NotebookClient

from tests.conftest import REPOSITORY

TUTORIAL = REPOSITORY / "examples" / "tutorial.ipynb"


def executed(path: Path, folder: Path) -> Any:
    """A notebook with the outputs of its cells, run in a folder. Raises where a cell raises."""
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    )
    client.execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # when it was run
    return notebook


def main() -> None:
    with TemporaryDirectory() as folder:
        nbformat.write(executed(TUTORIAL, Path(folder)), TUTORIAL)


if __name__ == "__main__":
    main()
