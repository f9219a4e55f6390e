"""Verifies models in many versions of the runtimes, for docs/versions.md: `make versions`."""

import argparse
import sys
import tempfile
from functools import partial
from pathlib import Path

import portproof

portproof.start_tensorflow()

from verify.versions.run import FAMILIES, export_models, run  # noqa: E402
from verify.versions.table import page  # noqa: E402

PAGE = Path(__file__).parents[2] / "docs" / "versions.md"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m verify.versions", description=__doc__)
    parser.add_argument("families", nargs="*", help=f"of {', '.join(FAMILIES)}; all if none")
    parser.add_argument("--write", action="store_true", help="write docs/versions.md")
    arguments = parser.parse_args()
    if arguments.write and arguments.families:
        parser.error("--write writes the page of all families: name none")
    families = arguments.families or list(FAMILIES)
    log = partial(print, flush=True, file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="portproof-") as folder:
        bundles = export_models(Path(folder), log)
        reports = {family: run(bundles, FAMILIES[family], log) for family in families}
    text = page(reports)
    if arguments.write:
        PAGE.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
