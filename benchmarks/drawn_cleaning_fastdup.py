"""fastdup on the drawn cleaning task, as files that `facekit benchmark score-cleaning` reads.

    facekit unpack drawn/cleaning/drawn pictures
    python benchmarks/drawn_cleaning_fastdup.py pictures out
    facekit benchmark score-cleaning drawn out/outliers.csv --task drawn
    facekit benchmark score-cleaning drawn out/nearest.csv --task drawn

The second line runs in an environment of its own, since fastdup 2.54 wants an older numpy. fastdup's own features of
pictures, its settings as they come. outliers.csv drops what it calls an outlier; nearest.csv
drops a picture whose most similar one, where fastdup lists any, stands under another label.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path


def write(path: Path, pictures: list[Path], dropped: set[int]) -> None:
    rows = "".join(f"{key},{int(key not in dropped)}\n" for key in (int(picture.stem) for picture in pictures))
    path.write_text("key,keep\n" + rows, "ascii")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", type=Path, help="the unpacked task: LABEL/KEY.jpg")
    parser.add_argument("destination", type=Path)
    options = parser.parse_args()
    os.environ["SENTRY_OPT_OUT"] = "1"
    import fastdup

    found = fastdup.create(input_dir=str(options.pictures), work_dir=str(options.destination / "work"))
    found.run(num_threads=1, overwrite=True)
    pictures = sorted(options.pictures.glob("*/*.jpg"))
    outliers = {int(Path(name).stem) for name in found.outliers()["filename_outlier"]}
    write(options.destination / "outliers.csv", pictures, outliers)
    nearest: dict[int, tuple[float, bool]] = {}
    pairs = found.similarity()
    for one, other, near in zip(pairs["filename_from"], pairs["filename_to"], pairs["distance"], strict=True):
        key, strange = int(Path(one).stem), Path(one).parent.name != Path(other).parent.name
        nearest[key] = max(nearest.get(key, (-1.0, False)), (float(near), strange))
    write(options.destination / "nearest.csv", pictures, {key for key, (_, strange) in nearest.items() if strange})


if __name__ == "__main__":
    main()
