"""Runs Keras's own layer tests as models, and writes what comes out: `make conformance`."""

import argparse
import tempfile
from functools import partial
from pathlib import Path

import portproof

portproof.start_tensorflow()

from verify.conformance.harvest import harvest  # noqa: E402
from verify.conformance.results import Conformance  # noqa: E402
from verify.conformance.run import export_all, verify_all  # noqa: E402

RESULTS = Path(__file__).parent / "RESULTS.md"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m verify.conformance", description=__doc__)
    parser.add_argument("names", nargs="*", help="what a name begins with; all if none is given")
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.name}")
    parser.add_argument(
        "--keep", type=Path, help="keep the bundles in this folder, and go on there"
    )
    arguments = parser.parse_args()
    chosen = tuple(arguments.names) or ("",)
    names = [name for name in harvest() if name.startswith(chosen)]
    log = partial(print, flush=True)
    with tempfile.TemporaryDirectory(prefix="portproof-") as temporary:
        folder = arguments.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        no_bundle = export_all(names, folder, log)
        verify_all(names, folder, log)
        conformance = Conformance(names, folder, no_bundle)
    if arguments.write:
        RESULTS.write_text("\n".join(conformance.page()) + "\n")
    print("\n".join(conformance.summary()))
    for finding in conformance.unexplained:
        first = finding.explained[""][0]
        print(f"{finding.model} {first.full_format} in {first.runtime}: {first.detail}")
    raise SystemExit(0 if conformance.cells and not conformance.unexplained else 1)


if __name__ == "__main__":
    main()
