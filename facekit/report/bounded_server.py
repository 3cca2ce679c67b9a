"""An HTTP server whose threads, and the time that a request may take, are bounded."""

from __future__ import annotations

import http.server
import logging
import socket
import sys
import threading
from contextlib import suppress
from time import monotonic
from typing import Any

__all__ = ["CONNECTIONS", "SECONDS", "BoundedServer"]

_LOG = logging.getLogger(__name__)
CONNECTIONS = 32
"""Connections that are served at once, a thread each; a browser opens six."""
SECONDS = 30.0
"""What a request may take, from its first byte or from the end of the one before, to the end of its answer."""
_BUSY = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class BoundedServer(http.server.ThreadingHTTPServer):
    """A threading server that turns connections away when all threads are taken, and ends requests that stall.

    Attributes
    ----------
    connections : int
        Threads at most.
    seconds : float
        After which a connection is closed, however slowly bytes still arrive; each request starts the time anew.
    """

    connections = CONNECTIONS
    seconds = SECONDS

    def __init__(self, address: tuple[str, int], handler: type[http.server.BaseHTTPRequestHandler]) -> None:
        self._free = threading.BoundedSemaphore(self.connections)
        self._deadlines: dict[socket.socket, float] = {}
        self._lock = threading.Lock()
        super().__init__(address, handler)

    def start_clock(self, connection: socket.socket) -> None:
        """A request begins on this connection."""
        with self._lock:
            self._deadlines[connection] = monotonic() + self.seconds

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection in a thread of its own, or turn it away."""
        if not self._free.acquire(blocking=False):
            with suppress(OSError):
                request.sendall(_BUSY)
            self.shutdown_request(request)
            return
        self.start_clock(request)
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve a connection to its end; in its thread."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self._lock:
                self._deadlines.pop(request, None)
            self._free.release()

    def service_actions(self) -> None:
        """End the connections whose time is over; called several times a second."""
        now = monotonic()
        with self._lock:
            late = [connection for connection, deadline in self._deadlines.items() if deadline < now]
        for connection in late:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say in one line what went wrong; a connection that broke is nothing to speak of."""
        error = sys.exc_info()[1]
        if isinstance(error, (ConnectionError, TimeoutError)):
            _LOG.debug("a connection broke: %s", error)
        else:
            _LOG.error("a request failed: %s: %s", type(error).__name__, error)
            _LOG.debug("from %s", client_address, exc_info=True)
