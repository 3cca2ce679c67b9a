"""``facekit overlap``: two sets of faces in; the identities and pictures that both have out."""

from __future__ import annotations

import logging
import tempfile
from collections import Counter
from contextlib import nullcontext
from pathlib import Path

import numpy as np

from facekit.embeddings import is_features
from facekit.errors import ConfigError
from facekit.jobs.embed.pace import seconds_a_pair
from facekit.jobs.inputs.model import model_input, open_engine
from facekit.jobs.overlap.chance import chance_warning
from facekit.jobs.overlap.config import OverlapConfig, OverlapSummary, SideSummary
from facekit.jobs.overlap.match import Identities, Pictures, identities_of, near_centres, near_pictures, same_pictures
from facekit.jobs.overlap.side import Side, Space, open_side
from facekit.jobs.overlap.write import write_tables
from facekit.output import Input, check_folder, folder_input, input_of, open_folder
from facekit.output.dry_run import Forecast, is_dry, stop_if_dry
from facekit.records.distinct import distinct

__all__ = ["OverlapConfig", "OverlapSummary", "overlap"]

STRIPS_BYTES, ROW_BYTES = 20_000_000, 100
"""Of the strips at the most; and of a row of the tables, where nearly every picture or identity has one."""

log = logging.getLogger(__name__)


def overlap(config: OverlapConfig) -> OverlapSummary:
    """Find what two sets of faces share.

    Parameters
    ----------
    config : OverlapConfig

    Returns
    -------
    OverlapSummary

    Raises
    ------
    ConfigError, DestinationExists
        Nothing of both can be compared, vectors of two networks are given, or the destination exists.
    RecordError, FacekitError
        A set is missing or corrupt, or vectors are of another pack.
    """
    named = _named(config)
    if config.destination is not None:
        check_folder(config.destination, named, config.overwrite)
    with nullcontext("") if is_dry() else tempfile.TemporaryDirectory(prefix="facekit-overlap-") as folder:
        space = None if config.model is None else Space(open_engine(config.model), config.model, Path(folder))
        a = open_side(config.a, config.features_a, space)
        b = open_side(config.b, config.features_b, space)
        return _compare(config, a, b, named)


def _named(config: OverlapConfig) -> list[Input]:
    """Everything that is named to be read."""
    paths = [path for path in (config.a, config.b, config.features_a, config.features_b) if path is not None]
    found = [folder_input(path) if is_features(Path(path)) else input_of(path, lambda: ()) for path in paths]
    return found if config.model is None else [*found, model_input(config.model)]


def _compare(config: OverlapConfig, a: Side, b: Side, named: list[Input]) -> OverlapSummary:
    by_bytes = all(side.hashes is not None for side in (a, b))
    by_vectors = all(side.vectors is not None for side in (a, b))
    if not by_bytes and not by_vectors:
        raise ConfigError(
            f"nothing of {a.path} and {b.path} can be compared: one has vectors alone, the other none; give --model, "
            "or the vectors of both"
        )
    if by_vectors and a.model != b.model:
        raise ConfigError(f"the vectors of {a.path} were made by model {a.model}, those of {b.path} by {b.model}: "
                          "embed both with one")  # fmt: skip
    if is_dry():
        _tell(config, a, b, named)
    same, rows_a, rows_b, placeholders = same_pictures(a, b) if by_bytes else (_no_pictures(), *_no_rows(), 0)
    near = near_centres(a, b, config.identity, config.workers) if by_vectors else _no_identities()
    if by_vectors and (said := chance_warning(a, b, len(near.left), config.identity)) is not None:
        log.warning("%s", said)
    nearly = near_pictures(a, b, near, config.picture) if by_vectors else _no_pictures()
    people = identities_of(a, b, near, same, nearly)
    if config.destination is not None:
        inputs = [*named, a.read, b.read]
        with open_folder(config.destination, "overlap", inputs, config.settings(), config.overwrite) as output:
            if not output.published:
                write_tables(output.new_folder(), a, b, people, same, nearly)
                output.publish()
    found = nearly if by_vectors else None
    return OverlapSummary(
        a=_side(a, rows_a, None if found is None else found.left, people.left),
        b=_side(b, rows_b, None if found is None else found.right, people.right),
        identity_pairs=len(people.left),
        by_bytes=by_bytes,
        by_vectors=by_vectors,
        placeholders=placeholders,
        destination=config.destination,
    )


def _tell(config: OverlapConfig, a: Side, b: Side, named: list[Input]) -> None:
    """End with the plan."""
    people = [len(distinct(side.labels)) for side in (a, b)]
    pairs = people[0] * people[1] * (a.vectors is not None and b.vectors is not None)
    counts = {"pictures of A": len(a), "identities of A": people[0], "pictures of B": len(b)}
    counts |= {"identities of B": people[1], "pairs of centres": pairs}
    times: dict[str, float | None] = dict(Counter(a.seconds) + Counter(b.seconds))
    times |= {"comparing centres": pairs * seconds_a_pair()} if pairs else {}
    device = None if config.model is None else config.model.device
    timed = "measured now, on the first pictures of each; those of people who are in both are compared besides"
    forecast = Forecast(len(a) + len(b), counts=counts, times=times, timed=timed, device=device)
    inputs, needed = [*named, a.read, b.read], STRIPS_BYTES + ROW_BYTES * (len(a) + len(b) + sum(people))
    if config.destination is None:
        stop_if_dry("overlap", None, tuple(inputs), 0, forecast=forecast)
    else:
        about = (config.settings(), config.overwrite, needed)
        open_folder(config.destination, "overlap", inputs, *about, forecast=forecast)


def _side(side: Side, same: np.ndarray, near: np.ndarray | None, labels: np.ndarray) -> SideSummary:
    near_count = None if near is None else len(np.setdiff1d(near, same))
    return SideSummary(side.path, len(side), len(distinct(side.labels)), len(same), near_count, len(distinct(labels)))


def _no_rows() -> tuple[np.ndarray, np.ndarray]:
    return np.zeros(0, np.int64), np.zeros(0, np.int64)


def _no_pictures() -> Pictures:
    return Pictures(*_no_rows(), np.zeros(0))


def _no_identities() -> Identities:
    return Identities(*_no_rows(), np.zeros(0), *_no_rows())
