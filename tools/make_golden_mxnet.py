"""Write tests/golden/mxnet/calls.json: what real mxnet 1.9.1 answers to the calls that training scripts make.

    python tools/make_golden_mxnet.py MXNET_PYTHON

MXNET_PYTHON is an interpreter that has mxnet 1.9.1 (numpy < 1.24). Pictures are stored in the file, results as
shape and SHA-256, so the tests need neither this script nor mxnet.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

GOLDEN = Path(__file__).parents[1] / "tests" / "golden" / "mxnet" / "calls.json"

# Run by the interpreter that has mxnet.
MXNET = r"""
import hashlib, json, sys
import mxnet as mx
from mxnet import ndarray as nd
import numpy as np

def told(array):
    array = np.ascontiguousarray(array)
    sha256 = hashlib.sha256(array.tobytes()).hexdigest()
    return {"shape": list(array.shape), "dtype": str(array.dtype), "sha256": sha256}

results = {}
for name, text in json.load(sys.stdin).items():
    payload = bytes.fromhex(text)
    image = mx.image.imdecode(payload)
    flipped = mx.ndarray.flip(data=nd.transpose(image, axes=(2, 0, 1)), axis=2)
    answers = {
        "imdecode": told(image.asnumpy()),
        "imdecode_bgr": told(mx.image.imdecode(payload, to_rgb=0).asnumpy()),
        "imdecode_grey": told(mx.image.imdecode(payload, flag=0).asnumpy()),
        "transpose_flip": told(flipped.asnumpy()),
        "slice_axis": told(nd.slice_axis(image, axis=0, begin=3, end=9).asnumpy()),
        "array": told(nd.array(image.asnumpy().astype(np.float64)).asnumpy()),
    }
    for interp in (0, 1, 2, 3, 4, 9):
        for size in (20, 77):
            short = mx.image.resize_short(image, size, interp)
            answers["resize_short %d %d" % (size, interp)] = told(short.asnumpy())
            if interp == 2 and size == 20:
                answers["bicubic"] = short.asnumpy().ravel().tolist()
    results[name] = answers
print(json.dumps({"mxnet": mx.__version__, "results": results}))
"""


def drawn(seed: int, height: int, width: int) -> np.ndarray:
    """Discs, a gradient and noise: smooth and sharp, so that decoders have something to disagree about."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    picture = np.stack([x * 255 / width, y * 255 / height, (x + y) % 256], -1)
    for _ in range(6):
        inside = (x - rng.uniform(0, width)) ** 2 + (y - rng.uniform(0, height)) ** 2 < rng.uniform(3, 20) ** 2
        picture[inside] = rng.uniform(0, 255, 3)
    return np.clip(picture + rng.normal(0, 4, picture.shape), 0, 255).astype(np.uint8)


def saved(picture: np.ndarray, kind: str, mode: str = "RGB", **options: object) -> bytes:
    """The picture as a file."""
    out = io.BytesIO()
    Image.fromarray(picture).convert(mode).save(out, kind, **options)
    return out.getvalue()


def pictures() -> dict[str, bytes]:
    """Every coding that packs hold."""
    exif = Image.Exif()
    exif[274] = 6
    return {
        "4:2:0": saved(drawn(1, 56, 40), "JPEG", quality=95, subsampling=2),
        "4:4:4": saved(drawn(2, 40, 56), "JPEG", quality=90, subsampling=0),
        "4:2:2": saved(drawn(3, 33, 47), "JPEG", quality=75, subsampling=1),
        "progressive": saved(drawn(4, 48, 48), "JPEG", quality=85, progressive=True),
        "grey": saved(drawn(5, 41, 37), "JPEG", "L", quality=92),
        "turned": saved(drawn(6, 36, 52), "JPEG", quality=92, exif=exif.tobytes()),
        "png": saved(drawn(7, 31, 45), "PNG"),
    }


def main() -> None:
    """Ask mxnet, write the file."""
    given = {name: payload.hex() for name, payload in pictures().items()}
    done = subprocess.run(
        [sys.argv[1], "-W", "ignore", "-c", MXNET],
        input=json.dumps(given),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    GOLDEN.parent.mkdir(parents=True, exist_ok=True)
    answers = json.loads(done.stdout)
    GOLDEN.write_text(json.dumps({"mxnet": answers["mxnet"], "pictures": given, "results": answers["results"]}) + "\n")


if __name__ == "__main__":
    main()
