"""Files and folders of models -> bundles, by an export that runs in the sandbox."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from portproof.bundle import atomic, temporary
from portproof.bundle.bundle import CARD, MANIFEST, Bundle, replaceable
from portproof.bundle.errors import ExportError
from portproof.reporting.card import render_card
from portproof.sandbox.sandbox import run_module


def export_confined(
    models: Sequence[Path],
    output: Path,
    options: Sequence[str],
    readable: Sequence[Path],
    seconds: float,
    log: Callable[[str], None],
) -> list[Path]:
    """Export models that may be anyone's, and return the bundles.

    Args:
        models: `.keras` files and folders of SavedModels.
        output: The folder of the bundles, each below its model's name.
        options: Other options of `portproof export`.
        readable: What else is read.
        seconds: How long all of it may take.
        log: Called with each step, and with what is wrong.

    Raises:
        ExportError: A model cannot be exported, which `log` was told of.
        UsageError: It took too long, or something else than a bundle is where one would be.
    """
    names = [model.resolve().name if model.is_dir() else model.stem for model in models]
    targets = [replaceable(output / name) for name in names]
    output.mkdir(parents=True, exist_ok=True)
    with temporary.folder(output, ".portproof-export-") as folder:
        made = folder.absolute() / "bundles"
        # A folder's link is shown as a folder: it would be named after the link there.
        shown = [path.resolve() if path.is_dir() else path.absolute() for path in models]
        words = ["export", *map(str, shown), "--trust", f"--output={made}", *options]
        status = run_module(
            "portproof",
            words,
            readable=[*shown, *readable],
            folder=folder.absolute(),
            seconds=seconds,
            on_line=lambda line: None if line.startswith("exported ") else log(line),
        )
        if status:
            raise ExportError(f"{', '.join(names)}: not exported, for the reason above.")
        for name, target in zip(names, targets, strict=True):
            _take(Bundle.open(made / name), target)
    return targets


def _take(bundle: Bundle, target: Path) -> None:
    """Move what the manifest names, and nothing else that is there, to its place."""
    with atomic.folder(target) as folder:
        for path in (*(file.path for file in bundle.manifest.files), MANIFEST):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.move(bundle.path / path, folder / path)
        atomic.write_text(folder / CARD, render_card(target, bundle.manifest))
