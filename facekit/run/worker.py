"""The other end of :mod:`facekit.run.processes`: a process that does shard after shard until its parent is gone."""

from __future__ import annotations

import os
import pickle
import sys
import threading
import traceback
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import Any

__all__ = ["main", "portable_error"]


def main() -> None:
    """Serve the socket whose descriptor stands last on the command line."""
    sys.meta_path.insert(0, _WithoutPandas())
    connection = Connection(int(sys.argv[-1]))
    inbox: SimpleQueue[bytes] = SimpleQueue()
    threading.Thread(target=_listen, args=(connection, inbox), daemon=True).start()
    work: Any = None
    while True:
        message = inbox.get()
        try:
            if work is None:
                start, config = pickle.loads(message)
                work = start(config)
                continue
            answer: Any = (work(pickle.loads(message)),)
        except Exception as error:
            answer = portable_error(error, repr(pickle.loads(message)))
        connection.send(answer)


class _WithoutPandas:
    """pyarrow imports pandas wherever it is installed: half a second and 45 MB a worker, for nothing."""

    def find_spec(self, name: str, *_: object) -> None:
        if name == "pandas":
            raise ModuleNotFoundError("pandas is not loaded in workers", name=name)


def _listen(connection: Connection, inbox: SimpleQueue[bytes]) -> None:
    """Hand on what arrives. When the parent is gone, however it went, so is this process: at once, in mid-shard."""
    try:
        while True:
            inbox.put(connection.recv_bytes())
    except (EOFError, OSError):
        os._exit(0)


def portable_error(error: Exception, doing: str) -> Exception:
    """The error itself when it is one of ours, or the refusal of the system that it is: the parent has words for those.

    Else one that says what the worker did and quotes the traceback.
    """
    from facekit.errors import FacekitError, RecordError
    from facekit.output.system import cured, system_refusal
    from facekit.run.protocol import WorkerError

    if isinstance(error, FacekitError):
        return (cured(error) if isinstance(error, RecordError) else None) or error
    refusal = system_refusal(error)
    if refusal is not None:
        return OSError(refusal.errno, refusal.strerror, refusal.filename2 or refusal.filename)
    return WorkerError(f"{doing}: {''.join(traceback.format_exception(error)).strip()}")
