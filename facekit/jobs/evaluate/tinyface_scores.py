"""TinyFace: probes in a gallery of matches and of distractors, which show nobody who is looked for."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import PurePosixPath

import numpy as np
import numpy.typing as npt

from facekit.embeddings import Features
from facekit.errors import ConfigError
from facekit.evaluate import FaceSet
from facekit.jobs.evaluate.comparisons import Findings
from facekit.jobs.evaluate.config import EvalConfig
from facekit.jobs.evaluate.faces import Faces, Network, of_features, of_pack
from facekit.jobs.evaluate.pictures import alterations
from facekit.jobs.evaluate.scores import search_scores
from facekit.jobs.inputs.source import open_source
from facekit.jobs.inputs.tinyface_lists import PictureList, is_tinyface, read_tinyface

__all__ = ["DISTRACTORS", "tinyface_scores"]

DISTRACTORS = "Gallery_Distractor"
NOBODY = -1

log = logging.getLogger(__name__)


def tinyface_scores(config: EvalConfig, subject: Network | Features) -> Findings:
    """Identification, and verification over all pairs, by TinyFace's two lists over a folder of its pictures.

    The gallery is what its list names and every picture in a folder ``Gallery_Distractor``.

    Raises
    ------
    ConfigError
        One of the lists is none of TinyFace's, there is no folder of pictures, or it lacks a picture.
    """
    if not (is_tinyface(config.gallery) and is_tinyface(config.probe)):
        raise ConfigError("--gallery and --probe are both lists of TinyFace, .mat, or neither is")
    if config.pack is None:
        raise ConfigError(f"{config.gallery} names pictures: say of which folder, with --pack Testing_Set")
    source, _ = open_source(config.pack, layout="flat")
    if source.kind != "folder":
        raise ConfigError(f"--pack {config.pack} is no folder of pictures, which TinyFace's lists name by their files")
    key_of = {PurePosixPath(name).stem: key for name, key in zip(source.files, source.keys.tolist(), strict=True)}
    named = zip(source.files, source.keys.tolist(), strict=True)
    aside = [key for name, key in named if DISTRACTORS in PurePosixPath(name).parts]
    if not aside:
        log.warning("%s has no folder %s: without distractors people are found more easily", config.pack, DISTRACTORS)
    gallery, probe = (_keys(read_tinyface(str(path)), key_of, config) for path in (config.gallery, config.probe))
    keys = np.concatenate([gallery[0], np.array(aside, np.int64)])
    people = np.concatenate([gallery[1], np.full(len(aside), NOBODY)])
    if isinstance(subject, Features):
        faces = of_features(subject)
    else:
        faces = of_pack(subject, config.pack, alterations(config)[0], np.unique(np.concatenate([keys, probe[0]])))
    probes = replace(_side(faces, *probe), errors=faces.errors, seconds=faces.seconds, branches=faces.branches)
    return search_scores(config, _side(faces, keys, people), probes)


Keyed = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]


def _keys(listed: PictureList, key_of: dict[str, int], config: EvalConfig) -> Keyed:
    """Keys of the pictures of a list, by their names without ending, and whom they show."""
    stems = [PurePosixPath(name).stem for name in listed.names]
    missing = next((name for name, stem in zip(listed.names, stems, strict=True) if stem not in key_of), None)
    if missing is not None:
        raise ConfigError(f"a list names {missing}, and there is no such picture in {config.pack}")
    return np.array([key_of[stem] for stem in stems], np.int64), listed.people


def _side(faces: Faces, keys: npt.NDArray[np.int64], people: npt.NDArray[np.int64]) -> Faces:
    """Those that have a vector."""
    rows = faces.rows_of(keys)
    there = rows >= 0
    chosen = FaceSet(faces.set.take(rows[there]).vectors, people[there])
    return Faces(chosen, keys[there], faces.masked[rows[there]])
