"""``facekit unpack``: a pack -> one folder an identity, with a list from which the pack can be made again."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter

import numpy as np

from facekit.errors import RecordError
from facekit.jobs.inputs.checks import check_at_least
from facekit.jobs.inputs.source import pack_input, refuse_shared_records
from facekit.jobs.outputs.rewrite import NO_LABEL
from facekit.output import open_folder
from facekit.records import open_pack
from facekit.records.index_policy import index_policy
from facekit.records.tar_shards import picture_suffix
from facekit.run.progress import progress

__all__ = ["LIST", "UnpackConfig", "UnpackSummary", "unpack"]

LIST = "unpacked.lst"


@dataclass(frozen=True)
class UnpackConfig:
    """Settings of ``facekit unpack``.

    Attributes
    ----------
    source, destination : str
    limit : int, optional
        Take only the first pictures of those with a label from 0 on.
    overwrite : bool
        Replace a folder that was unpacked before.
    partial_index : bool
        Take a pack whose index does not reach its end.

    Raises
    ------
    ConfigError
        A value is not allowed; the message says what was given and what is allowed.
    """

    source: str
    destination: str
    limit: int | None = None
    overwrite: bool = False
    partial_index: bool = False

    def __post_init__(self) -> None:
        check_at_least("limit", self.limit, 1)


@dataclass(frozen=True)
class UnpackSummary:
    """What ``facekit unpack`` did.

    Attributes
    ----------
    destination : str
    pictures, identities : int
    strange : int
        Payloads that are no picture by their first bytes, and were written too.
    dropped : dict from str to int
        Records of the pack left out, by reason.
    list : str
    seconds : float
    """

    destination: str
    pictures: int
    identities: int
    strange: int
    dropped: dict[str, int]
    list: str
    seconds: float


def unpack(config: UnpackConfig) -> UnpackSummary:
    """Write every labelled payload of a pack, byte for byte, as a file ``LABEL/KEY.jpg``, and the list of all.

    Parameters
    ----------
    config : UnpackConfig

    Returns
    -------
    UnpackSummary

    Raises
    ------
    ConfigError, DestinationExists
        Settings outside what is allowed, or the destination exists.
    RecordError
        The pack is missing or corrupt, or the disk refuses.
    """
    started = perf_counter()
    seen: set[int] = set()
    strange = 0
    with (
        open_pack(config.source, partial_index=index_policy(config.partial_index)) as pack,
        open_folder(
            config.destination,
            "unpack",
            [pack_input(pack.paths.rec, config.source)],
            asdict(config),
            config.overwrite,
            pack.paths.rec.stat().st_size if config.limit is None else 0,
        ) as output,
    ):
        folder = output.new_folder()
        refuse_shared_records(pack)
        rows = np.flatnonzero(pack.labels >= 0)[: config.limit]
        unlabelled = int((pack.labels < 0).sum())
        keys, labels = pack.keys[rows].tolist(), pack.labels[rows].tolist()
        with progress("unpacking", len(keys)) as advance, open(folder / LIST, "w", encoding="ascii") as lines:
            for key, label in zip(keys, labels, strict=True):
                payload = pack.read(key).payload
                suffix = picture_suffix(payload)
                name = f"{label:07d}/{key:08d}.{suffix}"
                _write(folder / name, payload, label not in seen)
                seen.add(label)
                strange += suffix == "bin"
                lines.write(f"{key}\t{label}\t{name}\n")
                advance(1)
        output.publish(listed_in=LIST)
    place = Path(config.destination)
    dropped = {NO_LABEL: unlabelled} if unlabelled else {}
    return UnpackSummary(
        str(place), len(keys), len(seen), strange, dropped, str(place / LIST), perf_counter() - started
    )  # fmt: skip


def _write(path: Path, payload: bytes, new_folder: bool) -> None:
    try:
        if new_folder:
            path.parent.mkdir(exist_ok=True)
        path.write_bytes(payload)
    except OSError as error:
        raise RecordError(f"writing failed: {error.strerror}", path) from error
