"""The meshes of a pack, and the proof that they are that pack's."""

from __future__ import annotations

import os
from collections.abc import Callable

from facekit.faces.cache import MeshCache
from facekit.faces.mesh import LiteRTMesh, MeshEstimator
from facekit.records.content import sampled_hash
from facekit.records.pack_files import pack_paths

__all__ = ["mesh_fingerprint", "open_meshes"]


def mesh_fingerprint(content: str, estimator: Callable[[], MeshEstimator] = LiteRTMesh) -> str:
    """What binds a mesh cache to the content of its source and to what found the meshes.

    Parameters
    ----------
    content : str
        Of a pack, `facekit.records.content.sampled_hash` of its ``.rec``.
    estimator : callable
        Makes the estimator; importable by name.
    """
    return f"{content} {estimator.__module__}.{estimator.__qualname__}"


def open_meshes(
    path: str | os.PathLike[str],
    pack: str | os.PathLike[str],
    estimator: Callable[[], MeshEstimator] = LiteRTMesh,
) -> MeshCache:
    """The meshes that ``facekit mask PACK ... --mesh-cache PATH`` kept, for that very pack.

    Keys say nothing about pictures: the meshes of one pack on the pictures of another put masks beside faces.

    Parameters
    ----------
    path : path
        The mesh cache.
    pack : path
        What `facekit.open_pack` takes.
    estimator : callable
        What made the estimator, if not the shipped model.

    Raises
    ------
    RecordError
        There is no such cache or pack, or the cache belongs to another pack: one that was written anew, masked or
        cleaned has other keys.
    """
    return MeshCache(path, mesh_fingerprint(sampled_hash(pack_paths(pack)[0]), estimator))
