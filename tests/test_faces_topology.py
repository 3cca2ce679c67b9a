"""The shipped mesh assets: what they are made of, and the tool that makes them."""

from __future__ import annotations

import importlib.util
import struct
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from facekit.faces.topology import NUM_VERTICES, load_topology

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("fetch_mesh", ROOT / "tools" / "fetch_mesh.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_shipped_files_are_the_pinned_ones(tool):
    model = (ROOT / "assets" / "mesh" / "face_landmark.tflite").read_bytes()
    assert tool.verify("model", model) == model
    with np.load(ROOT / "assets" / "mesh" / "topology.npz") as arrays:
        tool.verify("topology", tool.contents({name: arrays[name] for name in arrays}))


def test_notice_and_licence_ship_with_them():
    folder = ROOT / "assets" / "mesh"
    assert "MediaPipe Authors" in (folder / "NOTICE").read_text()
    assert "Apache License" in (folder / "LICENSE").read_text()


def test_a_changed_file_is_refused(tool, tmp_path, monkeypatch):
    package = tmp_path / "package"
    package.mkdir()
    (package / Path(tool.MEMBER).name).write_bytes(bytes(4_000_000))
    monkeypatch.setattr("sys.argv", ["fetch_mesh", "--package", str(package), "--out", str(tmp_path / "out")])
    with pytest.raises(SystemExit, match="nothing was written"):
        tool.main()
    assert not (tmp_path / "out").exists()


def test_an_archive_of_something_else_is_refused(tool, tmp_path):
    (tmp_path / "other.tgz").write_bytes(b"not an archive")
    with pytest.raises(SystemExit, match="npm pack"):
        tool.read_archive(tmp_path / "other.tgz")


def test_the_geometry_message_is_read(tool):
    """A message written by hand: two vertices, one triangle, and fields that do not matter."""
    floats = b"".join(b"\x1d" + struct.pack("<f", value) for value in range(10))
    corners = b"".join(bytes([0x20, corner]) for corner in (0, 1, 0))
    mesh = b"\x08\x00" + floats + corners + b"\x21" + bytes(8)
    arrays = tool.topology(b"\x0a" + bytes([len(mesh)]) + mesh + b"\x12\x03abc")
    np.testing.assert_array_equal(arrays["positions"], [[0, 1, 2], [5, 6, 7]])
    np.testing.assert_array_equal(arrays["uv"], [[3, 4], [8, 9]])
    np.testing.assert_array_equal(arrays["triangles"], [[0, 1, 0]])
    assert list(tool.fields(b"\x08\xac\x02")) == [(1, 300)]


def test_the_mesh_is_one_disc():
    """Every edge has one or two triangles that run along it in opposite directions; V - E + F = 1; one border."""
    triangles = load_topology().triangles
    assert triangles.shape == (898, 3)
    assert np.unique(triangles).tolist() == list(range(NUM_VERTICES))
    directed = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    assert len(np.unique(directed, axis=0)) == len(directed), "a side is used twice in one direction"
    edges, uses = np.unique(np.sort(directed, axis=1), axis=0, return_counts=True)
    assert set(uses) == {1, 2}
    assert NUM_VERTICES - len(edges) + len(triangles) == 1
    sides = {(int(a), int(b)) for a, b in directed}
    following = dict(side for side in sides if side[::-1] not in sides)
    start = next(iter(following))
    at, length = following[start], 1
    while at != start:
        at, length = following[at], length + 1
    assert length == (uses == 1).sum(), "the border is one loop"


def test_axes_of_the_mean_face():
    topology = load_topology()
    positions, uv = topology.positions, topology.uv
    nose, chin, top, left_edge, right_edge = positions[[4, 152, 10, 234, 454]]
    assert left_edge[0] < nose[0] < right_edge[0]
    assert chin[1] < nose[1] < top[1], "y is up"
    assert nose[2] > max(chin[2], top[2], right_edge[2], left_edge[2]), "z is toward the viewer"
    assert 14 < right_edge[0] - left_edge[0] < 17, "centimetres"
    assert uv.min() >= 0
    assert uv.max() <= 1
    assert uv[10, 1] < uv[4, 1] < uv[152, 1], "v is down"


def test_triangles_face_the_viewer_and_do_not_fold_in_uv():
    topology = load_topology()
    for points, sign in ((topology.positions[:, :2], 1), (topology.uv * [1, -1], 1)):
        a, b, c = (points[topology.triangles[:, k]].astype(float) for k in range(3))
        area = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
        assert (sign * area > 0).mean() > 0.97


def test_the_arrays_cannot_be_written():
    for array in load_topology():
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0
