"""Files and folders of models -> bundles, by an export that runs in the sandbox."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from os.path import realpath
from pathlib import Path

from portproof.bundle import atomic, temporary
from portproof.bundle.bundle import CARD, MANIFEST, Bundle, replaceable, tell_lost
from portproof.bundle.errors import ExportError, UsageError
from portproof.bundle.text import short_path
from portproof.quiet import keras_backend
from portproof.reporting.card import render_card
from portproof.sandbox.sandbox import obstacle, run_module

# How a line of the process in the sandbox begins that says why it ended.
_ERROR = "error: "


def can_confine(models: Sequence[Path], log: Callable[[str], None]) -> bool:
    """Whether there is a sandbox for these models; `log` is told why there is none."""
    if missing := obstacle():
        names = ", ".join(map(str, models))
        log(f"{names}: loaded with all your rights, for there is no sandbox: {missing}")
    return not missing


def export_confined(
    models: Sequence[Path],
    output: Path,
    inputs: Path | None,
    labels: Mapping[str, Path],
    options: Sequence[str],
    seconds: float,
    log: Callable[[str], None],
) -> list[Path]:
    """Export models that may be anyone's, and return the bundles.

    Args:
        models: `.keras` files and folders of SavedModels.
        output: The folder of the bundles, each below its model's name.
        inputs: A file of example inputs.
        labels: Files of labels, by output; "" is the only one.
        options: Other options of `portproof export`.
        seconds: How long all of it may take.
        log: Called with each step.

    Raises:
        ExportError: A model cannot be exported, with the reason; the others are.
        UsageError: A file of inputs is not there, it took too long, something else than a bundle is
            where one would be, or a folder is not all of its model.
    """
    # A folder's link is shown as a folder: it would be named after the link there.
    shown = [path.resolve() if path.is_dir() else path.absolute() for path in models]
    names = [path.name if path.is_dir() else path.stem for path in shown]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise UsageError(
            f"several models would be the bundle {repeated[0]}: export them one by one, each with "
            "an --output of its own."
        )
    words = [f"--inputs={inputs.absolute()}"] if inputs else []
    words += [f"--labels={name and f'{name}='}{file.absolute()}" for name, file in labels.items()]
    return make_confined(
        "portproof",
        lambda folder: [
            *("export", *map(str, shown), "--trust", f"--output={folder}", *words, *options)
        ],
        models=shown,
        bundles={name: output / name for name in names},
        readable=[*labels.values(), *([inputs] if inputs else [])],
        seconds=seconds,
        log=lambda line: None if line.startswith("exported ") else log(line),
    )


def make_confined(
    module: str,
    words: Callable[[Path], list[str]],
    *,
    models: Sequence[Path],
    bundles: Mapping[str, Path],
    readable: Sequence[Path],
    seconds: float,
    log: Callable[[str], None],
) -> list[Path]:
    """Have a module of ours make bundles in the sandbox, and return their folders.

    Args:
        module: The module.
        words: Gives its arguments, which have it write the bundles into the folder that it gets.
        models: Files and folders that may be anyone's, by their whole paths.
        bundles: Where each bundle belongs, by its name.
        readable: Other files that it reads.
        seconds: How long all of it may take.
        log: Called with each line that it prints.

    Raises as `export_confined` does.
    """
    targets = {name: replaceable(path) for name, path in bundles.items()}
    tell_lost(targets, log)
    for path in models:
        _check_links(path)
    for path in readable:
        if not path.exists():
            raise UsageError(f"there is no file {path}.")
        if not path.is_file():
            raise UsageError(f"{path} is no regular file.")
    wrong: list[str] = []

    def tell(line: str) -> None:
        if line.startswith(_ERROR):
            wrong.append(line.removeprefix(_ERROR))
        else:
            log(line)

    parent = next(iter(targets.values())).parent
    parent.mkdir(parents=True, exist_ok=True)
    with temporary.folder(parent, ".portproof-export-") as folder:
        made = folder.absolute() / "bundles"
        status = run_module(
            module,
            words(made),
            readable=[*models, *readable],
            folder=folder.absolute(),
            seconds=seconds,
            on_line=tell,
            variables={"KERAS_BACKEND": keras_backend()},  # whose file is not in the sandbox
        )
        # After a failure, some came to no bundle.
        whole = [name for name in targets if not status or (made / name / MANIFEST).is_file()]
        for name in whole:
            _take(Bundle.open(made / name), targets[name])
        if status:
            for name in whole:
                log(f"made {short_path(targets[name])}")
            named = f"{', '.join(bundles)}: not exported, for the reason above."
            kind = UsageError if status == UsageError.exit_status else ExportError
            raise kind("\n".join(wrong) or named)
    return list(targets.values())


def _check_links(model: Path) -> None:
    """Raise UsageError where a model's folder has links that lead out of it.

    What they lead to is not shown to the model, which might be anything that a stranger named.
    """
    for path in model.rglob("*") if model.is_dir() else ():
        # `Path.resolve` raises where links lead to each other.
        if path.is_symlink() and not Path(realpath(path)).is_relative_to(model):
            raise UsageError(
                f"{model}: {path.relative_to(model)} is a link that leads out of the folder, as in "
                f"a cache of downloads. Copy it (cp -rL {model.name} COPY), or give --trust if you "
                "trust who made it."
            )


def _take(bundle: Bundle, target: Path) -> None:
    """Move what the manifest names, and nothing else that is there, to its place."""
    with atomic.folder(target) as folder:
        for path in (*(file.path for file in bundle.manifest.files), MANIFEST):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.move(bundle.path / path, folder / path)
        atomic.write_text(folder / CARD, render_card(target, bundle.manifest))
