"""A server on the loopback that answers as no server should, and counts who calls it."""

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Server(ThreadingHTTPServer):
    """Answers at `/drips/...`, `/hangs/...` and so on; `called` has every path."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.called: list[str] = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away is what is wanted."""


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Server)
        self.server.called.append(self.path)
        kind = self.path.split("/")[1]
        if kind == "redirects-to-itself":
            self.send_response(302)
            self.send_header("Location", self.path)
            self.end_headers()
            return
        if self.path.endswith("index.json"):
            self.send_error(404)
            return
        self.send_response(200)
        if kind == "breaks-off":
            self.send_header("Content-Length", "1000000")
        self.end_headers()
        getattr(self, f"_{kind.replace('-', '_')}", self._hangs)()

    do_HEAD = do_GET

    def _drips(self) -> None:
        while True:
            self.wfile.write(b"0")
            time.sleep(0.2)

    def _hangs(self) -> None:
        time.sleep(600)

    def _never_ends(self) -> None:
        while True:
            self.wfile.write(b"0" * (1 << 20))

    def _breaks_off(self) -> None:
        self.wfile.write(b"0" * 10)

    def log_message(self, *args: object) -> None:
        """Nothing is printed."""
