"""The demo's HTTP server: local only, two routes, stores nothing (standard library)."""

from __future__ import annotations

import html
import http.server
import json
from pathlib import Path
from typing import Any

from kzoo.demo.network import Network
from kzoo.demo.pictures import LARGEST
from kzoo.errors import InputError, KzooError

HOST = "127.0.0.1"
POLICY = (
    "default-src 'none'; img-src data: blob:; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers ``GET /`` with the page and ``POST /predict`` with the network's prediction of a picture."""

    network: Network
    timeout = 30
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Send the page at ``/``; any other path is an error."""
        if not self._is_local():
            return
        if self.path != "/":
            self._send(404, "text/plain", b"there is nothing here")
            return
        page = Path(__file__).with_name("page.html").read_text(encoding="utf-8")
        page = page.replace("DRAWS", json.dumps(self.network.draws))
        page = page.replace("TITLE", html.escape(self.network.title))  # last: a title may hold any word
        self._send(200, "text/html; charset=utf-8", page.encode())

    def do_POST(self) -> None:
        """Send the network's prediction of the picture in the request's body."""
        # Refuse other machines and routes.
        if not self._is_local():
            return
        if self.path not in ("/predict", "/predict?drawn"):
            self._refuse(404, "there is nothing here")
            return

        # Read the picture only if its size is known and small enough. Each kind of error has its own status.
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal():
            self._refuse(411, "the length of the picture must be given")
        elif len(length) > len(str(LARGEST)) or int(length) > LARGEST:
            self._refuse(413, f"the picture is larger than {LARGEST // 10**6} MB")
        else:
            content = self.rfile.read(int(length))
            try:
                answer = self.network.answer(content, drawn=self.path.endswith("?drawn"))
            except InputError as error:
                self._refuse(415, str(error))
            except KzooError as error:
                self._refuse(500, str(error))
            else:
                self._json(200, answer)

    def _is_local(self) -> bool:
        """Refuse other host names and origins, so that no other site can send requests (DNS rebinding)."""
        assert isinstance(self.server, http.server.HTTPServer)
        port = self.server.server_port
        names = (f"{HOST}:{port}", f"localhost:{port}")
        origin = self.headers.get("Origin")
        if self.headers.get("Host") in names and origin in (None, *(f"http://{name}" for name in names)):
            return True
        self._refuse(403, "only requests from this machine's own page are answered")
        return False

    def _refuse(self, status: int, text: str) -> None:
        self.close_connection = True  # the rest of the body is not read
        self._json(status, {"error": text})

    def _json(self, status: int, content: dict[str, Any]) -> None:
        self._send(status, "application/json", json.dumps(content).encode())

    def _send(self, status: int, kind: str, content: bytes) -> None:
        self.send_response(status)
        headers = {
            "Content-Type": kind,
            "Content-Length": str(len(content)),
            "Content-Security-Policy": POLICY,
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cache-Control": "no-store",
        }
        if self.close_connection:
            headers["Connection"] = "close"
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: requests are private."""


def demo_server(target: str, port: int = 8000) -> http.server.ThreadingHTTPServer:
    """Create the server of a network's page, reachable only from this machine; `serve_forever` runs it.

    Args:
        target: a run's directory, a weight set (``MODEL:TAG``), or an exported file.
        port: port to listen on; 0 for any free one.

    Raises:
        InputError: the target is none of these, or the port is taken.
    """
    handler = type("NetworkHandler", (Handler,), {"network": Network(target)})
    try:
        return http.server.ThreadingHTTPServer((HOST, port), handler)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"port {port} cannot be listened on ({reason}): choose another (--port)") from None
