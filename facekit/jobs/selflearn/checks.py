"""What self-learning looks at before it writes anything: hours later is too late to say that a path is wrong."""

from __future__ import annotations

import json
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

import facekit
from facekit.embeddings import Preprocessing
from facekit.embeddings.onnx_engine import file_hash
from facekit.errors import ConfigError, FacekitError, RecordError
from facekit.evaluate import verify_pairs
from facekit.images import decode
from facekit.jobs.inputs.ledger import read_bins_flags
from facekit.jobs.inputs.model import ModelChoice, open_engine
from facekit.jobs.inputs.pair_tables import read_pairs
from facekit.jobs.inputs.source import Source, open_source
from facekit.jobs.inputs.source_records import read_records
from facekit.jobs.selflearn.config import SelfLearnConfig
from facekit.jobs.selflearn.truth import read_truth
from facekit.jobs.train.checks import require
from facekit.records import open_pack
from facekit.records.bins import read_bins
from facekit.train.config import MAY_CHANGE

if TYPE_CHECKING:
    from facekit.train.plugin import PackFacts, Plugin
    from facekit.train.recipe import Settings

__all__ = ["check_inputs"]

Picture = npt.NDArray[np.uint8]


class _TrainingSetup(NamedTuple):
    """What trains, and on what."""

    plugin: Plugin
    settings: Settings
    facts: PackFacts


def check_inputs(config: SelfLearnConfig) -> dict[str, Any]:
    """Open everything that a run will read.

    Parameters
    ----------
    config : SelfLearnConfig

    Returns
    -------
    dict
        What decides the result, for JSON; a run that goes on must agree with it. And ``device``, which does not.

    Raises
    ------
    ConfigError, FacekitError
        Something is missing, corrupt, or does not fit the rest.
    """
    require("self-learning", "torch", "onnx", "onnxruntime")
    from facekit.train.plugin import load_plugin
    from facekit.train.recipe import read_settings

    plugin = load_plugin(config.plugin)
    settings = read_settings(plugin, config.recipe, config.changes)
    source, _ = open_source(config.source, layout="flat")
    picture = _first_picture(source)
    _check_truth(config, source)
    for pairs in config.pairs:
        _check_pairs(pairs, source, picture)
    setup = _TrainingSetup(plugin, settings, _facts(source, picture))
    _check_setup(config, setup, picture)
    record = {
        "facekit": facekit.__version__,
        "input": source.content,
        "config": config.record() | _first_model(config),
        "training": _deciding(settings),
        "device": settings.train.device,
    }
    plain: dict[str, Any] = json.loads(json.dumps(record))
    return plain


def _first_picture(source: Source) -> Picture:
    """The first that can be decoded."""
    for record, _ in read_records(source):
        try:
            return decode(record.payload)
        except FacekitError:
            continue
    raise RecordError("the pack has no image", source.path)


def _facts(source: Source, picture: Picture) -> PackFacts:
    from facekit.train.plugin import PackFacts

    return PackFacts(np.bincount(source.labels), _size(picture))


def _size(picture: Picture) -> tuple[int, int]:
    """Of the pictures that the networks are trained for."""
    return picture.shape[0], picture.shape[1]


def _check_truth(config: SelfLearnConfig, source: Source) -> None:
    if config.truth is not None:
        read_truth(config.truth, source.keys)


def _check_pairs(path: str, source: Source, picture: Picture) -> None:
    if not Path(path).is_file():
        raise ConfigError(f"--eval {path}: there is no such file")
    if path.endswith(".bin"):
        bins = read_bins(path)
        read_bins_flags(Path(path), bins)
        same = bins.same
        if bins.payloads:
            _fitting(f"--eval {path}", Preprocessing(_size(picture)), decode(bins.payloads[0]))
    else:
        keys, same = read_pairs(path)
        missing = np.setdiff1d(keys, source.keys)
        if len(missing):
            raise ConfigError(f"--eval {path} means key {missing[0]}, and {source.path} has no picture of it")
    try:
        verify_pairs(same.astype(np.float64), same)
    except ConfigError as error:
        raise ConfigError(f"--eval {path}: {error}") from error


def _check_setup(config: SelfLearnConfig, setup: _TrainingSetup, picture: Picture) -> None:
    """Build what will be trained, and load into it what it is to start from."""
    from facekit.train.state import device_of

    plugin, settings, facts = setup
    device_of(settings.train.device)
    if settings.train.online_masks:
        from facekit.masks.augment import MaskAugment

        MaskAugment(settings.train.online_masks, settings.train.mask_types, settings.train.seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # training says it
        plugin.build_head(settings.plugin, facts)
    network = plugin.build_network(settings.plugin, facts)
    if config.init is None:
        open_pack(config.init_pack or config.source).close()
    elif config.init.endswith(".onnx"):
        _check_onnx(config.init, picture)
    else:
        _check_weights(config.init, network, picture)


def _check_onnx(init: str, picture: Picture) -> None:
    if not Path(init).is_file():
        raise ConfigError(f"--init {init}: there is no such file")
    _fitting(f"--init {init}", open_engine(ModelChoice(init)).preprocessing, picture)


def _check_weights(init: str, network: Any, picture: Picture) -> None:
    from facekit.train.model import load_initial_weights, open_model

    _fitting(f"--init {init}", Preprocessing(open_model(init).image_size), picture)
    load_initial_weights(network, init)


def _fitting(what: str, preprocessing: Preprocessing, picture: Picture) -> None:
    try:
        preprocessing.check(picture)
    except ConfigError as error:
        raise ConfigError(f"{what}: {error}") from error


def _first_model(config: SelfLearnConfig) -> dict[str, Any]:
    """What is in ``--init`` or ``--init-pack``, wherever it lies."""
    return {
        "init": None if config.init is None else file_hash(_weights(config.init)),
        "init_pack": None if config.init_pack is None else open_source(config.init_pack, layout="flat")[0].content,
    }


def _weights(init: str) -> Path:
    from facekit.train.model import weights_file

    return weights_file(Path(init))


def _deciding(settings: Settings) -> dict[str, Any]:
    loop = {name: value for name, value in asdict(settings.train).items() if name not in MAY_CHANGE}
    return loop | asdict(settings.plugin)
