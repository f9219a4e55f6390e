"""Makes the test vectors of a bundle again, in a process of its own: prints what it finds."""

import sys

from portproof.bundle.bundle import Bundle
from portproof.bundle.errors import PortproofError
from portproof.quiet import start_tensorflow

start_tensorflow()

from portproof.vectors.recomputing import check_vectors  # noqa: E402  # it imports TensorFlow

try:
    check_vectors(Bundle.open(sys.argv[1]), print)
except PortproofError as error:
    print(error)
    raise SystemExit(1) from None
