"""``facekit lists merge``: lists in, one list by vote out."""

from __future__ import annotations

import dataclasses
import hashlib

from facekit.clean.list_votes import merged_list
from facekit.errors import ConfigError
from facekit.jobs.inputs.clean_list import read_list, require_list_file, write_list
from facekit.jobs.inputs.signatures import check_signature, signature_inputs
from facekit.jobs.lists.config import ListSummary, MergeConfig
from facekit.jobs.lists.job import HEAD_BYTES, ROW_BYTES
from facekit.jobs.lists.show import summarise
from facekit.output import PARQUET, check_files, input_of, open_files
from facekit.output.dry_run import Forecast

__all__ = ["merge_lists"]

READ_BYTES = 1 << 22


def merge_lists(config: MergeConfig) -> ListSummary:
    """Merge lists into one.

    Parameters
    ----------
    config : MergeConfig

    Returns
    -------
    ListSummary

    Raises
    ------
    ConfigError, DestinationExists
        One is missing, no list or given twice, or the destination exists.
    FacekitError
        One is damaged or not what its signature signs, or they have too many voters.
    """
    for path in config.lists:
        require_list_file(path)
    inputs = [input_of(path) for path in config.lists]
    inputs += [read for path in config.lists for read in signature_inputs(path, config.allowed_signers)]
    check_files({config.destination: PARQUET}, inputs, config.overwrite)
    signatures = {path: check_signature(path, config.allowed_signers) for path in config.lists}
    _refuse_twice(config.lists)
    lists, settings = [read_list(path) for path in config.lists], {"vote": config.vote}
    rows = sum(map(len, lists))
    forecast = Forecast(counts={"lists": len(lists), "rows read": rows}, timed="seconds")
    about = (inputs, settings, config.overwrite, HEAD_BYTES + ROW_BYTES * rows)
    with open_files({config.destination: PARQUET}, "lists merge", *about, forecast=forecast) as output:
        merged = merged_list(lists, config.vote)
        if not output.published:
            write_list(output.paths[0], merged)
    summary = summarise(config.destination, merged)
    return dataclasses.replace(summary, signatures={**signatures, **summary.signatures})


def _refuse_twice(paths: tuple[str, ...]) -> None:
    """A list votes once, under whatever names it lies."""
    first: dict[bytes, str] = {}
    for path in paths:
        hashed = hashlib.blake2b(digest_size=16)
        with open(path, "rb") as file:
            while block := file.read(READ_BYTES):
                hashed.update(block)
        if (earlier := first.setdefault(hashed.digest(), path)) != path or paths.count(path) > 1:
            raise ConfigError(f"{earlier} and {path} are one list, which votes once: choose one of them")
