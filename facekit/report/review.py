"""The cleaning page on loopback, with a place to save what a person decides."""

from __future__ import annotations

import http.server
import json
import logging
import re
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, NamedTuple, cast

from facekit.errors import ConfigError, FacekitError
from facekit.report.bounded_server import BoundedServer
from facekit.report.clean_page import picture_type

__all__ = ["LONGEST", "ReviewHandlers", "open_server"]

_LOG = logging.getLogger(__name__)
LONGEST = 64 << 20
"""Bytes that a saved file may have."""
_NUMBER = re.compile("[0-9]{1,19}")
_NUMBERED = re.compile("/(picture|near|identity)/([0-9]{1,19})")
_POLICY = (
    "default-src 'none'; img-src 'self' data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "connect-src 'self'"
)


def _unknown(number: int) -> Any:
    raise FacekitError(f"nothing is known of {number}")


class ReviewHandlers(NamedTuple):
    """What the server hands out and takes.

    Attributes
    ----------
    page : callable
        The page's HTML.
    picture : callable
        Key to an encoded picture; raises FacekitError for a key that is not there.
    save : callable
        Takes the bytes of an overrides file; raises FacekitError for what is none, or names what is not there.
    near : callable
        Key to the identities that the face may belong to, JSON-able; raises FacekitError for a key that is not there.
    identity : callable
        Old label to what there is to show of the identity, JSON-able; raises FacekitError where there is none.
    """

    page: Callable[[], str]
    picture: Callable[[int], bytes]
    save: Callable[[bytes], None]
    near: Callable[[int], Any] = _unknown
    identity: Callable[[int], Any] = _unknown


def open_server(handlers: ReviewHandlers, port: int = 0) -> http.server.ThreadingHTTPServer:
    """Open the server on 127.0.0.1; ``server_address`` has its port, ``serve_forever`` runs it.

    Only this machine can reach it, and only pages that it served itself may save: requests that name another host, or
    that a foreign page could send without asking, are refused before anything of them is read. Threads are bounded,
    and so is the time of a request.

    Parameters
    ----------
    handlers : ReviewHandlers
    port : int
        0 takes a free one.

    Returns
    -------
    http.server.ThreadingHTTPServer

    Raises
    ------
    ConfigError
        The port is taken.
    """

    handler = type("Handler", (_Handler,), {"handlers": handlers})

    try:
        return BoundedServer(("127.0.0.1", port), handler)
    except (OSError, OverflowError) as error:
        raise ConfigError(f"port {port} cannot be opened: {error}; choose another --port") from error


class _Handler(http.server.BaseHTTPRequestHandler):
    handlers: ReviewHandlers
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # a picture's bytes follow its head at once, not 40 ms later

    def handle_one_request(self) -> None:
        cast(BoundedServer, self.server).start_clock(self.connection)
        super().handle_one_request()

    def do_GET(self) -> None:
        if not self._is_ours():
            self._refuse(HTTPStatus.FORBIDDEN, "this server answers to 127.0.0.1 only")
        elif self.path == "/":
            self._page()
        elif found := _NUMBERED.fullmatch(self.path):
            {"picture": self._picture, "near": self._near, "identity": self._identity}[found[1]](int(found[2]))
        else:
            self._answer(HTTPStatus.NOT_FOUND, b"there is nothing here")

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not self._is_ours() or self.headers.get("X-Facekit") != "review":
            self._refuse(HTTPStatus.FORBIDDEN, "only the page of this server may save")
        elif self.path != "/overrides":
            self._refuse(HTTPStatus.NOT_FOUND, "there is nothing here")
        elif not _NUMBER.fullmatch(length):
            self._refuse(HTTPStatus.LENGTH_REQUIRED, "the length of what is to be saved must be given")
        elif int(length) > LONGEST:
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"at most {LONGEST:,} bytes can be saved")
        else:
            self._save(int(length))

    def _page(self) -> None:
        try:
            page = self.handlers.page()
        except (FacekitError, OSError, ValueError, RecursionError) as error:  # a damaged file of earlier overrides
            self._refuse(HTTPStatus.INTERNAL_SERVER_ERROR, f"the page cannot be made: {error}")
        else:
            self._answer(HTTPStatus.OK, page.encode("utf-8", "replace"), "text/html; charset=utf-8")

    def _save(self, length: int) -> None:
        body = self.rfile.read(length)
        if len(body) < length:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT, "less came than was announced")
            return
        try:
            self.handlers.save(body)
        except FacekitError as error:
            self._answer(HTTPStatus.BAD_REQUEST, str(error).encode("utf-8", "replace"))
        except OSError as error:
            self._refuse(HTTPStatus.INTERNAL_SERVER_ERROR, f"not written: {error.strerror}")
        else:
            self._answer(HTTPStatus.OK, b"saved")

    def _picture(self, key: int) -> None:
        try:
            payload = self.handlers.picture(key)
        except FacekitError as error:
            self._answer(HTTPStatus.NOT_FOUND, str(error).encode("utf-8", "replace"))
        else:
            self._answer(HTTPStatus.OK, payload, picture_type(payload), "private, max-age=3600")

    def _near(self, key: int) -> None:
        self._data(self.handlers.near, key)

    def _identity(self, label: int) -> None:
        self._data(self.handlers.identity, label)

    def _data(self, make: Callable[[int], Any], number: int) -> None:
        try:
            found = json.dumps(make(number))
        except FacekitError as error:
            self._answer(HTTPStatus.NOT_FOUND, str(error).encode("utf-8", "replace"))
        else:
            self._answer(HTTPStatus.OK, found.encode(), "application/json")

    def _is_ours(self) -> bool:
        host = self.headers.get("Host", "")
        port = self.connection.getsockname()[1]
        return host in (f"127.0.0.1:{port}", f"localhost:{port}")

    def _refuse(self, status: HTTPStatus, why: str) -> None:
        """Answer and close: what else the client sends of this request is not read."""
        self.close_connection = True
        self._answer(status, why.encode("utf-8", "replace"))

    def _answer(
        self, status: HTTPStatus, body: bytes, kind: str = "text/plain; charset=utf-8", cache: str = "no-store"
    ) -> None:
        self.send_response(status)
        headers = {"Content-Type": kind, "Content-Length": str(len(body)), "Cache-Control": cache,
                   "Content-Security-Policy": _POLICY, "X-Content-Type-Options": "nosniff"}  # fmt: skip
        if self.close_connection:
            headers["Connection"] = "close"
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        _LOG.debug(format, *args)
