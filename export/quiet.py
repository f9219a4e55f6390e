"""What TensorFlow's C++ side writes to standard error, kept from the person unless it matters."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet(*, tell: bool = True) -> Iterator[None]:
    """Hold back the process's standard error; where the block raises, let it all be seen.

    Without `tell` it is not: for what says all of it in its exception too.

    Python cannot reach it: it is written to the file descriptor, before a logger is set up, and
    whatever the log level.
    """
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as chatter:
        os.dup2(chatter.fileno(), 2)
        try:
            yield
        except BaseException:
            if tell:
                chatter.seek(0)
                os.write(kept, chatter.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)
