"""Verifies models that were not written to suit Portproof, and writes their matrix: `make zoo`."""

import argparse
import tempfile
from functools import partial
from pathlib import Path

import portproof

portproof.start_tensorflow()

from verify.zoo.run import MODELS, run  # noqa: E402

RESULTS = Path(__file__).parent / "RESULTS.md"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m verify.zoo", description=__doc__)
    parser.add_argument("names", nargs="*", help="models; all if none is named")
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.name}")
    parser.add_argument("--keep", type=Path, help="keep the bundles, in this folder")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="portproof-") as temporary:
        folder = arguments.keep or Path(temporary)
        matrix = run(arguments.names or list(MODELS), folder, partial(print, flush=True))
    if arguments.write:
        RESULTS.write_text("\n".join(matrix.page()) + "\n")
    print("\n".join([*matrix.summary(), *matrix.unexplained]))
    raise SystemExit(1 if matrix.unexplained or not matrix.cells else 0)


if __name__ == "__main__":
    main()
