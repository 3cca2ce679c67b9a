"""A web server and an S3 server on this machine, started by a test, that can be told to misbehave."""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote
from urllib.request import Request, urlopen

import pytest


class WebServer:
    """Serves ``files`` by their names.

    Attributes
    ----------
    url : str
    files : dict from str to bytes
    ranges : bool
        Whether parts of a file can be asked for.
    says_ranges : bool
        Whether it says so.
    cuts : Counter
        How many more answers about a file end after half of what they promised.
    asked : list of (str, str, str)
        Method, name and range of every question.
    on_get : callable
        Called with the name before a file is sent.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.ranges, self.says_ranges, self.cuts = True, True, Counter[str]()
        self.asked: list[tuple[str, str, str]] = []
        self.on_get: Callable[[str], object] = len
        self.answer: Callable[[BaseHTTPRequestHandler], bool] = lambda request: False
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_HEAD(self) -> None:
                server.serve(self, send=False)

            def do_GET(self) -> None:
                server.serve(self, send=True)

            def do_POST(self) -> None:
                server.serve(self, send=True)

            def log_message(self, *_: object) -> None:
                pass

        return Handler

    def serve(self, request: BaseHTTPRequestHandler, send: bool) -> None:
        if self.answer(request):
            return
        name, asked = unquote(request.path.partition("?")[0]).lstrip("/"), request.headers.get("Range") or ""
        self.asked.append((request.command, name, asked))
        if name not in self.files:
            request.send_response(404)
            request.send_header("Content-Length", "0")
            request.end_headers()
            return
        if send:
            self.on_get(name)
        content = self.files[name]
        part, status = content, 200
        if asked and self.ranges:
            first, _, last = asked.removeprefix("bytes=").partition("-")
            part, status = content[int(first) : int(last or len(content)) + 1], 206
        request.send_response(status)
        request.send_header("Content-Length", str(len(part)))
        request.send_header("ETag", '"' + hashlib.sha1(content).hexdigest() + '"')
        if self.says_ranges:
            request.send_header("Accept-Ranges", "bytes" if self.ranges else "none")
        if status == 206:
            request.send_header("Content-Range", f"bytes {first}-{int(first) + len(part) - 1}/{len(content)}")
        request.end_headers()
        if send:
            cut = self.cuts[name] > 0
            self.cuts[name] -= cut
            request.wfile.write(part[: len(part) // 2] if cut else part)
            if cut:
                request.close_connection = True


@contextmanager
def web_server() -> Iterator[WebServer]:
    server = WebServer()
    try:
        yield server
    finally:
        server.close()


@contextmanager
def s3_server(environment: pytest.MonkeyPatch) -> Iterator[str]:
    """An S3 server with the bucket ``faces``; its address, which the environment gives to whoever asks for s3."""
    import s3fs
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    environment.setenv("AWS_ENDPOINT_URL", url)
    environment.setenv("AWS_ACCESS_KEY_ID", "test")
    environment.setenv("AWS_SECRET_ACCESS_KEY", "test")
    environment.setenv("AWS_DEFAULT_REGION", "us-east-1")
    s3fs.S3FileSystem.clear_instance_cache()
    urlopen(Request(f"{url}/moto-api/reset", method="POST")).close()  # its buckets outlive a server
    try:
        s3fs.S3FileSystem().mkdir("faces")
        yield url
    finally:
        s3fs.S3FileSystem.clear_instance_cache()
        server.stop()


def hub_answers(server: WebServer, owner: str, name: str) -> dict[str, str]:
    """Let a web server answer as the Hugging Face hub does about one dataset; its files are ``server.files``.

    Returns
    -------
    dict from str to str
        What the environment of a process must say to ask this hub.
    """
    import json

    commit, api, resolve = "1" * 40, f"api/datasets/{owner}/{name}", f"datasets/{owner}/{name}/resolve/"

    def entry(path: str) -> dict[str, object]:
        content = server.files[path]
        digest = hashlib.sha256(content).hexdigest()
        lfs = {"oid": digest, "size": len(content), "pointerSize": 134}
        author = {"id": commit, "title": "x", "date": "2024-01-01T00:00:00.000Z"}
        return {
            "type": "file",
            "oid": digest[:40],
            "size": len(content),
            "path": path,
            "lfs": lfs,
            "lastCommit": author,
        }

    def tell(request: BaseHTTPRequestHandler, said: object) -> bool:
        text = json.dumps(said).encode()
        request.send_response(200)
        request.send_header("Content-Type", "application/json")
        request.send_header("Content-Length", str(len(text)))
        request.end_headers()
        request.wfile.write(text)
        return True

    def answer(request: BaseHTTPRequestHandler) -> bool:
        path = unquote(request.path.partition("?")[0]).lstrip("/")
        if path.startswith(resolve):
            request.path = "/" + path.removeprefix(resolve).partition("/")[2]
            return False
        if path.startswith(f"{api}/tree/"):
            return tell(request, [entry(each) for each in sorted(server.files)])
        if path.startswith(f"{api}/paths-info/"):
            asked = request.rfile.read(int(request.headers["Content-Length"])).decode()
            return tell(request, [entry(each) for each in sorted(server.files) if each in unquote(asked)])
        if path == api or path.startswith(f"{api}/revision/"):
            files = [{"rfilename": each} for each in sorted(server.files)]
            said = {"_id": "1", "id": f"{owner}/{name}", "sha": commit, "siblings": files, "tags": []}
            flags = dict.fromkeys(("private", "gated", "disabled"), False)
            return tell(request, {**said, **flags, "downloads": 0, "likes": 0})
        return False

    server.answer = answer
    return {"HF_ENDPOINT": server.url, "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "HF_TOKEN": "none"}
