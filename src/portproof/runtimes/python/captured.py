"""What a library writes to standard error, where it says things that it returns nowhere."""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def captured_stderr() -> Iterator[Callable[[], str]]:
    """Gives a function that tells what a library wrote to standard error, in one line.

    An error that is raised inside gets it as its end: it is where an interpreter names the op.
    """
    original = os.dup(2)
    with tempfile.TemporaryFile() as written:

        def text() -> str:
            written.seek(0)
            return " ".join(written.read().decode(errors="replace").split())

        os.dup2(written.fileno(), 2)
        try:
            yield text
        except Exception as error:
            raise RuntimeError(": ".join(filter(None, [str(error), text()]))) from error
        finally:
            os.dup2(original, 2)
            os.close(original)
