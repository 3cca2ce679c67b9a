"""What two sets of faces share: planted people and pictures are found exactly, and against brute force."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from clean_packs import draw, unit
from hypothesis import given
from hypothesis import strategies as st
from small_models import save_model, save_pack
from writing_commands import call

from facekit.clean.decisions import Action, Reason
from facekit.clean.lists import Pictures, make_list
from facekit.embeddings.store import DESCRIPTION, FAILURES, FORMAT, INDEX, VECTORS, index_schema
from facekit.errors import ConfigError, FacekitError
from facekit.images import decode, encode_jpeg
from facekit.images.perceptual import HASH_BYTES
from facekit.jobs.clean.exclusion import hashes_of
from facekit.jobs.inputs.clean_list import write_list
from facekit.jobs.overlap import match
from facekit.jobs.overlap.config import OverlapConfig
from facekit.jobs.overlap.job import overlap
from facekit.jobs.overlap.match import Identities, identities_of, near_centres, near_pictures, same_pictures
from facekit.jobs.overlap.side import Side
from facekit.output import input_of
from facekit.records import Header, PackWriter, open_pack, write_bins
from facekit.run.ledger import payload_hash

WIDTH = 64
Face = tuple[int, int, int]
"""Label, person, number of the picture."""


def write_side(folder: Path, faces: list[Face], again: frozenset[tuple[int, int]] = frozenset()) -> Path:
    """A pack and its vectors; some pictures are stored again at another quality, with the same vectors."""
    with PackWriter(folder / "pack", "flat") as writer:
        for key, (label, person, number) in enumerate(faces):
            quality = 80 if (person, number) in again else 95
            writer.write(Header(0, float(label), key, 0), encode_jpeg(draw(person, number), quality))
    with open_pack(folder / "pack") as pack:
        write_features(folder / "features", pack.keys, pack.labels, np.stack([vector_of(*face[1:]) for face in faces]))
    return folder


def vector_of(person: int, number: int) -> np.ndarray:
    own = np.random.default_rng([person, 1]).standard_normal(WIDTH)
    each = np.random.default_rng([person, number, 2]).standard_normal(WIDTH)
    return unit(0.8 * unit(own[None]) + 0.6 * unit(each[None]))[0]


def write_features(folder: Path, keys: np.ndarray, labels: np.ndarray, vectors: np.ndarray, model: str = "0") -> None:
    (folder / VECTORS).mkdir(parents=True)
    np.save(folder / VECTORS / "00000000.npy", vectors.astype(np.float32))
    said = {"key": keys, "label": labels, "norm": np.ones(len(keys), np.float32),
            "masked": np.zeros(len(keys), bool), "source_key": keys}  # fmt: skip
    pq.write_table(pa.table(said), folder / INDEX)
    none: dict[str, list[Any]] = {"key": [], "label": [], "error": []}
    pq.write_table(pa.table(none, pa.schema([index_schema().field(name) for name in none])), folder / FAILURES)
    about = {"format": FORMAT, "dimensions": vectors.shape[1], "count": len(keys), "model": model * 32}
    (folder / DESCRIPTION).write_text(json.dumps(about))


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """People 0 to 19 and 12 to 31. Of 12 to 15 two pictures are in both, of 14 to 17 one more in other bytes."""
    folder = tmp_path_factory.mktemp("sides")
    a = [(person, person, number) for person in range(20) for number in range(5)]
    b = [(100 + person, person, number + 50) for person in range(12, 32) for number in range(4)]
    b += [(100 + person, person, number) for person in range(12, 16) for number in range(2)]
    b += [(100 + person, person, 3) for person in range(14, 18)]
    write_side(folder / "a", a)
    write_side(folder / "b", b, frozenset((person, 3) for person in range(14, 18)))
    return folder


def config(sides: Path, vectors: bool, **given: Any) -> OverlapConfig:
    named = {f"features_{name}": str(sides / name / "features") for name in "ab"} if vectors else {}
    return OverlapConfig(str(sides / "a" / "pack"), str(sides / "b" / "pack"), **named, **given)


def rows_of_table(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_what_was_planted_is_found_exactly(sides: Path, tmp_path: Path) -> None:
    found = overlap(config(sides, True, destination=str(tmp_path / "out")))
    assert (found.a.pictures, found.a.identities, found.b.pictures, found.b.identities) == (100, 20, 92, 20)
    assert (found.a.same_pictures, found.b.same_pictures) == (8, 8)
    assert (found.a.near_pictures, found.b.near_pictures) == (4, 4)
    assert (found.a.shared_identities, found.b.shared_identities, found.identity_pairs) == (8, 8, 8)
    people = rows_of_table(tmp_path / "out" / "identities.csv")
    assert [(int(row["label_a"]), int(row["label_b"])) for row in people] == [(p, 100 + p) for p in range(12, 20)]
    counts = [(int(row["same_pictures"]), int(row["near_pictures"])) for row in people]
    assert counts == [(2, 0)] * 2 + [(2, 1)] * 2 + [(0, 1)] * 2 + [(0, 0)] * 2
    assert all(float(row["similarity"]) >= 0.6 for row in people)
    pictures = rows_of_table(tmp_path / "out" / "pictures.csv")
    by_bytes = {(int(row["key_a"]), row["similarity"]) for row in pictures if row["by"] == "bytes"}
    assert by_bytes == {(5 * person + number, "") for person in range(12, 16) for number in range(2)}
    nearly = {int(row["key_a"]) for row in pictures if row["by"] == "vectors"}
    assert nearly == {5 * person + 3 for person in range(14, 18)}
    assert decode((tmp_path / "out" / "strips.png").read_bytes()).shape[2] == 3


def test_bytes_alone_find_pictures_and_whose_they_are(sides: Path) -> None:
    found = overlap(config(sides, False))
    assert (found.by_bytes, found.by_vectors, found.a.near_pictures) == (True, False, None)
    assert (found.a.same_pictures, found.b.same_pictures, found.identity_pairs) == (8, 8, 4)


def test_vectors_alone_find_people(sides: Path) -> None:
    given = OverlapConfig(str(sides / "a" / "features"), str(sides / "b" / "features"))
    found = overlap(given)
    assert (found.by_bytes, found.by_vectors) == (False, True)
    assert (found.a.shared_identities, found.b.shared_identities) == (8, 8)
    # Without bytes equal pictures are nearly equal ones.
    assert (found.a.near_pictures, found.b.near_pictures) == (12, 12)


def test_the_other_way_round_is_the_same(sides: Path) -> None:
    one = overlap(config(sides, True))
    swapped = overlap(OverlapConfig(*(str(sides / name / "pack") for name in "ba"),
                                    features_a=str(sides / "b" / "features"),
                                    features_b=str(sides / "a" / "features")))  # fmt: skip
    assert (swapped.a, swapped.b, swapped.identity_pairs) == (one.b, one.a, one.identity_pairs)


def test_people_of_a_bin_follow_from_its_genuine_pairs(sides: Path, tmp_path: Path) -> None:
    with open_pack(sides / "a" / "pack") as pack:
        pictures = [pack.read(key).payload for key in (0, 1, 2, 5, 6)]
    stranger = encode_jpeg(draw(77, 0))
    one, two, three, four, five = pictures
    pairs = [one, two, two, three, four, five, one, four, one, stranger]
    write_bins(tmp_path / "pairs.bin", pairs, [True, True, True, False, False])
    found = overlap(OverlapConfig(str(sides / "a" / "pack"), str(tmp_path / "pairs.bin")))
    assert (found.b.pictures, found.b.identities) == (6, 3)
    assert (found.b.same_pictures, found.b.shared_identities, found.identity_pairs) == (5, 2, 2)


def test_pictures_are_embedded_where_a_model_is_given(tmp_path: Path) -> None:
    from facekit.jobs.inputs.model import ModelChoice

    model, pack = save_model(tmp_path / "model.onnx"), save_pack(tmp_path / "pack").path
    with open_pack(pack) as opened:
        payloads = [opened.read(key).payload for key in opened.keys[:4].tolist()]
    write_bins(tmp_path / "pairs.bin", [*payloads, b"no picture", payloads[0]], [False, False, False])
    given = OverlapConfig(str(pack), str(tmp_path / "pairs.bin"), model=ModelChoice(str(model)), identity=0.999)
    found = overlap(given)
    assert (found.by_vectors, found.b.pictures, found.b.same_pictures) == (True, 5, 4)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.onnx", "pack", "pairs.bin"]


def side(hashes: np.ndarray | None, labels: np.ndarray, vectors: np.ndarray | None = None) -> Side:
    return Side("side", np.arange(len(labels)), labels, hashes, vectors, None, input_of(__file__), None)


def small_hashes(numbers: list[int]) -> np.ndarray:
    wide = np.zeros((len(numbers), 16), np.uint8)
    wide[:, 7] = numbers
    return hashes_of(wide)


@given(st.lists(st.integers(0, 6), max_size=12), st.lists(st.integers(0, 6), max_size=12))
def test_equal_bytes_by_brute_force(left: list[int], right: list[int]) -> None:
    limit = 4
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(match, "PLACEHOLDER", limit)
        a, b = (side(small_hashes(some), np.arange(len(some))) for some in (left, right))
        pairs, rows_a, rows_b, placeholders = same_pictures(a, b)
    told = [one for one in left if left.count(one) < limit and right.count(one) < limit]
    expected = [(i, j) for i, one in enumerate(left) for j, two in enumerate(right) if one == two and one in told]
    assert sorted(zip(pairs.left.tolist(), pairs.right.tolist(), strict=True)) == expected
    assert rows_a.tolist() == [i for i, one in enumerate(left) if one in right]
    assert rows_b.tolist() == [j for j, two in enumerate(right) if two in left]
    assert placeholders == sum(one in right and one not in told for one in left)


@given(st.integers(0, 10_000), st.floats(-0.5, 0.9))
def test_centres_and_counts_by_brute_force(seed: int, threshold: float) -> None:
    rng = np.random.default_rng(seed)
    a, b = (
        side(small_hashes(rng.integers(0, 9, count).tolist()), rng.integers(0, 4, count) * 3,
             rng.standard_normal((count, 8)).astype(np.float32))
        for count in rng.integers(1, 14, 2).tolist()
    )  # fmt: skip
    near = near_centres(a, b, threshold)
    people = {(i, j): float(one @ two) for i, one in centres(a).items() for j, two in centres(b).items()}
    clear = {pair: value for pair, value in people.items() if abs(value - threshold) > 1e-4}
    found = set(zip(near.left.tolist(), near.right.tolist(), strict=True))
    assert found & clear.keys() == {pair for pair, value in clear.items() if value > threshold}
    same = same_pictures(a, b)[0]
    nearly = near_pictures(a, b, near, threshold)
    listed: Identities = identities_of(a, b, near, same, nearly)
    for place, pair in enumerate(zip(listed.left.tolist(), listed.right.tolist(), strict=True)):
        assert listed.same[place] == sum(
            (int(a.labels[i]), int(b.labels[j])) == pair for i, j in zip(same.left, same.right, strict=True)
        )
        assert listed.near[place] == sum(
            (int(a.labels[i]), int(b.labels[j])) == pair for i, j in zip(nearly.left, nearly.right, strict=True)
        )
        assert np.isfinite(listed.similarity[place]) == (pair in found)


def centres(some: Side) -> dict[int, np.ndarray]:
    assert some.vectors is not None
    rows = unit(np.asarray(some.vectors[:], np.float64))
    return {int(label): unit(rows[some.labels == label].sum(0)[None])[0] for label in np.unique(some.labels)}


def test_a_list_has_the_bytes_of_its_pack(sides: Path, tmp_path: Path) -> None:
    """Every third picture of b is out; b.list speaks of the others under their people, and of these as of nobody."""
    with open_pack(sides / "b" / "pack") as pack:
        labels, payloads = pack.labels.copy(), [pack.read(key).payload for key in pack.keys.tolist()]
    out = np.arange(len(labels)) % 3 == 0
    hashes = np.frombuffer(b"".join(map(payload_hash, payloads)), np.uint8).reshape(-1, 16)
    nothing = np.zeros((len(labels), HASH_BYTES), np.uint8)
    action = np.where(out, Action.DROP, Action.KEEP).astype(np.int8)
    listed = make_list(Pictures(hashes, nothing), action, np.where(out, Reason.INTRA, 0).astype(np.int8),
                       np.where(out, -1, labels), {"voters": [{"who": "the test"}]})  # fmt: skip
    write_list(tmp_path / "b.list", listed)
    one, two = (overlap(OverlapConfig(str(sides / "a" / "pack"), str(place), str(tmp_path / f"{name}.out")))
                for name, place in (("pack", sides / "b" / "pack"), ("list", tmp_path / "b.list")))  # fmt: skip
    assert (two.by_bytes, two.by_vectors) == (True, False)
    assert two.a == replace(one.a, shared_identities=two.a.shared_identities)
    assert two.b.pictures == one.b.pictures
    assert two.b.same_pictures == one.b.same_pictures == 8
    assert two.b.identities == len(np.unique(labels[~out])) + np.count_nonzero(out)
    texts = [(tmp_path / f"{name}.out" / "pictures.csv").read_text() for name in ("pack", "list")]
    found = [list(csv.DictReader(text.splitlines())) for text in texts]
    kept = [row["key_a"] for row in found[0] if not out[int(row["key_b"])]]
    assert sorted(row["key_a"] for row in found[1]) == sorted(row["key_a"] for row in found[0])
    assert 0 < len(kept) < 8
    with pytest.raises(ConfigError, match="leave out its --features"):
        overlap(OverlapConfig(str(sides / "a" / "pack"), str(tmp_path / "b.list"), features_b="any"))


def test_pairs_that_chance_makes_are_said(sides: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A network that finds everybody alike: one direction is in all vectors. The planted people are found as before."""
    overlap(config(sides, True))
    assert not caplog.records
    features = {}
    for name in "ab":
        with open_pack(sides / name / "pack") as pack:
            vectors = np.load(sides / name / "features" / VECTORS / "00000000.npy")
            alike = np.hstack([vectors, np.full((len(vectors), 1), 1.5, np.float32)])
            write_features(tmp_path / name, pack.keys, pack.labels, alike)
        features[f"features_{name}"] = str(tmp_path / name)
    found = overlap(replace(config(sides, False), **features))
    assert found.identity_pairs == 400
    (said,) = [record.getMessage() for record in caplog.records]
    assert "100.0% of the pairs of identities are as alike as 0.6, so about 400 of the 400 pairs" in said
    assert "choose a higher --identity" in said


def test_doors(sides: Path, tmp_path: Path) -> None:
    a, b = str(sides / "a" / "pack"), str(sides / "b" / "pack")
    for name in ("identity", "picture"):
        with pytest.raises(ConfigError, match=f"{name} is 1.5"):
            OverlapConfig(a, b, **{name: 1.5})
    with pytest.raises(ConfigError, match=r"nothing of .* can be compared"):
        overlap(OverlapConfig(a, str(sides / "b" / "features")))
    write_bins(tmp_path / "pairs.bin", [encode_jpeg(draw(1, 1))] * 2, [True])
    with pytest.raises(ConfigError, match="give --model instead"):
        overlap(OverlapConfig(a, str(tmp_path / "pairs.bin"), features_b=str(sides / "b" / "features")))
    with pytest.raises(FacekitError):
        overlap(replace(config(sides, True), features_b=str(sides / "a" / "features")))
    with open_pack(b) as pack:
        write_features(tmp_path / "other", pack.keys, pack.labels, np.ones((pack.num_images, WIDTH)), model="1")
    with pytest.raises(ConfigError, match="embed both with one"):
        overlap(replace(config(sides, True), features_b=str(tmp_path / "other")))
    for missing in ("nowhere", str(tmp_path / "nowhere.bin")):
        assert call(["overlap", a, missing]).code == 2


def test_the_command(sides: Path, tmp_path: Path) -> None:
    words = ["overlap", sides / "a" / "pack", sides / "b" / "pack", tmp_path / "out",
             "--features-a", sides / "a" / "features", "--features-b", sides / "b" / "features"]  # fmt: skip
    said = call(words)
    assert "8 pictures are in the other, byte for byte, 4 more nearly" in said.out
    assert "8 identities (40.0%) are in both" in said.out
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "identities.csv", "pictures.csv", "run.json", "strips.png",
    ]  # fmt: skip
    again = json.loads(call([*words, "--json", "--overwrite"]).out)
    assert (again["a"]["same_pictures"], again["identity_pairs"]) == (8, 8)
    assert "only bytes were compared" in call(["overlap", *words[1:3]]).out
