"""Makes the bundle of a file that is checked: in the sandbox, for all that it reads is anyone's.

Its argument is a request in JSON.
"""

import os
import sys

from portproof.bundle.errors import PortproofError
from portproof.checking.lone_file import write_lone
from portproof.checking.request import CheckRequest
from portproof.quiet import start_tensorflow


def main() -> int:
    """Make it, and print each step and what is wrong."""
    request = CheckRequest.from_json(sys.argv[1])
    # Its warnings are of its own making: a line for each node that its optimizer cannot cost.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        if request.model:
            start_tensorflow()
            from portproof.checking.checking import make

            make(request, lambda line: print(line, flush=True))
        else:
            write_lone(request)
    except PortproofError as error:
        print(f"error: {error}", flush=True)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
