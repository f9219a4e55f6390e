"""Lines and bytes from and to another process, within deadlines."""

import socket
import time
from collections.abc import Callable

_POLL = 0.2  # seconds between two calls of `meanwhile`
_CHUNK = 1 << 20
MAX_LINE = 1 << 26


class ChannelError(Exception):
    """What was said is out of turn or too long; its text is the reason in one line."""


class Channel:
    """A pair of sockets: `theirs` is the standard input and output of the other process.

    A socket has no name and cannot be opened by `/proc/self/fd`, as a pipe and a file can: what may
    write files in that process still cannot speak for it.

    Args:
        meanwhile: Called now and then while something is waited for. It raises what ends the
            waiting, and is true where nothing more will come.
    """

    def __init__(self, meanwhile: Callable[[], bool]) -> None:
        self._ours, self.theirs = socket.socketpair()
        self._meanwhile = meanwhile
        self._received = bytearray()

    def close(self) -> None:
        self._ours.close()

    def send(self, content: bytes, seconds: float) -> None:
        """Send some bytes. Raises TimeoutError, and OSError where the other process is gone."""
        self._ours.settimeout(seconds)
        self._ours.sendall(content)

    def unasked(self) -> bytes:
        """What has come already, of which some is shown."""
        self._ours.settimeout(0)
        try:
            return bytes(self._received) + self._ours.recv(_CHUNK, socket.MSG_PEEK)
        except OSError:
            return bytes(self._received)

    def line(self, seconds: float) -> bytes | None:
        """The next line, whole; None where none will come.

        Raises TimeoutError where there is none in so many seconds, and ChannelError where it is
        longer than `MAX_LINE`.
        """
        deadline = time.monotonic() + seconds
        searched = 0
        while (end := self._received.find(b"\n", searched)) < 0:
            searched = len(self._received)
            if searched > MAX_LINE:
                raise ChannelError(f"wrote a line of more than {MAX_LINE:,} bytes")
            if not (more := self._more(_CHUNK, deadline)):
                return None
            self._received += more
        line = bytes(self._received[: end + 1])
        del self._received[: end + 1]
        return line

    def content(self, size: int, seconds: float) -> bytes | None:
        """The next so many bytes; None and TimeoutError as for a line."""
        deadline = time.monotonic() + seconds
        parts = [bytes(self._received[:size])]
        del self._received[:size]
        left = size - len(parts[0])
        while left:
            if not (more := self._more(min(left, _CHUNK), deadline)):
                return None
            parts.append(more)
            left -= len(more)
        return b"".join(parts)

    def _more(self, size: int, deadline: float) -> bytes:
        """Some more bytes; none where there will be none."""
        while (left := deadline - time.monotonic()) > 0:
            self._ours.settimeout(min(_POLL, left))
            try:
                return self._ours.recv(size)
            except TimeoutError:
                if self._meanwhile():
                    return b""
            except OSError:  # it was reset, or closed by another thread of ours
                return b""
        raise TimeoutError
