"""Trains the models of this folder: python -m export.train [NAME ...] [--seed 22] [--resume]"""

import argparse
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import portproof

MODELS = ("quadratic", "my_module", "quadratic_keras")


def train(
    name: str,
    folder: Path,
    *,
    seed: int = 22,
    epochs: int = 150,
    resume: bool = False,
    log: Callable[[str], None] = lambda _: None,
) -> None:
    """Train one model, and leave the training in `folder/NAME`.

    With `resume`, a training that was stopped continues, and ends with the same bits as one that
    was not. Raises UsageError where it does not fit.
    """
    import_module(f"export.{name}").train(folder / name, seed, epochs, resume, log)


def source_of(name: str, folder: Path) -> portproof.Source:
    """A model that was trained into `folder/NAME`, ready to export."""
    source: portproof.Source = import_module(f"export.{name}").source(folder / name)
    return source


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m export.train", description=__doc__)
    parser.add_argument("names", nargs="*", help=f"of {', '.join(MODELS)}; without one, all")
    parser.add_argument("--seed", type=int, default=22, help="decides data, start and order")
    parser.add_argument("--epochs", type=int, default=150, help="when to stop")
    parser.add_argument("--resume", action="store_true", help="continue where a training stopped")
    parser.add_argument("--folder", type=Path, default=Path("training"))
    arguments = parser.parse_args()
    names = list(dict.fromkeys(arguments.names or MODELS))
    if unknown := [name for name in names if name not in MODELS]:
        parser.error(f"there is no model {unknown[0]!r}: they are {', '.join(MODELS)}.")
    if arguments.epochs < 1:
        parser.error("--epochs is 1 or more.")
    portproof.start_tensorflow()
    options = {name: getattr(arguments, name) for name in ("seed", "epochs", "resume")}
    try:
        for name in names:
            print(f"training {name}", flush=True)
            train(name, arguments.folder, **options, log=print)
    except portproof.PortproofError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
