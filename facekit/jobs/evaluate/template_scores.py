"""Templates compared: pairs of templates, or a gallery of templates with probes, in the formats of IJB."""

from __future__ import annotations

import os
from array import array
from dataclasses import replace
from pathlib import PurePosixPath

import numpy as np
import numpy.typing as npt

from facekit.clean.gathered_rows import gather_rows
from facekit.embeddings import ArrayVectors, Features, VectorRows
from facekit.errors import ConfigError
from facekit.evaluate import FaceSet, Templates, aggregate, people_of_pairs
from facekit.jobs.evaluate.comparisons import Findings, score_of, verify
from facekit.jobs.evaluate.config import EvalConfig
from facekit.jobs.evaluate.faces import Faces, Network, of_features, of_pack
from facekit.jobs.evaluate.mapped_faces import pair_similarity
from facekit.jobs.evaluate.pictures import alterations
from facekit.jobs.evaluate.scores import search_scores
from facekit.jobs.inputs.source import open_source
from facekit.jobs.inputs.template_lists import TemplateList, read_subjects, read_template_pairs, read_templates
from facekit.records.key_rows import rows_of
from facekit.records.name_hashes import name_hashes
from facekit.records.name_list import NameList

__all__ = ["template_scores"]


def template_scores(config: EvalConfig, subject: Network | Features) -> Findings:
    """Verification of pairs of templates, or identification of template probes in a gallery of templates.

    Raises
    ------
    ConfigError
        A picture or a template of a list is not there.
    """
    listed = read_templates(str(config.templates))
    if isinstance(subject, Features):
        faces, keys = of_features(subject), _numbers(listed, config)
    elif config.pack is None:
        raise ConfigError(f"{config.templates} names pictures: say of which pack or folder, with --pack")
    else:
        keys = _keys(listed, config)
        faces = of_pack(subject, config.pack, alterations(config)[0], np.unique(keys))
    rows, listed = faces.rows_of(keys), listed._replace(names=NameList())  # which these stand for from here on
    del keys
    templates = _aggregated(config, faces, listed, rows)
    del rows, listed
    if config.pairs is not None:
        return _pairs(config, faces, templates)
    sides = [_side(str(path), faces, templates) for path in (config.gallery, config.probe)]
    found = search_scores(config, *sides)
    return replace(found, faces=[faces])


def _numbers(listed: TemplateList, config: EvalConfig) -> npt.NDArray[np.int64]:
    """Keys of pictures that are named by them: ``17`` or ``17.jpg``."""
    keys = array("q")
    for name in listed.names:
        stem = PurePosixPath(name).stem
        if not stem.isdecimal():
            raise ConfigError(
                f"{config.templates} names {name!r}, which is no key: write the key of the picture in its pack, such "
                "as 17 or 17.jpg; file names are known only where a model embeds a folder, with --pack"
            )
        keys.append(int(stem))
    return np.frombuffer(keys, np.int64)


def _keys(listed: TemplateList, config: EvalConfig) -> npt.NDArray[np.int64]:
    """Keys of the pictures: by their files in a folder, by number in a pack."""
    source, _ = open_source(str(config.pack), layout="flat")
    if source.kind != "folder":
        return _numbers(listed, config)
    known, wanted = (name_hashes(map(os.fsencode, names)) for names in (source.files, listed.names))
    rows = rows_of(known, wanted)
    missing = next((name for name, row in zip(listed.names, rows, strict=True) if row < 0), None)
    if missing is not None:
        raise ConfigError(f"{config.templates} names {missing}, and there is no such picture in {config.pack}")
    return source.keys[rows]


def _aggregated(config: EvalConfig, faces: Faces, listed: TemplateList, rows: npt.NDArray[np.int64]) -> Templates:
    """Vectors of the templates; a picture without a vector does not count in its own."""
    there, templates, media = rows >= 0, listed.templates, listed.media
    if not there.all():
        rows, templates, media = rows[there], templates[there], media[there]
        lost = np.setdiff1d(listed.templates, templates)
        if len(lost):
            raise ConfigError(f"no picture of template {lost[0]} has a vector ({len(lost)} templates have none)")
    norms = None if config.aggregate == "mean" or faces.norms is None else faces.norms[rows]
    chosen = faces.set.take(rows).vectors
    return aggregate(chosen, templates, media, norms, gather_rows)


def _rows_of(templates: Templates, wanted: npt.NDArray[np.int64], path: str) -> npt.NDArray[np.int64]:
    places = np.searchsorted(templates.ids, wanted).clip(max=len(templates.ids) - 1)
    missing = np.setdiff1d(wanted, templates.ids)
    if len(missing):
        raise ConfigError(f"{path} names template {missing[0]}, which the list of templates has no picture of")
    return places


def _pairs(config: EvalConfig, faces: Faces, templates: Templates) -> Findings:
    pairs = read_template_pairs(str(config.pairs))
    rows = _rows_of(templates, pairs.templates, str(config.pairs))
    similarity = pair_similarity(templates.vectors.__getitem__, templates.vectors.__getitem__, rows)
    scores = verify(config, similarity, pairs.same, people_of_pairs(rows, pairs.same))
    return Findings([score_of("templates", scores)], {"templates": scores.roc}, [faces])


def _side(path: str, faces: Faces, templates: Templates) -> Faces:
    ids, subjects = read_subjects(path)
    rows = VectorRows(ArrayVectors(templates.vectors), _rows_of(templates, ids, path))
    chosen = FaceSet(rows, subjects)
    return Faces(chosen, ids, np.zeros(len(ids), np.bool_), seconds=faces.seconds)
