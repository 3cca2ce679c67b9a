"""Mesh caches: what goes in comes out, merging equals a dictionary, and every kind of wrong file has its error."""

from __future__ import annotations

import os
import pickle
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facekit.errors import ConfigError, RecordError
from facekit.faces import cache, cache_file, cache_merge
from facekit.faces.cache import MeshCache, MeshCacheWriter
from facekit.faces.cache_merge import merge_mesh_caches
from facekit.faces.mesh import Mesh, rounded

PACK = "sha256:0123"
keys_of_packs = st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(0, 40), unique=True, max_size=30)


def mesh_of(seed: int) -> Mesh:
    rng = np.random.default_rng(seed)
    return Mesh(rng.uniform(-2000, 2000, (468, 3)).astype(np.float32), float(rng.normal() * 10))


def write(path, meshes: dict[int, Mesh], fingerprint: str = PACK):
    with MeshCacheWriter(path, fingerprint) as writer:
        for key, mesh in meshes.items():
            assert writer.add(key, mesh)
    return path


def same(a: Mesh | None, b: Mesh) -> bool:
    return a is not None and a.vertices.tobytes() == b.vertices.tobytes() and a.presence == b.presence


@given(keys=keys_of_packs)
def test_what_goes_in_comes_out(keys, tmp_path_factory):
    path = tmp_path_factory.mktemp("cache") / "meshes"
    meshes = {key: mesh_of(n) for n, key in enumerate(keys)}
    write(path, meshes)
    with MeshCache(path, PACK) as stored:
        assert len(stored) == len(keys)
        for key, mesh in meshes.items():
            found = stored.get(key)
            assert np.abs(found.vertices - mesh.vertices).max() <= 1 / 32
            assert same(found, rounded(mesh))
            assert key in stored
        for key in (-5, 41, 2**62, 10**6):
            assert (key in stored) == (key in meshes)
            assert (stored.get(key) is None) == (key not in meshes)


@pytest.mark.parametrize("count", [0, 1, 255, 256, 257, 700])
def test_any_number_of_blocks(tmp_path, count):
    mesh = mesh_of(0)
    keys = np.random.default_rng(count).permutation(3 * count)[:count].tolist()
    with MeshCacheWriter(tmp_path / "meshes", PACK) as writer:
        for key in keys:
            writer.add(key, mesh._replace(presence=float(key)))
    stored = MeshCache(tmp_path / "meshes", PACK)
    assert {key: stored.get(key).presence for key in range(3 * count) if key in stored} == {k: float(k) for k in keys}
    assert (tmp_path / "meshes").stat().st_size == 64 + count * 2828 + 8 * -(-count // 256)


def test_the_last_mesh_of_a_key_counts(tmp_path):
    with MeshCacheWriter(tmp_path / "meshes", PACK) as writer:
        for seed in range(3):
            writer.add(7, mesh_of(seed))
    assert same(MeshCache(tmp_path / "meshes", PACK).get(7), rounded(mesh_of(2)))


@pytest.mark.parametrize("bad", [2047.99, -2048.5, np.nan, np.inf])
def test_what_int16_cannot_hold_is_not_kept(tmp_path, bad):
    vertices = mesh_of(0).vertices.copy()
    vertices[3, 1] = bad
    with MeshCacheWriter(tmp_path / "meshes", PACK) as writer:
        assert not writer.add(1, Mesh(vertices, 1.0))
        assert writer.add(2, mesh_of(1))
    stored = MeshCache(tmp_path / "meshes", PACK)
    assert stored.get(1) is None
    assert same(stored.get(2), rounded(mesh_of(1)))


@given(parts=st.lists(st.lists(st.integers(0, 60), unique=True, max_size=25), max_size=6), block=st.integers(1, 5))
def test_merging_equals_a_dictionary(parts, block, tmp_path_factory):
    """Ranges and blocks of a few keys, so that small parts cross their borders."""
    folder, expected = tmp_path_factory.mktemp("cache"), {}
    with pytest.MonkeyPatch.context() as patch:
        for home in (cache, cache_file, cache_merge):
            patch.setattr(home, "BLOCK", block)
        patch.setattr(cache_merge, "MERGE", 2 * block)
        paths = []
        for number, keys in enumerate(parts):
            meshes = {key: rounded(mesh_of(100 * number + key)) for key in keys}
            paths.append(write(folder / f"part{number}", meshes))
            expected.update(meshes)
        merge_mesh_caches(folder / "all", paths, PACK)
        with MeshCache(folder / "all", PACK) as merged:
            assert len(merged) == len(expected)
            assert all(same(merged.get(key), mesh) for key, mesh in expected.items())
            assert not any(key in merged for key in range(61, 70))


def test_a_cache_grows_by_merging_with_itself(tmp_path):
    path = tmp_path / "meshes"
    for number in range(3):
        part = write(tmp_path / f"part{number}", {number: mesh_of(number)})
        merge_mesh_caches(path, [path, part] if path.exists() else [part], PACK)
    stored = MeshCache(path, PACK)
    assert [same(stored.get(n), rounded(mesh_of(n))) for n in range(3)] == [True] * 3
    assert sorted(p.name for p in tmp_path.iterdir()) == ["meshes", "part0", "part1", "part2"]


def test_the_order_of_the_parts_decides_only_shared_keys(tmp_path):
    first, second = write(tmp_path / "a", {1: mesh_of(1), 2: mesh_of(2)}), write(tmp_path / "b", {2: mesh_of(3)})
    merge_mesh_caches(tmp_path / "ab", [first, second], PACK)
    merge_mesh_caches(tmp_path / "ba", [second, first], PACK)
    assert same(MeshCache(tmp_path / "ab", PACK).get(2), rounded(mesh_of(3)))
    assert same(MeshCache(tmp_path / "ba", PACK).get(2), rounded(mesh_of(2)))
    assert same(MeshCache(tmp_path / "ba", PACK).get(1), rounded(mesh_of(1)))


def test_nothing_appears_when_writing_fails(tmp_path):
    def fail() -> None:
        with MeshCacheWriter(tmp_path / "meshes", PACK) as writer:
            writer.add(1, mesh_of(1))
            raise KeyError("the job died")

    with pytest.raises(KeyError):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_a_failed_merge_leaves_the_former_cache(tmp_path):
    path = write(tmp_path / "meshes", {1: mesh_of(1)})
    other = write(tmp_path / "other", {2: mesh_of(2)}, "another pack")
    before = path.read_bytes()
    with pytest.raises(RecordError, match="another pack"):
        merge_mesh_caches(path, [path, other], PACK)
    assert path.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["meshes", "other"]


def test_another_pack_is_refused(tmp_path):
    path = write(tmp_path / "meshes", {1: mesh_of(1)})
    with pytest.raises(RecordError, match="another pack or by another model") as caught:
        MeshCache(path, "sha256:4567")
    assert caught.value.path == str(path)


@pytest.mark.parametrize("fingerprint", [""])
def test_a_cache_belongs_to_some_pack(tmp_path, fingerprint):
    with pytest.raises(ConfigError, match="fingerprint"):
        MeshCacheWriter(tmp_path / "meshes", fingerprint)


def test_every_truncation_is_noticed(tmp_path):
    whole = write(tmp_path / "meshes", {key: mesh_of(key) for key in range(3)}).read_bytes()
    short = tmp_path / "short"
    for length in [*range(0, 64, 7), 64, 65, 64 + 2812, 64 + 3 * 2812, len(whole) - 8, len(whole) - 1]:
        short.write_bytes(whole[:length])
        with pytest.raises(RecordError, match="mesh cache"):
            MeshCache(short, PACK)
        with pytest.raises(RecordError, match="mesh cache"):
            merge_mesh_caches(tmp_path / "merged", [short], PACK)
    assert not (tmp_path / "merged").exists()


@pytest.mark.parametrize("junk", [b"", b"\x0a\x23\xd7\xce" * 40, os.urandom(5000)])
def test_another_file_is_no_cache(tmp_path, junk):
    (tmp_path / "junk").write_bytes(junk)
    with pytest.raises(RecordError, match="not a mesh cache"):
        MeshCache(tmp_path / "junk", PACK)


def test_a_header_that_claims_too_much_allocates_nothing(tmp_path):
    path = tmp_path / "huge"
    path.write_bytes(cache_file.HEADER.pack(cache_file.SIGNATURE, 2**60, 2**60, bytes(32)))
    with pytest.raises(RecordError, match="header says"):
        MeshCache(path, PACK)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(RecordError, match="cannot be opened") as caught:
        MeshCache(tmp_path / "nowhere", PACK)
    assert "nowhere" in str(caught.value)


def test_a_cache_travels_to_workers(tmp_path):
    path = write(tmp_path / "meshes", {key: mesh_of(key) for key in range(300)})
    stored = MeshCache(path, PACK)
    copy = pickle.loads(pickle.dumps(stored))
    assert same(copy.get(299), stored.get(299))
    assert len(pickle.dumps(stored)) < 1000


def test_threads_may_share_a_cache(tmp_path):
    meshes = {key: rounded(mesh_of(key % 5)._replace(presence=float(key))) for key in range(600)}
    stored, wrong = MeshCache(write(tmp_path / "meshes", meshes), PACK), []

    def read(seed: int) -> None:
        for key in np.random.default_rng(seed).integers(0, 600, 400).tolist():
            if not same(stored.get(key), meshes[key]):
                wrong.append(key)

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_reading_holds_no_more_than_the_sparse_index_and_a_block(tmp_path):
    import tracemalloc

    path = write(tmp_path / "meshes", {key: mesh_of(key % 3) for key in range(2000)})
    tracemalloc.start()
    with MeshCache(path, PACK) as stored:
        for key in range(2000):
            stored.get(key)
        _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert path.stat().st_size > 5_000_000
    assert peak < 100_000


def test_merging_does_not_hold_all_keys(tmp_path, monkeypatch):
    import tracemalloc

    monkeypatch.setattr(cache_file, "ROW", np.dtype([("presence", "<f4")]))
    monkeypatch.setattr(cache_merge, "MERGE", 1 << 12)
    monkeypatch.setattr(cache_merge, "COPY", 1 << 12)
    keys = np.random.default_rng(0).permutation(200_000)
    parts = [write_keys(tmp_path / f"part{n}", keys[n::4]) for n in range(4)]
    np.unique(keys[:1])  # imports numpy.ma, half a megabyte that is not of merging
    tracemalloc.start()
    merge_mesh_caches(tmp_path / "all", parts, PACK)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(MeshCache(tmp_path / "all", PACK)) == 200_000
    assert peak < 1_000_000, "200,000 entries take 3.2 MB"


def write_keys(path, keys: np.ndarray):
    """A cache file whose rows are nothing but numbers."""
    entries = np.zeros(len(keys), cache_file.ENTRY)
    order = np.argsort(keys)
    entries["key"], entries["row"] = keys[order], order
    layout = cache_file.Layout(len(keys), len(keys), cache_file.bound_of(PACK))
    rows = keys.astype("<f4").tobytes()
    path.write_bytes(layout.header() + rows + entries.tobytes() + entries["key"][:: cache_file.BLOCK].tobytes())
    return path
