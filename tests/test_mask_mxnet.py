"""What `facekit mask` wrote, read by real mxnet 1.9.1, record for record."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from mask_stand_ins import painter, stored_mesh, write_pack

from facekit.jobs.mask.config import MaskConfig
from facekit.jobs.mask.job import mask
from facekit.records import open_pack

READ = r"""
import hashlib, json, sys
import mxnet as mx
import numpy as np
reader = mx.recordio.MXIndexedRecordIO(sys.argv[1] + "/train.idx", sys.argv[1] + "/train.rec", "r")
rows = []
for key in reader.keys:
    header, payload = mx.recordio.unpack(reader.read_idx(key))
    shape = mx.image.imdecode(payload).shape if payload[:2] == b"\xff\xd8" else None
    label = np.asarray(header.label, np.float64).ravel().tolist()
    rows.append([key, header.flag, label, header.id, header.id2, hashlib.sha256(payload).hexdigest(), shape])
print(json.dumps(rows))
"""


@pytest.mark.parametrize("mode", ["add", "replace"])
@pytest.mark.parametrize("layout", ["insightface", "flat"])
def test_mxnet_reads_every_record(tmp_path: Path, mode: str, layout: str) -> None:
    python = os.environ.get("FACEKIT_MXNET_PYTHON")
    if not python:
        pytest.skip("FACEKIT_MXNET_PYTHON names no interpreter with mxnet 1.9.1 (it needs numpy < 1.24)")
    source = write_pack(tmp_path / "pack", layout)
    mask(MaskConfig(str(source), str(tmp_path / "out"), ratio=0.5, mode=mode), stored_mesh, painter)
    command = [python, "-c", READ, str(tmp_path / "out")]
    theirs = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    pack = open_pack(tmp_path / "out")
    assert [row[0] for row in theirs] == pack.physical_keys.tolist()
    for key, flag, label, id_, id2, digest, shape in theirs:
        record = pack.read(key)
        assert (flag, id_, id2) == (record.header.flag, record.header.id, record.header.id2)
        assert label == np.asarray(record.header.label, np.float64).ravel().tolist()
        assert digest == hashlib.sha256(record.payload).hexdigest()
        assert shape is None or tuple(shape) == pack.image(key).shape
    assert sum(row[6] is not None for row in theirs) > 15
