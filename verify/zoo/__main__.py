"""Proves models that nobody here wrote, and writes their matrix: `make zoo`."""

import argparse
import tempfile
from functools import partial
from pathlib import Path

from portproof.quiet import start_tensorflow

start_tensorflow()

from verify.zoo.run import MODELS, run  # noqa: E402

RESULTS = Path(__file__).parent / "RESULTS.md"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.zoo", description=__doc__)
    parser.add_argument("names", nargs="*", help="models; all without one")
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.name}")
    parser.add_argument("--keep", type=Path, help="a folder for the bundles, which stay there")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="portproof-") as passing:
        folder = arguments.keep or Path(passing)
        matrix = run(arguments.names or list(MODELS), folder, partial(print, flush=True))
    if arguments.write:
        RESULTS.write_text("\n".join(matrix.page()) + "\n")
    print("\n".join([*matrix.summary(), *matrix.unexplained]))
    raise SystemExit(1 if matrix.unexplained or not matrix.cells else 0)


if __name__ == "__main__":
    main()
