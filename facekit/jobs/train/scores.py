"""Scores while a network is trained, as ``facekit eval`` has them: of lists of pairs, of packs with masked faces."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from facekit.errors import ConfigError, PictureError
from facekit.evaluate.pairs import fold_accuracy
from facekit.images import decode
from facekit.images.size import picture_size
from facekit.jobs.evaluate.config import EvalConfig
from facekit.jobs.evaluate.faces import Network
from facekit.jobs.evaluate.rehearsal import seconds_a_pair
from facekit.jobs.evaluate.scores import BARE, MASKED, Findings, bin_scores, key_scores, pack_scores
from facekit.jobs.inputs.ledger import read_bins_flags, read_flags
from facekit.jobs.inputs.model import ModelChoice
from facekit.jobs.inputs.pair_tables import KeyPairs, read_pairs
from facekit.jobs.inputs.source import open_source
from facekit.jobs.inputs.source_records import read_records
from facekit.records.bins import read_bins

__all__ = ["check_best", "check_lists", "list_names", "list_warnings", "rehearsed_scores", "scorer"]

Size = tuple[int, int]


def list_names(pairs: tuple[str, ...]) -> dict[str, str]:
    """What the scores of each list, or pack, are called: its file's name without the ending, its folder's name.

    Raises
    ------
    ConfigError
        A list is not there, or two have one name.
    """
    names: dict[str, str] = {}
    for path in pairs:
        if not Path(path).exists():
            raise ConfigError(f"--eval {path}: there is no such file")
        name = Path(path).name if Path(path).is_dir() else Path(path).stem
        if name in names:
            raise ConfigError(
                f"--eval {names[name]} and --eval {path}: the scores of both would be called {name}; "
                "give one of them under another name (ln -s)"
            )
        names[name] = path
    return {path: name for name, path in names.items()}


def check_best(best: str | None, names: Mapping[str, str]) -> None:
    """Refuse the name of a score that no list can have.

    Parameters
    ----------
    best : str or None
        Such as "lfw accuracy" or "lfw TAR@0.001".
    names : mapping from str to str
        What `list_names` gave.

    Raises
    ------
    ConfigError
    """
    if best is not None and not any(best.startswith(f"{name} ") for name in names.values()):
        known = ", ".join(f"{name} ..." for name in names.values()) or "none: give lists with --eval"
        raise ConfigError(f"--best {best}: there is no such score; there are {known}")


def check_lists(pairs: tuple[str, ...], pack: str, size: Size) -> None:
    """Look whether lists can be scored, before the hours that their first scores take.

    Parameters
    ----------
    pairs : tuple of str
    pack : str
        Whose keys a ``.csv`` names.
    size : (int, int)
        Height and width that the network takes, pixels.

    Raises
    ------
    ConfigError
        A key that the pack does not have, too few pairs, pictures of another size.
    RecordError, FacekitError
        A list cannot be read.
    """
    for path in pairs:
        if is_pack(path):
            _check_pack(path, size)
        else:
            _check_list(path, pack, size)


def list_warnings(pairs: tuple[str, ...], pack: str) -> list[str]:
    """Sentences about lists whose pictures are trained on: what they score is how well those were learnt.

    Parameters
    ----------
    pairs : tuple of str
    pack : str
    """
    own = [path for path in pairs if path.endswith(".csv") or Path(path).resolve() == Path(pack).resolve()]
    return [
        f"--eval {path}: its pictures are of {pack}, which is trained on: its scores are not of others" for path in own
    ]


def is_pack(path: str) -> bool:
    """Whether what is to be scored is a pack, and no list of pairs."""
    return Path(path).is_dir() or path.endswith(".rec")


def _check_pack(path: str, size: Size) -> None:
    """Masked and bare faces in it, of the right size; people are known by its labels."""
    source, _ = open_source(path, layout="flat")
    masked = read_flags(source).masked
    if masked.all() or not masked.any():
        raise ConfigError(
            f"--eval {path}: {int(masked.sum())} of {len(masked)} pictures are masked by its ledger, and ICCV21-MFR "
            "compares masked faces with bare ones: facekit mask the pack, or give a list of pairs"
        )
    for record, _ in read_records(source):
        _fits(record.payload, f"{path}, key {record.key}", size)


def _check_list(path: str, pack: str, size: Size) -> None:
    if path.endswith(".bin"):
        bins = read_bins(path)
        read_bins_flags(Path(path), bins)
        listed = KeyPairs(np.arange(len(bins.payloads)).reshape(-1, 2), bins.same)
        pictures: Iterator[tuple[int, bytes]] = enumerate(bins.payloads)
    else:
        listed = read_pairs(path)
        pictures = _payloads(path, pack, np.unique(listed.keys))
    whole = np.array([number for number, payload in pictures if _fits(payload, f"{path}, picture {number}", size)])
    same = listed.same[np.isin(listed.keys, whole).all(axis=1)]
    try:
        fold_accuracy(np.zeros(len(same)), same, EvalConfig.folds)
    except ConfigError as error:
        raise ConfigError(f"--eval {path} cannot be scored: {error}") from error


def _payloads(path: str, pack: str, keys: npt.NDArray[np.int64]) -> Iterator[tuple[int, bytes]]:
    source, _ = open_source(pack, layout="flat")
    missing = np.setdiff1d(keys, source.keys)
    if len(missing):
        raise ConfigError(f"--eval {path}: {pack} has no picture of key {missing[0]} ({len(missing)} keys are missing)")
    for record, _ in read_records(source.select_rows(np.flatnonzero(np.isin(source.keys, keys)))):
        yield record.key, record.payload


def _fits(payload: bytes, where: str, size: Size) -> bool:
    """Whether a picture can be scored, by its header; what is no picture is left out of the scores."""
    try:
        found = picture_size(payload)
        found = found if found == size else decode(payload).shape[:2]  # EXIF may turn it
    except PictureError:
        return False
    if found != size:
        raise ConfigError(
            f"--eval {where}: {found[0]} x {found[1]} pixels, and the network takes {size[0]} x {size[1]}, the size of "
            "the pack's: align the list's faces to that size"
        )
    return True


def scorer(pairs: tuple[str, ...], pack: str) -> Callable[[Any], Mapping[str, float]]:
    """From an engine to the scores of each list of pairs, and of each pack with masked faces.

    Raises
    ------
    ConfigError
        A list is not there, or two have one name.
    """
    names = list_names(pairs)

    def evaluate(engine: Any) -> Mapping[str, float]:
        found: dict[str, float] = {}
        choice = ModelChoice("in memory.pt")
        for path, name in names.items():
            network = Network(engine, choice)
            found |= _pack_values(path, name, network) if is_pack(path) else _list_values(path, name, network, pack)
        return found

    return evaluate


def rehearsed_scores(pairs: tuple[str, ...], pack: str, engine: Any) -> tuple[int, float]:
    """Pictures of an evaluation of all lists and packs, and about how long it takes; under `facekit.output.dry_run`.

    Parameters
    ----------
    pairs : tuple of str
    pack : str
    engine : Engine
        Some pictures are embedded by it.
    """
    network, pictures, seconds = Network(engine, ModelChoice("in memory.pt")), 0, 0.0
    for path in pairs:
        found = _compared(path, network, pack)
        pictures += sum(len(faces.keys) for faces in found.faces)
        seconds += sum(faces.seconds for faces in found.faces)
        if is_pack(path):
            seconds += seconds_a_pair() * sum(score.genuine + score.impostor for score in found.scores)
    return pictures, seconds


def _compared(path: str, network: Network, pack: str) -> Findings:
    """What a list, or a pack with masked faces, is scored by."""
    if is_pack(path):
        return pack_scores(EvalConfig("in memory", network.choice, pack=path, bootstrap=0), network)
    config = EvalConfig("in memory", network.choice, pairs=path, pack=pack, bootstrap=0)
    return (bin_scores if path.endswith(".bin") else key_scores)(config, network)


def _list_values(path: str, name: str, network: Network, pack: str) -> dict[str, float]:
    """Accuracy and TARs of a list of pairs."""
    score = _compared(path, network, pack).scores[0]
    found = {} if score.accuracy is None else {f"{name} accuracy": score.accuracy}
    return found | {f"{name} TAR@{point.far:g}": point.tar for point in score.points}


def _pack_values(path: str, name: str, network: Network) -> dict[str, float]:
    """Masked to bare and bare to bare of a pack, and the score of ICCV21-MFR where it is large enough for it."""
    found = _compared(path, network, "")
    wanted = [score for score in found.scores if score.name in (MASKED, BARE)]
    values = {f"{name} {score.name} TAR@{point.far:g}": point.tar for score in wanted for point in score.points}
    mixed = found.more["masked_score"]
    return values if mixed is None else values | {f"{name} MFR": mixed}
