"""The pictures in the documents: `make pictures` takes them of what `make` made."""

import os
import subprocess

from portproof.bundle.bundle import PAGE
from tests.conftest import REPOSITORY
from tests.helpers.programs import browser_variables, node_command

REPORT = REPOSITORY / "docs" / "pictures" / "report.png"
SIZE = ("1000", "860")


def main() -> None:
    page = REPOSITORY / "artifacts" / "quadratic_keras" / PAGE
    REPORT.parent.mkdir(exist_ok=True)
    subprocess.run(
        node_command("picture.mjs", page.as_uri(), str(REPORT), *SIZE),
        env={**os.environ, **browser_variables()},
        check=True,
    )
    print(f"{REPORT.relative_to(REPOSITORY)}: {REPORT.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    main()
