"""Meshes from elsewhere take the model's place, and what the model found is remembered."""

from __future__ import annotations

import math

import numpy as np
import pytest
from photo import face

from facekit.errors import ConfigError
from facekit.faces.cache import MeshCache, MeshCacheWriter
from facekit.faces.estimators import KeyedMeshes, StoredMesh, StoredMeshes
from facekit.faces.mesh import LiteRTMesh, Mesh, rounded


def vertices_of(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0, 112, (468, 3)).astype(np.float32)


class Counting:
    """An estimator that counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, image: np.ndarray) -> Mesh:
        self.asked += 1
        return Mesh(vertices_of(int(image[0, 0, 0])), 20.03)


def picture(level: int) -> np.ndarray:
    return np.full((40, 30, 3), level, np.uint8)


def test_a_stored_mesh_is_the_answer_to_every_picture():
    estimator = StoredMesh(vertices_of(1).astype(np.float64))
    first, second = estimator(picture(0)), estimator(picture(9))
    np.testing.assert_array_equal(first.vertices, vertices_of(1))
    np.testing.assert_array_equal(first.vertices, second.vertices)
    assert first.presence == math.inf
    assert first.vertices.dtype == np.float32


def test_stored_meshes_are_found_by_key():
    stored = StoredMeshes([9, 4, 7], np.stack([vertices_of(k) for k in (9, 4, 7)]), [1.0, 2.0, 3.0])
    assert stored.get(4).presence == 2.0
    np.testing.assert_array_equal(stored.get(7).vertices, vertices_of(7))
    assert stored.get(5) is None
    assert StoredMeshes([3], vertices_of(3)[None]).get(3).presence == math.inf


@pytest.mark.parametrize(
    "make",
    [
        lambda: StoredMesh(np.zeros((468, 2))),
        lambda: StoredMesh(np.zeros((478, 3))),
        lambda: StoredMeshes([1, 2], np.zeros((3, 468, 3))),
        lambda: StoredMeshes([1, 1], np.zeros((2, 468, 3))),
        lambda: StoredMeshes([1], np.zeros((1, 68, 3))),
        lambda: StoredMeshes([1, 2], np.zeros((2, 468, 3)), [1.0]),
    ],
)
def test_what_does_not_fit_is_refused(make):
    with pytest.raises(ConfigError, match=r"468|presence"):
        make()


def test_the_first_source_that_knows_a_key_answers():
    estimator = Counting()
    first, second = (
        StoredMeshes([1], vertices_of(1)[None]),
        StoredMeshes([1, 2], np.stack([vertices_of(5), vertices_of(2)])),
    )
    meshes = KeyedMeshes(estimator, [first, second])
    for key, seed in ((1, 1), (2, 2)):
        expected = rounded(Mesh(vertices_of(seed), math.inf))
        np.testing.assert_array_equal(meshes(key, picture(33)).vertices, expected.vertices)
    assert estimator.asked == 0
    np.testing.assert_array_equal(meshes(3, picture(33)).vertices, rounded(Mesh(vertices_of(33), 0)).vertices)
    assert estimator.asked == 1


def test_a_second_run_asks_no_model_and_gets_the_same_bytes(tmp_path):
    estimator, keys = Counting(), [5, 3, 8]
    with MeshCacheWriter(tmp_path / "meshes", "pack") as part:
        first = [KeyedMeshes(estimator, part=part)(key, picture(key)) for key in keys]
    with MeshCache(tmp_path / "meshes", "pack") as cache:
        second = [KeyedMeshes(estimator, [cache])(key, picture(key)) for key in keys]
    assert estimator.asked == 3
    for a, b in zip(first, second, strict=True):
        assert a.vertices.tobytes() == b.vertices.tobytes()
        assert a.presence == b.presence


def test_the_model_itself_is_what_a_cache_gives_back(tmp_path):
    estimator = LiteRTMesh()
    with MeshCacheWriter(tmp_path / "meshes", "pack") as part:
        found = KeyedMeshes(estimator, part=part)(1, face())
    with MeshCache(tmp_path / "meshes", "pack") as cache:
        stored = cache.get(1)
    assert found.vertices.tobytes() == stored.vertices.tobytes() == estimator(face()).vertices.tobytes()
    assert found.presence == stored.presence
