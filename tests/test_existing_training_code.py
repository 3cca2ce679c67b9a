"""Scripts that make the calls of arcface_torch, CVLface and AdaFace run on the stand-in, without being edited.

The scripts below were written for this test; what they have in common with the real ones is which functions they call
and what they rely on.
"""

from __future__ import annotations

import os
import pickle
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from photo import face

from facekit.images import decode, encode_jpeg
from facekit.records import Header, PackWriter, open_pack

DOCS = Path(__file__).parents[1] / "docs"

ARCFACE_TORCH = """
import numbers, os, pickle, sys
import mxnet as mx, numpy as np, torch
from mxnet import ndarray as nd
from torch.utils.data import DataLoader, Dataset

class Faces(Dataset):
    def __init__(self, folder, local_rank):
        idx, rec = os.path.join(folder, "train.idx"), os.path.join(folder, "train.rec")
        self.imgrec = mx.recordio.MXIndexedRecordIO(idx, rec, "r")
        header, _ = mx.recordio.unpack(self.imgrec.read_idx(0))
        if header.flag > 0:
            self.header0 = (int(header.label[0]), int(header.label[1]))
            self.imgidx = np.arange(1, self.header0[0])
        else:
            self.imgidx = np.array(list(self.imgrec.keys))
    def __len__(self):
        return len(self.imgidx)
    def __getitem__(self, index):
        header, content = mx.recordio.unpack(self.imgrec.read_idx(self.imgidx[index]))
        label = header.label if isinstance(header.label, numbers.Number) else header.label[0]
        pixels = mx.image.imdecode(content).asnumpy()
        return torch.from_numpy(pixels), torch.tensor(label, dtype=torch.long)

def verification(path, side):
    with open(path, "rb") as file:
        bins, same = pickle.load(file, encoding="bytes")
    both = torch.zeros((2, len(same) * 2, 3, side, side), dtype=torch.uint8)
    for place in range(len(same) * 2):
        picture = mx.image.imdecode(bins[place])
        if picture.shape[1] != side:
            picture = mx.image.resize_short(picture, side)
        picture = nd.transpose(picture, axes=(2, 0, 1))
        both[0][place][:] = torch.from_numpy(picture.asnumpy())
        both[1][place][:] = torch.from_numpy(mx.ndarray.flip(data=picture, axis=2).asnumpy())
    return both

if __name__ == "__main__":
    folder, pairs, method = sys.argv[1:]
    loader = DataLoader(Faces(folder, 0), batch_size=4, num_workers=2, multiprocessing_context=method)
    images, labels = (torch.cat(parts) for parts in zip(*loader))
    np.savez("out.npz", images=images.numpy(), labels=labels.numpy(), pairs=verification(pairs, 112).numpy())
"""

CVLFACE = """
import atexit, numbers, os, sys
import mxnet as mx, numpy as np

class Faces:
    def __init__(self, folder):
        idx, rec = os.path.join(folder, "train.idx"), os.path.join(folder, "train.rec")
        self.imgrec = mx.recordio.MXIndexedRecordIO(idx, rec, "r")
        self.imgrec.close = lambda: None
        header, _ = mx.recordio.unpack(self.imgrec.read_idx(0))
        self.imgidx = np.arange(1, int(header.label[0])) if header.flag > 0 else np.array(list(self.imgrec.keys))
        atexit.register(self.dispose)
    def dispose(self):
        self.imgrec.close()
    __del__ = dispose

faces = Faces(sys.argv[1])
images, labels = [], []
for key in faces.imgidx:
    header, content = mx.recordio.unpack(faces.imgrec.read_idx(key))
    label = header.label if isinstance(header.label, numbers.Number) else header.label[0]
    images.append(mx.image.imdecode(content).asnumpy())
    labels.append(int(label))

writer = mx.recordio.MXIndexedRecordIO("written.idx", "written.rec", "w")
for place, (image, label) in enumerate(zip(images, labels)):
    header = mx.recordio.IRHeader(0, label, place, 0)
    writer.write_idx(place, mx.recordio.pack_img(header, image[:, :, ::-1], quality=100, img_fmt=".jpg"))
writer.close()
np.savez("out.npz", images=np.stack(images), labels=labels)
"""

ADAFACE = """
import numbers, sys
from pathlib import Path
import mxnet as mx, numpy as np

folder = Path(sys.argv[1])
record = mx.recordio.MXIndexedRecordIO(str(folder / "train.idx"), str(folder / "train.rec"), "r")
header, _ = mx.recordio.unpack(record.read_idx(0))
count = int(header.label[0])
images, labels = [], []
for key in range(1, count):
    header, image = mx.recordio.unpack_img(record.read_idx(key))
    labels.append(int(header.label if isinstance(header.label, numbers.Number) else header.label[0]))
    images.append(image[:, :, ::-1])
np.savez("out.npz", images=np.stack(images), labels=labels)
"""


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    """Labels are numbers and vectors by turns."""
    with PackWriter(tmp_path / "pack") as writer:
        for number in range(9):
            label = np.array([number // 3, 1.0], np.float32) if number % 2 else float(number // 3)
            writer.write(Header(0, label, number + 1, 0), encode_jpeg(face(number), 90))
    return tmp_path / "pack"


def run(script: str, folder: Path, *arguments: object) -> dict[str, np.ndarray]:
    (folder / "script.py").write_text(script)
    command = [sys.executable, "-W", "ignore", "-m", "facekit.compat.mxnet", "script.py", *map(str, arguments)]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": ""}
    )
    assert done.returncode == 0, done.stderr
    with np.load(folder / "out.npz") as found:
        return dict(found)


def expected(pack: Path) -> tuple[np.ndarray, list[int]]:
    with open_pack(pack) as opened:
        return np.stack([opened.image(key) for key in opened.keys]), opened.labels.tolist()


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_calls_of_arcface_torch(pack: Path, tmp_path: Path, method: str) -> None:
    bins = [encode_jpeg(face(seed), 90) for seed in range(3)] + [encode_jpeg(face(7, side=150), 90)]
    (tmp_path / "pairs.bin").write_bytes(pickle.dumps((bins, [True, False])))
    found = run(ARCFACE_TORCH, tmp_path, pack, tmp_path / "pairs.bin", method)
    images, labels = expected(pack)
    assert (found["images"] == images).all()
    assert found["labels"].tolist() == labels
    straight, mirrored = found["pairs"]
    assert (straight[1] == decode(bins[1]).transpose(2, 0, 1)).all()
    assert (mirrored == straight[..., ::-1]).all()
    assert np.abs(straight[3].transpose(1, 2, 0).astype(int) - face(7)).mean() < 8


def test_calls_of_cvlface(pack: Path, tmp_path: Path) -> None:
    found = run(CVLFACE, tmp_path, pack)
    images, labels = expected(pack)
    assert (found["images"] == images).all()
    assert found["labels"].tolist() == labels
    written, again = expected(tmp_path / "written.rec")
    assert np.abs(written.astype(int) - images).mean() < 2
    assert again == labels


def test_calls_of_adaface(pack: Path, tmp_path: Path) -> None:
    found = run(ADAFACE, tmp_path, pack)
    images, labels = expected(pack)
    assert (found["images"] == images).all()
    assert found["labels"].tolist() == labels


def test_the_recipes_import_what_there_is() -> None:
    page = (DOCS / "existing-training-code.md").read_text("utf-8")
    imports = set(re.findall(r"^(?:from|import) facekit.*$", page, re.M))
    assert len(imports) >= 5
    for line in imports:
        exec(line, {})
    for page in ("existing-training-code.md", "your-own-mask.md"):
        for block in re.findall(r"```python\n(.*?)```", (DOCS / page).read_text("utf-8"), re.S):
            indent = len(block) - len(block.lstrip(" "))
            compile("\n".join(line[indent:] for line in block.splitlines()), page, "exec")
