"""``facekit passport``: a pack in; a description of it, which a later one can be held against, out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import facekit
from facekit.errors import ConfigError
from facekit.jobs.inputs.model import model_input
from facekit.jobs.inputs.source import Source, open_source, source_input
from facekit.jobs.overlap.config import OverlapConfig
from facekit.jobs.overlap.job import overlap
from facekit.jobs.packs.inspect import InspectConfig, inspect
from facekit.jobs.passport.audits import audit_masks, estimate_noise, picture_statistics
from facekit.jobs.passport.config import CheckSummary, PassportConfig, PassportSummary
from facekit.jobs.passport.croissant import croissant
from facekit.jobs.passport.forecast import tell_passport
from facekit.jobs.passport.identity import Trees, ledger_hash, trees_of
from facekit.output import JSON, check_files, folder_input, input_of, open_files
from facekit.output.dry_run import is_dry
from facekit.output.record import changed_since, lineage_of
from facekit.records.merkle import changed_blocks
from facekit.records.named_inputs import require_text
from facekit.run.user_files import read_json

__all__ = ["PassportConfig", "PassportSummary", "check_passport", "make_passport"]


def make_passport(config: PassportConfig) -> PassportSummary:
    """Describe a pack.

    Parameters
    ----------
    config : PassportConfig

    Returns
    -------
    PassportSummary

    Raises
    ------
    ConfigError, DestinationExists
        It is no pack, or the file exists.
    RecordError, FacekitError
        The pack is corrupt, or vectors are of another.
    """
    named = [input_of(config.source, lambda: ()), *(input_of(path, lambda: ()) for path in config.against)]
    named += [] if config.features is None else [folder_input(config.features)]
    named += [] if config.model is None else [model_input(config.model)]
    targets = {} if config.destination is None else {config.destination: JSON}
    check_files(targets, named, config.overwrite)
    source = _open(config.source)
    inputs = [*named, source_input(source, config.source)]
    if is_dry():
        tell_passport(config, source, inputs)
    passport = describe(config, source)
    if targets:
        with open_files(targets, "passport", inputs, _settings(config), config.overwrite) as output:
            output.paths[0].write_text(json.dumps(passport, indent=1) + "\n", "utf-8")
    return PassportSummary(config.destination, passport)


def _open(path: str) -> Source:
    source = open_source(path, layout="flat")[0]
    if source.kind != "pack" or source.stored is not None:
        raise ConfigError(f"{path} is no pack on a disk, and a passport is that of one: pack it first, or fetch it")
    return source


def _settings(config: PassportConfig) -> dict[str, Any]:
    names = ("source", "features", "against", "sample", "seed")
    return {**{name: getattr(config, name) for name in names}, "model": config.model and config.model.path}


def describe(config: PassportConfig, source: Source) -> dict[str, Any]:
    """The whole passport."""
    seen = inspect(InspectConfig(config.source, config.sample))
    said: dict[str, Any] = {
        "version": 1,
        "madeBy": f"facekit {facekit.__version__}",
        "images": seen.images,
        "identities": seen.identities,
        "imagesOfAnIdentity": {**seen.images_each, "histogram": seen.histogram},
        "tree": trees_of(source).described(),
        "ledger": ledger_hash(source),
        "lineage": lineage_of([source.path]),
        "changedSince": changed_since(source.path),
        "pictures": {"sampled": seen.sampled, "formats": seen.formats, "sizes": seen.sizes,
                     "jpegQualities": seen.qualities, "subsamplings": seen.subsamplings,
                     **picture_statistics(source, config.sample)},
        "masked": {"share": seen.masked_share, "types": seen.masked, **audit_masks(source, config.sample, config.seed)},
    }  # fmt: skip
    if config.features is not None:
        said["noise"] = estimate_noise(source, config.features, config.seed)
    said["overlap"] = [_overlap(config, path) for path in config.against]
    return croissant(source, said)


def _overlap(config: PassportConfig, path: str) -> dict[str, Any]:
    given = OverlapConfig(config.source, path, model=config.model, features_a=config.features)
    found = overlap(given)
    return {
        "with": Path(path).name,
        "by": [name for name, used in (("bytes", found.by_bytes), ("vectors", found.by_vectors)) if used],
        "samePictures": found.a.same_pictures,
        "nearPictures": found.a.near_pictures,
        "sharedIdentities": found.a.shared_identities,
        "ofItsPictures": found.b.same_pictures,
        "ofItsIdentities": found.b.shared_identities,
        "pictures": found.b.pictures,
        "identities": found.b.identities,
    }


def check_passport(source: str, passport: str) -> CheckSummary:
    """Hold a pack against its passport.

    Parameters
    ----------
    source : str
        The pack.
    passport : str
        What `make_passport` wrote.

    Returns
    -------
    CheckSummary

    Raises
    ------
    ConfigError
        It is no passport, or there is no pack.
    RecordError
        The pack is corrupt.
    """
    cure = "give the JSON file that facekit passport wrote"
    require_text(passport, "a passport", cure)
    said = read_json(Path(passport), cure)
    try:
        known = said["facekit:passport"]
        before, ledger_before, images = Trees.read(known["tree"]), known["ledger"], int(known["images"])
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"{passport} is no passport of a pack ({error!r} is missing or wrong): {cure}") from None
    opened = _open(source)
    now, ledger = trees_of(opened), ledger_hash(opened)
    changed = [tuple(changed_blocks(getattr(before, name), getattr(now, name))) for name in Trees._fields]
    state = "same" if ledger == ledger_before else "missing" if ledger is None else "new" if ledger_before is None \
        else "changed"  # fmt: skip
    same = not any(changed) and state == "same"
    return CheckSummary(passport, same, changed[0], changed[1], images, len(opened), state)
