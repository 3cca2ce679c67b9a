"""Masked pictures go through the branch for masked faces wherever that is known: each picture is counted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import photo
import pytest
from small_models import HEIGHT, PNG, WIDTH, save_model, save_pack

from facekit.embeddings import Preprocessing, open_features
from facekit.embeddings.engine import NetworkOutput
from facekit.embeddings.onnx_engine import OnnxEngine
from facekit.errors import FacekitError
from facekit.images import decode, encode_like
from facekit.jobs.embed.job import EmbedConfig, embed
from facekit.jobs.evaluate.config import EvalConfig
from facekit.jobs.evaluate.faces import Network
from facekit.jobs.evaluate.job import evaluate
from facekit.jobs.evaluate.scores import Findings, bin_scores, gallery_scores, key_scores
from facekit.jobs.inputs.ledger import read_bins_flags
from facekit.jobs.inputs.model import ModelChoice
from facekit.jobs.mask.bins import mask_bins
from facekit.jobs.mask.config import MaskConfig
from facekit.jobs.selflearn.config import SelfLearnConfig
from facekit.jobs.selflearn.round import _scores_of
from facekit.jobs.train.scores import check_lists, scorer
from facekit.records import Header, PackWriter
from facekit.records.bins import read_bins, write_bins
from facekit.run.ledger import LedgerRow, LedgerWriter, ledger_path, payload_hash, table

SAME = [True, False] * 3


class Spy:
    """An engine that remembers which branch every picture took; its vectors are coarse pictures."""

    takes_flag, model_hash = True, "spy"

    def __init__(self, size: tuple[int, int]) -> None:
        self.preprocessing = Preprocessing(size)
        self.seen: list[tuple[bytes, bool]] = []

    def run(self, planes: np.ndarray, masked: np.ndarray) -> NetworkOutput:
        self.seen += [(plane.tobytes(), bool(flag)) for plane, flag in zip(planes, masked, strict=True)]
        step = planes.shape[2] // 7
        return NetworkOutput(planes[:, :, ::step, ::step].reshape(len(planes), -1) + 1e-3, None)

    def flags_of(self, pictures: list[np.ndarray]) -> list[set[bool]]:
        """The branches that each picture took."""
        wanted = [self.preprocessing(picture[None])[0].tobytes() for picture in pictures]
        return [{flag for seen, flag in self.seen if seen == one} for one in wanted]


def picture(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)


def save_bins(path: Path, pictures: list[np.ndarray], masked: list[bool] | None) -> Path:
    """A .bin, with a ledger beside it that says which are masked."""
    payloads = [encode_like(one, PNG) for one in pictures]
    write_bins(path, payloads, SAME[: len(pictures) // 2])
    if masked is not None:
        with LedgerWriter(ledger_path(path)) as out:
            out.append(
                table(
                    LedgerRow(place, place, payload_hash(payload), "mask" if worn else "copy")
                    for place, (payload, worn) in enumerate(zip(payloads, masked, strict=True))
                )
            )
    return path


def findings(evaluation: Callable[..., Findings], engine: Spy, **given: object) -> Findings:
    choice = ModelChoice("spy.onnx", **given.pop("model", {}))
    return evaluation(EvalConfig("spy.onnx", choice, folds=2, **given), Network(engine, choice))


@pytest.mark.parametrize("side", ["second", "both"])
def test_what_wears_a_mask_for_the_evaluation(tmp_path: Path, side: str) -> None:
    """Pictures that come out altered are exactly those that take the branch for masked faces."""
    faces = [photo.face(seed) for seed in range(8)]
    write_bins(tmp_path / "p.bin", [encode_like(face, PNG) for face in faces], SAME[:4])
    spy = Spy((112, 112))
    found = findings(bin_scores, spy, pairs=str(tmp_path / "p.bin"), wear="surgical-blue", side=side)
    bare = {spy.preprocessing(face[None])[0].tobytes() for face in faces}
    assert [flag for _, flag in spy.seen] == [seen not in bare for seen, _ in spy.seen]
    count = sum(flag for _, flag in spy.seen)
    assert (count, len(spy.seen)) == (4 if side == "second" else 8, 8)
    assert found.faces[0].branches == ({"masked": 8} if side == "both" else {"masked": 4, "face": 4})


@pytest.mark.parametrize(("branch", "flag"), [("face", {False}), ("masked", {True}), ("both", {False, True})])
def test_a_branch_that_was_chosen_counts_more_than_what_is_known(tmp_path: Path, branch: str, flag: set[bool]) -> None:
    pictures = [picture(seed) for seed in range(6)]
    path = save_bins(tmp_path / "p.bin", pictures, [True, False] * 3)
    spy = Spy((HEIGHT, WIDTH))
    found = findings(bin_scores, spy, pairs=str(path), model={"branch": branch})
    assert spy.flags_of(pictures) == [flag] * 6
    assert found.faces[0].branches == {branch: 6}
    assert found.faces[0].masked.tolist() == [True, False] * 3


def test_a_bin_with_its_ledger(tmp_path: Path) -> None:
    """As the ledger says; without one all are faces; one of other pictures is refused; one of a pack is not read."""
    pictures = [picture(seed) for seed in range(8)]
    worn = [False, True, True, False, False, True, False, False]
    path = save_bins(tmp_path / "p.bin", pictures, worn)
    spy = Spy((HEIGHT, WIDTH))
    found = findings(bin_scores, spy, pairs=str(path))
    assert spy.flags_of(pictures) == [{one} for one in worn]
    assert found.faces[0].masked.tolist() == worn
    assert read_bins_flags(path, read_bins(path)).tolist() == worn
    ledger_path(path).rename(tmp_path / "other.ledger.parquet")
    spy = Spy((HEIGHT, WIDTH))
    findings(bin_scores, spy, pairs=str(path))
    assert spy.flags_of(pictures) == [{False}] * 8
    other = save_bins(tmp_path / "other.bin", pictures[::-1], None)
    with pytest.raises(FacekitError, match=r"picture 0 of .*belongs to another file"):
        findings(bin_scores, spy, pairs=str(other))
    with pytest.raises(FacekitError, match="belongs to another file"):
        check_lists((str(other),), "", (HEIGHT, WIDTH))
    (tmp_path / "other.rec").write_bytes(b"")
    assert not read_bins_flags(other, read_bins(other)).any()


def test_a_bin_that_facekit_masked(tmp_path: Path) -> None:
    """What the gate refused stays bare, and takes the branch for faces; the flip test takes the same one."""
    faces = [photo.face(0), photo.face(1), np.full((112, 112, 3), 90, np.uint8), *map(photo.face, (2, 3, 4))]
    write_bins(tmp_path / "bare.bin", [encode_like(face, PNG) for face in faces], SAME[:3])
    done = mask_bins(MaskConfig(str(tmp_path / "bare.bin"), str(tmp_path / "worn.bin"), workers=1))
    assert (done.masked, done.pictures) == (5, 6)
    spy, written = Spy((112, 112)), read_bins(tmp_path / "worn.bin").payloads
    findings(bin_scores, spy, pairs=str(tmp_path / "worn.bin"), model={"flip": True})
    pictures = [decode(payload) for payload in written]
    assert spy.flags_of(pictures) == [{True}, {True}, {False}, {True}, {True}, {True}]
    assert spy.flags_of([one[:, ::-1] for one in pictures]) == [{True}, {True}, {False}, {True}, {True}, {True}]


def test_packs_with_a_ledger(tmp_path: Path) -> None:
    """Pairs by key, and a gallery with probes."""
    pack = save_pack(tmp_path / "pack", people=5)
    keys = np.arange(1, 21).reshape(-1, 2)
    rows = [f"{a},{b},{int(a % 4 == 1)}" for a, b in keys.tolist()]
    (tmp_path / "p.csv").write_text("\n".join(["key_a,key_b,same", *rows]))
    spy = Spy((HEIGHT, WIDTH))
    found = findings(key_scores, spy, pairs=str(tmp_path / "p.csv"), pack=str(pack.path))
    assert spy.flags_of(list(pack.pictures)) == [{bool(one)} for one in pack.masked]
    assert sum((faces.branches for faces in found.faces), start=found.faces[0].branches - found.faces[0].branches) == {
        "face": 15,
        "masked": 5,
    }
    spy = Spy((HEIGHT, WIDTH))
    findings(gallery_scores, spy, gallery=str(pack.path), probe=str(pack.path))
    assert spy.flags_of(list(pack.pictures)) == [{bool(one)} for one in pack.masked]


def test_probes_that_wear_a_mask(tmp_path: Path) -> None:
    with PackWriter(tmp_path / "faces") as writer:
        for seed in range(6):
            writer.write(Header(0, float(seed // 2), 0, 0), encode_like(photo.face(seed), PNG))
    spy, path = Spy((112, 112)), str(tmp_path / "faces")
    found = findings(gallery_scores, spy, gallery=path, probe=path, related=True, wear="kn95")
    assert [faces.branches for faces in found.faces] == [{"face": 6}, {"masked": 6}]
    assert sum(flag for _, flag in spy.seen) == 6


def test_vectors_carry_what_was_known(tmp_path: Path) -> None:
    """|sigma| of the small network is 10 through the branch for faces and 11 through the other."""
    pack = save_pack(tmp_path / "pack", people=12)
    model = save_model(tmp_path / "two.onnx", flag=1)
    for branch, seen in ((None, pack.masked), ("face", np.zeros(48, bool)), ("masked", np.ones(48, bool))):
        out = tmp_path / f"features-{branch}"
        embed(EmbedConfig(str(pack.path), str(out), ModelChoice(str(model), threads=1, branch=branch)))
        features = open_features(out)
        assert np.array_equal(features.masked, pack.masked)
        assert np.array_equal(features.uncertainty == 11, seen)
        summary = evaluate(EvalConfig(str(out), ModelChoice(str(out))))
        assert summary.branches == ({"face": 36, "masked": 12} if branch is None else {branch: 48})
    save_model(tmp_path / "one.onnx")
    embed(EmbedConfig(str(pack.path), str(tmp_path / "plain"), ModelChoice(str(tmp_path / "one.onnx"), threads=1)))
    assert evaluate(EvalConfig(str(tmp_path / "plain"), ModelChoice(str(tmp_path / "plain")))).branches == {}


def test_scores_while_training(tmp_path: Path) -> None:
    pictures, worn = [picture(seed) for seed in range(40)], [place % 3 == 0 for place in range(40)]
    payloads = [encode_like(one, PNG) for one in pictures]
    path = tmp_path / "p.bin"
    write_bins(path, payloads, [place % 2 == 0 for place in range(20)])
    with LedgerWriter(ledger_path(path)) as out:
        rows = zip(range(40), payloads, worn, strict=True)
        out.append(table(LedgerRow(i, i, payload_hash(p), "mask" if w else "copy") for i, p, w in rows))
    spy = Spy((HEIGHT, WIDTH))
    values = scorer((str(path),), "")(spy)
    assert spy.flags_of(pictures) == [{one} for one in worn]
    assert "p accuracy" in values


def test_scores_of_selflearn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = save_model(tmp_path / "two.onnx", flag=1)
    pictures = [picture(seed) for seed in range(40)]
    worn = [place % 4 == 1 for place in range(40)]
    payloads = [encode_like(one, PNG) for one in pictures]
    path = tmp_path / "p.bin"
    write_bins(path, payloads, [place % 2 == 0 for place in range(20)])
    with LedgerWriter(ledger_path(path)) as out:
        rows = zip(range(40), payloads, worn, strict=True)
        out.append(table(LedgerRow(i, i, payload_hash(p), "mask" if w else "copy") for i, p, w in rows))
    seen: list[bool] = []
    plain = OnnxEngine.run

    def run(self: OnnxEngine, planes: np.ndarray, masked: np.ndarray) -> NetworkOutput:
        seen.extend(masked.tolist())
        return plain(self, planes, masked)

    monkeypatch.setattr(OnnxEngine, "run", run)
    scores = _scores_of(SelfLearnConfig("", "", pairs=(str(path),)), str(model), str(path))
    assert seen == worn * 2, "every picture, and its mirrored copy"
    assert "p accuracy" in scores


def test_the_summary_says_which_branch_was_taken(tmp_path: Path) -> None:
    from facekit.cli.eval import text_of

    pack, model = save_pack(tmp_path / "pack", people=12), save_model(tmp_path / "two.onnx", flag=1)
    choice = ModelChoice(str(model), threads=1)
    text = text_of(evaluate(EvalConfig(str(model), choice, pack=str(pack.path))))
    assert "36 through the branch for faces" in text
    assert "12 through the branch for masked faces" in text
