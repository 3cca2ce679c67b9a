"""The cleaning page on loopback, with a place to save what a person decides."""

from __future__ import annotations

import http.server
import logging
from collections.abc import Callable
from http import HTTPStatus
from typing import NamedTuple

from facekit.errors import ConfigError, FacekitError
from facekit.report.clean_page import picture_type

__all__ = ["ReviewHandlers", "open_server"]

_LOG = logging.getLogger(__name__)
LONGEST = 64 << 20
_POLICY = (
    "default-src 'none'; img-src 'self' data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "connect-src 'self'"
)


class ReviewHandlers(NamedTuple):
    """What the server hands out and takes."""

    page: Callable[[], str]
    picture: Callable[[int], bytes]  # raises FacekitError for a key that is not there
    save: Callable[[bytes], None]  # raises ConfigError for what is no overrides file


def open_server(handlers: ReviewHandlers, port: int = 0) -> http.server.ThreadingHTTPServer:
    """Open the server on 127.0.0.1; ``server_address`` has its port, ``serve_forever`` runs it.

    Only this machine can reach it, and only pages that it served itself may save: requests that name another host, or
    that a foreign page could send without asking, are refused.

    Raises
    ------
    ConfigError
        The port is taken.
    """

    handler = type("Handler", (_Handler,), {"handlers": handlers})

    try:
        return http.server.ThreadingHTTPServer(("127.0.0.1", port), handler)
    except (OSError, OverflowError) as error:
        raise ConfigError(f"port {port} cannot be opened: {error}; choose another --port") from error


class _Handler(http.server.BaseHTTPRequestHandler):
    handlers: ReviewHandlers
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if not self._is_ours():
            self._answer(HTTPStatus.FORBIDDEN, b"this server answers to 127.0.0.1 only")
        elif self.path == "/":
            self._answer(HTTPStatus.OK, self.handlers.page().encode(), "text/html; charset=utf-8")
        elif self.path.startswith("/picture/") and self.path[9:].isdigit():
            self._picture(int(self.path[9:]))
        else:
            self._answer(HTTPStatus.NOT_FOUND, b"there is nothing here")

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not length.isdigit() or int(length) > LONGEST:
            self.close_connection = True
            self._answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, b"too long")
            return
        body = self.rfile.read(int(length))
        if not self._is_ours() or self.headers.get("X-Facekit") != "review":
            self._answer(HTTPStatus.FORBIDDEN, b"only the page of this server may save")
        elif self.path != "/overrides":
            self._answer(HTTPStatus.NOT_FOUND, b"there is nothing here")
        else:
            self._save(body)

    def _save(self, body: bytes) -> None:
        try:
            self.handlers.save(body)
        except FacekitError as error:
            self._answer(HTTPStatus.BAD_REQUEST, str(error).encode())
        else:
            self._answer(HTTPStatus.OK, b"saved")

    def _picture(self, key: int) -> None:
        try:
            payload = self.handlers.picture(key)
        except FacekitError as error:
            self._answer(HTTPStatus.NOT_FOUND, str(error).encode())
        else:
            self._answer(HTTPStatus.OK, payload, picture_type(payload), "private, max-age=3600")

    def _is_ours(self) -> bool:
        host = self.headers.get("Host", "")
        port = self.connection.getsockname()[1]
        return host in (f"127.0.0.1:{port}", f"localhost:{port}")

    def _answer(
        self, status: HTTPStatus, body: bytes, kind: str = "text/plain; charset=utf-8", cache: str = "no-store"
    ) -> None:
        self.send_response(status)
        headers = {"Content-Type": kind, "Content-Length": str(len(body)), "Cache-Control": cache,
                   "Content-Security-Policy": _POLICY, "X-Content-Type-Options": "nosniff"}  # fmt: skip
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        _LOG.debug(format, *args)
