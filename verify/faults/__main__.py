"""Measures which faults the verifier catches, and its false alarms: `make faults`."""

import argparse
import tempfile
from functools import partial
from pathlib import Path

import portproof

portproof.start_tensorflow()

from verify.faults import architectures, corpus  # noqa: E402
from verify.faults.results import Results  # noqa: E402
from verify.faults.run import run  # noqa: E402

RESULTS = Path(__file__).parent / "RESULTS.md"
ARCHITECTURES = (*architectures.KERAS_BUILDERS, "integers", *corpus.BUILT_IN)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m verify.faults", description=__doc__)
    known = ", ".join(ARCHITECTURES)
    parser.add_argument("names", nargs="*", help=f"any of {known}; all if none is named")
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.name}")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="portproof-") as folder:
        log = partial(print, flush=True)
        results: Results = run(arguments.names or list(ARCHITECTURES), Path(folder), log)
    print("\n".join(results.table()))
    if arguments.write:
        RESULTS.write_text("\n".join(results.page()) + "\n")
    raise SystemExit(0 if results.meets_expectations() else 1)


if __name__ == "__main__":
    main()
