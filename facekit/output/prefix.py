"""The objects that a command writes below a prefix of a store: refused, resumed, compared and recorded.

A store has no rename of many objects, so the record is what makes them a whole: ``run.json.unfinished`` lies there from
the first object on, with the settings and the names that are to come; ``run.json``, which lists everything, is written
after the last; then the first is removed. What lies beside a ``run.json.unfinished`` is refused as a source. Each
object appears when it is whole. There is no lock: two runs with the same settings write the same bytes, and one with
others is refused.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Semaphore
from types import TracebackType
from typing import Any

import facekit
from facekit.errors import ConfigError, DestinationExists, FacekitError
from facekit.output.dry_run import stop_if_dry
from facekit.output.inputs import Input, refuse_changed
from facekit.output.record import RECORD, lineage_of, plain, write_record
from facekit.stores.objects import UNFINISHED, list_objects, put_bytes, put_file, read_object, remove_objects

__all__ = ["PrefixOutput", "open_prefix"]

_AT_ONCE = 4
"""Objects on their way at one time; as many more lie on the disk."""


def open_prefix(
    address: str,
    command: str,
    inputs: Iterable[Input],
    settings: Mapping[str, Any],
    names: Sequence[str],
    overwrite: bool = False,
    needed: int = 0,
) -> PrefixOutput:
    """Open the prefix that a command is to write.

    Parameters
    ----------
    address : str
    command : str
        For the record.
    inputs : iterable of Input
        Everything that was named to be read.
    settings : mapping
        JSON-able: everything that decides the bytes. An unfinished run with others is refused.
    names : sequence of str
        Of all objects that will be written, the record apart.
    overwrite : bool
        Replace what facekit's record lists; discard an unfinished run with other settings.
    needed : int
        Bytes that will be written at the most, for a dry run.

    Returns
    -------
    PrefixOutput
        A context manager.

    Raises
    ------
    ConfigError
        An unfinished run had other settings, or nothing can be written there.
    DestinationExists
        Objects lie there that may not be replaced.
    StoreError
        The store refuses.
    """
    said = plain({"facekit": facekit.__version__, "command": command, **settings})
    return PrefixOutput(address.rstrip("/"), tuple(inputs), said, tuple(names), overwrite, needed)


class PrefixOutput:
    """Objects below a prefix while they are made; see `open_prefix`.

    Attributes
    ----------
    folder : Path
        Where files are made before they are put; emptied at the end.
    """

    def __init__(
        self,
        address: str,
        inputs: tuple[Input, ...],
        settings: dict[str, Any],
        names: tuple[str, ...],
        overwrite: bool,
        needed: int = 0,
    ) -> None:
        self.address, self._inputs, self._settings, self._names = address, inputs, settings, names
        objects = list_objects(address)
        self._there, former = self._look(objects, overwrite)
        stop_if_dry(settings["command"], address, inputs, needed, UNFINISHED in objects)
        if former:
            remove_objects(address, former)
        self._sizes: dict[str, int] = {}
        self._arrived = 0
        self._sent: list[Future[None]] = []
        self.folder = Path(tempfile.mkdtemp(prefix="facekit-"))
        self._pool, self._room = ThreadPoolExecutor(_AT_ONCE), Semaphore(2 * _AT_ONCE)
        put_bytes(address, UNFINISHED, self._marker())

    def _marker(self) -> bytes:
        return (json.dumps({"settings": self._settings, "files": self._names}, indent=2) + "\n").encode()

    def _look(self, objects: dict[str, int], overwrite: bool) -> tuple[dict[str, int], list[str]]:
        """Refuse what may not be replaced; what a run with these settings has left there already, what is to go."""
        before = _read_json(self.address, UNFINISHED) if UNFINISHED in objects else None
        if before is not None and before.get("settings") == self._settings:
            self._refuse_strange(objects, {*self._names, UNFINISHED, RECORD})
            return {name: size for name, size in objects.items() if name in self._names}, []
        record = _read_json(self.address, RECORD) if RECORD in objects else None
        if objects and not overwrite:
            raise self._refusal(before, record, objects)
        listed: dict[str, int | None] = {str(name): size for name, size, _ in (record or {}).get("files", ())}
        listed |= dict.fromkeys((before or {}).get("files", ()))
        self._refuse_strange(objects, {*listed, UNFINISHED, RECORD})
        changed = [name for name, size in listed.items() if size is not None and objects.get(name, size) != size]
        if changed:
            raise DestinationExists(
                f"{self.address}/{changed[0]} is not what facekit wrote there: move it away, or choose another prefix"
            )
        # The record first: from then on nobody takes the rest for whole.
        return {}, sorted(objects, key=lambda name: (name != RECORD, name == UNFINISHED))

    def _refusal(self, before: Any, record: Any, objects: dict[str, int]) -> ConfigError:
        if before is not None:
            return ConfigError(
                f"{self.address} holds an unfinished run with other settings or of another source: give the same "
                "command again to go on, or pass --overwrite to discard it"
            )
        if record is not None:
            return DestinationExists(f"{self.address} exists already; choose another prefix or pass --overwrite")
        name = min(objects)
        return DestinationExists(f"{self.address} holds {name}, which is not of facekit: choose another prefix")

    def _refuse_strange(self, objects: Iterable[str], known: set[str]) -> None:
        strange = sorted(set(objects) - known)
        if strange:
            raise DestinationExists(
                f"{self.address} holds {strange[0]}, which is not of facekit: move it away, or choose another prefix"
            )

    def put(self, path: Path) -> None:
        """Put a finished file of `folder` under its name, in the background, and remove it; waits where many wait.

        What an interrupted run has put there already is not sent again.

        Raises
        ------
        StoreError
            An earlier one was refused.
        """
        for done in [sent for sent in self._sent if sent.done()]:
            self._sent.remove(done)
            done.result()
        self._room.acquire()
        self._sizes[path.name] = path.stat().st_size
        self._sent.append(self._pool.submit(self._put, path))

    def _put(self, path: Path) -> None:
        try:
            if self._there.get(path.name) != self._sizes[path.name]:
                put_file(self.address, path)
                self._arrived += 1
            path.unlink()
        finally:
            self._room.release()

    def holds(self, name: str) -> bool:
        """Whether an object was there already when this run began: left by an interrupted one, or by another part."""
        return name in self._there

    def wait(self) -> None:
        """Wait for the last object.

        Raises
        ------
        StoreError
            One was refused.
        """
        for sent in self._sent:
            sent.result()

    def publish(self) -> None:
        """Wait for the last object, compare the sources once more, and write the record.

        Raises
        ------
        FacekitError
            A source changed; or the objects that lie there are not those that were sent.
        """
        self.wait()
        refuse_changed(self._inputs)
        found = list_objects(self.address)
        self._refuse_strange(found, {*self._sizes, UNFINISHED})
        wrong = [name for name, size in self._sizes.items() if found.get(name) != size]
        if wrong:
            raise FacekitError(f"{self.address}/{wrong[0]} is not as it was sent; give the same command again")
        put_bytes(self.address, RECORD, self._record())
        remove_objects(self.address, [UNFINISHED])

    def _record(self) -> bytes:
        """As of a folder; the objects are gone from here, so their sizes stand for them."""
        write_record(self.folder, self._settings, lineage=lineage_of(one.path for one in self._inputs))
        content = json.loads((self.folder / RECORD).read_bytes())
        content["files"] = [[name, size, None] for name, size in sorted(self._sizes.items())]
        return (json.dumps(content, sort_keys=True, indent=2) + "\n").encode()

    def __enter__(self) -> PrefixOutput:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(wait=True, cancel_futures=error is not None)
        if error is not None and not self._there and not self._arrived:
            with suppress(FacekitError):  # nothing to go on with: the next run may have other settings
                remove_objects(self.address, [UNFINISHED])
        shutil.rmtree(self.folder, ignore_errors=True)


def _read_json(address: str, name: str) -> dict[str, Any] | None:
    """What facekit wrote there; None where it is not facekit's."""
    try:
        content = json.loads(read_object(address, name))
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) and "files" in content else None
