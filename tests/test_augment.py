"""Masks at training time: drawn from seed, epoch and key alone, and the same that ``facekit mask`` draws."""

from __future__ import annotations

import math
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mask_stand_ins import canonical_vertices
from photo import face

from facekit import MaskAugment, Worn, render_worn
from facekit.errors import ConfigError
from facekit.faces.cache import MeshCache, MeshCacheWriter
from facekit.faces.estimators import StoredMesh, StoredMeshes
from facekit.faces.mesh import Mesh
from facekit.masks import MaskOptions, sample_params

MESHES = dict.fromkeys(range(2000), canonical_vertices())


def picture(height: int = 112) -> np.ndarray:
    return face(3)[:height]


def test_seed_epoch_and_key_decide_and_nothing_else() -> None:
    augment, image = MaskAugment(0.5, "all", 4, MESHES), picture()
    keys = [1, 2, 3, 8, 13]
    first = {key: augment(image, key, 1) for key in keys}
    again = {key: pickle.loads(pickle.dumps(augment))(image, key, 1) for key in reversed(keys)}
    assert all((first[key][0] == again[key][0]).all() and first[key][1] == again[key][1] for key in keys)
    others = [MaskAugment(0.5, "all", 5, MESHES), MaskAugment(0.5, "all", 4, MESHES)]
    for other, epoch in zip(others, (1, 2), strict=True):
        assert any((other(image, key, epoch)[0] != first[key][0]).any() for key in keys)


def test_about_the_share_is_masked_with_the_types_by_weight(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[str] = []

    def note(image: np.ndarray, vertices: np.ndarray, params: str) -> object:
        drawn.append(params)
        return type("Drawn", (), {"image": image})

    monkeypatch.setattr("facekit.masks.augment.sample_params", lambda rng, type, options: type)
    monkeypatch.setattr("facekit.masks.augment.render_worn", note)
    augment, image = MaskAugment(0.3, {"kn95": 3, "n95-cup": 1, "n95-valve": 0}, 0, MESHES), picture()
    masked = [augment(image, key)[1] for key in range(2000)]
    assert abs(np.mean(masked) - 0.3) < 4 * math.sqrt(0.3 * 0.7 / 2000)
    assert set(drawn) == {"kn95", "n95-cup"}
    assert abs(drawn.count("kn95") / len(drawn) - 0.75) < 4 * math.sqrt(0.75 * 0.25 / len(drawn))


def test_the_picture_is_never_changed_and_bare_ones_are_themselves() -> None:
    image = picture(100)
    before = image.copy()
    worn, masked = MaskAugment(1.0, "kn95", 0, MESHES)(image, 5)
    assert masked
    assert (worn != image).any()
    assert (image == before).all()
    bare, masked = MaskAugment(0.0, "kn95", 0, MESHES)(image, 5)
    assert bare is image
    assert not masked


def test_the_mask_is_that_of_the_renderer() -> None:
    image = picture()
    steps = np.rint(canonical_vertices() * 16) / 16
    worn, _ = MaskAugment(1.0, "kn95", 7, {9: steps}, MaskOptions(tilt_range=(3, 3)))(image, 9, epoch=2)
    rng = np.random.default_rng([7, 2, 9])
    rng.random(2)
    expected = render_worn(image, steps.astype(np.float32), sample_params(rng, "kn95", MaskOptions(tilt_range=(3, 3))))
    assert (worn == expected.image).all()


def test_meshes_may_come_from_anywhere(tmp_path: Path) -> None:
    image, vertices = picture(), canonical_vertices()
    with MeshCacheWriter(tmp_path / "cache", "a pack") as cache:
        cache.add(9, Mesh(vertices, 25.0))
    sources = (
        {9: vertices},
        {9: Mesh(vertices, 25.0)},
        MeshCache(tmp_path / "cache"),
        StoredMeshes([9], vertices[None]),
        StoredMesh(vertices, 25.0),
    )
    worn = [MaskAugment(1.0, "n95-cup", 3, source)(image, 9)[0] for source in sources]
    assert all((picture == worn[0]).all() for picture in worn)


def test_the_model_finds_what_is_not_given_and_refuses_what_is_no_face() -> None:
    for augment in (MaskAugment(1.0, "kn95"), MaskAugment(1.0, "kn95", meshes={})):
        assert augment(face(), 1)[1]
        grey = np.full((112, 112, 3), 90, np.uint8)
        bare, masked = augment(grey, 1)
        assert bare is grey
        assert not masked


def test_a_mask_costs_one_render_and_no_search_where_the_mesh_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """How long the rest takes beside the render is measured by benchmarks/mask_speed.py."""
    rendered: list[np.ndarray] = []

    def counted(image: np.ndarray, *given: Any) -> Worn:
        rendered.append(image)
        return render_worn(image, *given)

    def search() -> Any:
        raise AssertionError("the mesh is known")

    monkeypatch.setattr("facekit.masks.augment.render_worn", counted)
    monkeypatch.setattr("facekit.masks.augment._model", search)
    augment, image = MaskAugment(0.5, "kn95", 0, MESHES), picture()
    masked = sum(augment(image, key)[1] for key in range(40))
    assert 0 < masked < 40
    assert len(rendered) == masked
    assert all(shown is image for shown in rendered)  # not a copy


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"probability": 1.5}, "1.5"),
        ({"seed": -1}, "seed is -1"),
        ({"types": "n95"}, "mask type is 'n95'"),
        ({"types": {"kn95": -1.0}}, "negative"),
        ({"types": {"kn95": 0.0}}, "above 0"),
        ({"types": []}, "above 0"),
        ({"textures": "nowhere.toml"}, "nowhere.toml"),
    ],
)
def test_wrong_settings_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        MaskAugment(**given)


def test_real_draws_types_as_often_as_people_wear_them() -> None:
    from facekit.jobs.mask.config import parse_types
    from facekit.masks.catalogue import AS_WORN, TYPES

    augment = MaskAugment(1.0, "real", 3, MESHES)
    assert set(augment.types) == set(TYPES) == set(AS_WORN)
    shares = np.diff(augment._edges, prepend=0) / augment._edges[-1]
    assert dict(zip(augment.types, shares, strict=True)) == {name: share / 100 for name, share in AS_WORN.items()}
    assert dict(parse_types("real")) == AS_WORN
