"""Pictures that cannot be trained on: named in one sentence, whichever process met them."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from clean_packs import draw
from train_packs import QUICK, changes, facekit

from facekit.errors import PictureError, RecordError
from facekit.images import encode_jpeg
from facekit.records import Header, PackWriter
from facekit.train.config import LoopConfig
from facekit.train.samples import EpochLoader, TrainingSet


class TellsItsSignal(TrainingSet):
    """Gives the signal that the process it is read in gets when its parent ends."""

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int, bool]:
        signal = ctypes.c_int()
        ctypes.CDLL(None).prctl(2, ctypes.byref(signal))  # PR_GET_PDEATHSIG
        return torch.tensor(float(signal.value)), 0, False


def pack_with(folder: Path, odd: bytes) -> Path:
    """A flat pack of 24 pictures, (40, 36) but for key 9."""
    with PackWriter(folder, "flat") as writer:
        for key in range(24):
            writer.write(Header(0, float(key % 3), key, 0), odd if key == 9 else encode_jpeg(draw(key % 3, key)))
    return folder


@pytest.mark.parametrize("workers", [0, 2])
def test_a_picture_of_another_size_is_named_with_its_cure(workers: int, tmp_path: Path) -> None:
    pack = pack_with(tmp_path / "pack", encode_jpeg(draw(0, 9)[:30]))
    given = changes(*QUICK, f"workers={workers}")
    done = facekit("train", "bcl", str(pack), str(tmp_path / "run"), "--recipe", "bcl-small", *given)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        f"facekit: {pack}/train.rec, key 9: a picture of 30 x 36 pixels in a pack whose first has 40 x 36; "
        f"a copy with one size is made by facekit check --deep {pack} --repair DST"
    )
    assert "Traceback" not in done.stderr


class TellsItsProcess(TrainingSet):
    """Gives the number of the process that reads, and the epoch."""

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int, bool]:
        return torch.tensor([os.getpid(), int(self._epoch), index]), 0, False


@pytest.mark.parametrize("workers", [0, 2])
def test_processes_that_read_stay_over_epochs_and_see_each(workers: int, tmp_path: Path) -> None:
    pack = pack_with(tmp_path / "pack", encode_jpeg(draw(0, 9)))
    samples = TellsItsProcess(str(pack), LoopConfig(batch=4, workers=workers))
    loader, processes = EpochLoader(samples), set()
    for epoch in range(3):
        samples.set_epoch(epoch)
        order = np.random.default_rng(epoch).permutation(24)
        found = torch.cat([batch.image for batch in loader.batches(order, first=epoch)])
        processes |= set(found[:, 0].tolist())
        assert set(found[:, 1].tolist()) == {epoch}
        assert found[:, 2].tolist() == order[4 * epoch :].tolist()
    assert len(processes) == max(1, workers)
    assert (os.getpid() in processes) == (workers == 0)
    loader.close()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent ended")
@pytest.mark.parametrize(("workers", "expected"), [(0, 0), (1, signal.SIGKILL)])
def test_a_process_that_reads_ends_with_the_one_that_trains(workers: int, expected: int, tmp_path: Path) -> None:
    pack = pack_with(tmp_path / "pack", encode_jpeg(draw(0, 9)))
    samples = TellsItsSignal(str(pack), LoopConfig(batch=12, workers=workers))
    assert next(EpochLoader(samples).batches(np.arange(12))).image.tolist() == [expected] * 12


@pytest.mark.parametrize("workers", [0, 1])
def test_an_error_keeps_its_type_and_fields_through_a_worker(workers: int, tmp_path: Path) -> None:
    pack = pack_with(tmp_path / "pack", b"no picture")
    samples = TrainingSet(str(pack), LoopConfig(batch=12, workers=workers))
    with pytest.raises(PictureError, match=r"train\.rec, key 9: the payload begins with"):
        next(EpochLoader(samples).batches(np.arange(12)))
    rec = pack / "train.rec"
    rec.write_bytes(rec.read_bytes()[:-100])
    with pytest.raises(RecordError) as caught:
        next(EpochLoader(samples).batches(np.arange(12, 24)))
    assert (caught.value.key, caught.value.path) == (23, str(rec))
