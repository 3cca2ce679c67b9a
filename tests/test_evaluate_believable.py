"""What an evaluation says about its own scores, templates, open sets, blur, flip and MFR: computed again by hand."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from small_models import HEIGHT, PNG, WIDTH, NoisePack, directions, planes, save_model, save_pack, weights

from facekit.cli import program
from facekit.embeddings import Preprocessing
from facekit.embeddings.engine import NetworkOutput
from facekit.errors import ConfigError, FacekitError
from facekit.evaluate import fold_accuracy, operating_points
from facekit.images import blurred, encode_like
from facekit.jobs.embed.job import EmbedConfig, embed
from facekit.jobs.evaluate import scores as eval_scores
from facekit.jobs.evaluate.config import EvalConfig
from facekit.jobs.evaluate.job import EvalSummary, evaluate
from facekit.jobs.inputs.model import ModelChoice
from facekit.jobs.train.scores import check_lists, scorer
from facekit.records.bins import write_bins

PEOPLE, EACH = 12, 4


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, NoisePack]:
    folder = tmp_path_factory.mktemp("believable")
    model = save_model(folder / "model.onnx")
    pack = save_pack(folder / "pack", people=PEOPLE)
    embed(EmbedConfig(str(pack.path), str(folder / "features"), ModelChoice(str(model), threads=1)))
    return folder, pack


def run(folder: Path, subject: str = "features", **given: object) -> EvalSummary:
    model = {name: given.pop(name) for name in ("flip",) if name in given}
    given = {"bootstrap": 0, **given}
    return evaluate(EvalConfig(str(folder / subject), ModelChoice(str(folder / subject), threads=1, **model), **given))


def pair_file(folder: Path, keys: np.ndarray, name: str = "p.csv") -> str:
    same = (keys[:, 0] - 1) // EACH == (keys[:, 1] - 1) // EACH
    rows = [f"{a},{b},{int(s)}" for (a, b), s in zip(keys.tolist(), same, strict=True)]
    (folder / name).write_text("\n".join(["key_a,key_b,same", *rows]))
    return str(folder / name)


def some_keys() -> np.ndarray:
    """Each person's first two pictures, and neighbours: everybody stands in few pairs."""
    first = np.arange(0, 48, 4) + 1
    return np.concatenate([np.stack([first, first + 1], 1), np.stack([first, np.roll(first + 2, 1)], 1)])


def test_folds_by_identity_and_their_thresholds(room: tuple[Path, NoisePack], tmp_path: Path) -> None:
    folder, pack = room
    keys = some_keys()
    pairs = pair_file(tmp_path, keys)
    summary = run(folder, pairs=pairs, folds=3, folds_by="identity")
    vectors, people = directions(pack.pictures), (keys - 1) // EACH
    similarity = np.einsum("ij,ij->i", vectors[keys[:, 0] - 1], vectors[keys[:, 1] - 1])
    order = list(dict.fromkeys(people.ravel().tolist()))
    place = np.array([order.index(person) for person in people.ravel()]).reshape(-1, 2)
    same, expected = people[:, 0] == people[:, 1], []
    for fold in range(3):
        test = place[:, 0] * 3 // len(order) == fold
        train = ~np.isin(people, people[test]).any(axis=1)
        right = [((similarity[train] > limit) == same[train]).mean() for limit in 1 - np.arange(0, 4, 0.01) / 2]
        limit = 1 - 0.005 * int(np.argmax(right))
        expected.append(((similarity[test] > limit) == same[test]).mean())
        assert summary.scores[0].fold_thresholds[fold] == pytest.approx(limit)
    assert summary.scores[0].fold_accuracies == pytest.approx(expected)
    assert summary.scores[0].accuracy == pytest.approx(np.mean(expected))
    plain = run(folder, pairs=pairs, folds=3).scores[0]
    assert plain.accuracy == pytest.approx(fold_accuracy(similarity, same, 3).mean)
    first = np.array([1, 5, 9, 13])
    everybody = [(a, b) for a in first for b in first if a < b]
    dense = np.concatenate([np.stack([first, first + 1], 1), np.array(everybody)])
    with pytest.raises(ConfigError, match="by identity: fold 0 is left 0 pairs"):
        run(folder, pairs=pair_file(tmp_path, dense, "q.csv"), folds=2, folds_by="identity")


def test_a_bin_knows_its_people_by_its_pictures(room: tuple[Path, NoisePack], tmp_path: Path) -> None:
    """Equal pictures are one person, so that intervals of a .bin are those of the same list by key."""
    folder, pack = room
    keys = some_keys()
    keys[12:, 1] = np.roll(keys[:12, 1], 1)  # every picture stands in a genuine pair
    payloads = [encode_like(pack.pictures[key - 1], PNG) for key in keys.ravel()]
    same = (keys[:, 0] - 1) // EACH == (keys[:, 1] - 1) // EACH
    write_bins(tmp_path / "p.bin", payloads, same)
    given = {"bootstrap": 60, "folds": 3, "fars": (0.2,)}
    by_place = run(folder, "model.onnx", pairs=str(tmp_path / "p.bin"), **given).scores[0]
    by_key = run(folder, pairs=pair_file(tmp_path, keys), **given).scores[0]
    for one in (by_place, by_key):
        low, high = one.accuracy_interval
        assert low <= one.accuracy <= high
        assert one.intervals[0][0] <= one.points[0].tar <= one.intervals[0][1]
    assert by_place.accuracy_interval == pytest.approx(by_key.accuracy_interval)
    assert by_place.intervals[0] == pytest.approx(by_key.intervals[0])
    by_identity = {**given, "folds_by": "identity"}
    assert run(folder, "model.onnx", pairs=str(tmp_path / "p.bin"), **by_identity).scores[0].accuracy == pytest.approx(
        run(folder, pairs=pair_file(tmp_path, keys), **by_identity).scores[0].accuracy
    )


def test_intervals_are_said(room: tuple[Path, NoisePack], tmp_path: Path) -> None:
    folder, _ = room
    pairs = pair_file(tmp_path, some_keys())
    command = ["eval", str(folder / "features"), "--pairs", pairs, "--folds", "3", "--bootstrap", "40"]
    result = CliRunner().invoke(program, command)
    assert result.exit_code == 0, result.output
    score = json.loads(CliRunner().invoke(program, [*command, "--json"]).output)["scores"][0]
    low, high = score["accuracy_interval"].values()
    assert f"accuracy {score['accuracy']:.2%} [{low:.2%}, {high:.2%}] +- " in result.output
    assert f"thresholds {min(score['fold_thresholds']):.4f} to {max(score['fold_thresholds']):.4f}" in result.output
    low, high = score["intervals"][0].values()
    assert f"[{low:.2%}, {high:.2%}] at FAR 0.1" in result.output
    assert evaluate(EvalConfig(str(folder / "features"), ModelChoice(""), bootstrap=5)).scores[0].intervals


def test_ranks_and_an_open_set(room: tuple[Path, NoisePack], tmp_path: Path) -> None:
    """Probes of people who are not in the gallery; the smallest similarity that lets so few of them in."""
    folder, pack = room
    gallery = save_pack(tmp_path / "gallery", people=5)
    summary = run(
        folder, "model.onnx", gallery=str(gallery.path), probe=str(pack.path), related=True, ranks=(1, 3, 7),
        fpirs=(0.1, 0.5),
    )  # fmt: skip
    assert list(summary.ranks) == [1, 3, 7]
    vectors, known = directions(pack.pictures), directions(gallery.pictures)
    similarity = vectors @ known.T
    similarity[pack.sources[:, None] == gallery.sources] = -np.inf
    mates = pack.labels[:, None] == gallery.labels
    mated = pack.labels < 5
    strangers = sorted(similarity[~mated].max(1), reverse=True)
    own, other = (np.where(mates == one, similarity, -np.inf).max(1) for one in (True, False))
    for fpir, tpir, limit in summary.open_set:
        allowed = int(fpir * len(strangers))
        assert limit == pytest.approx(strangers[allowed], abs=1e-5)
        assert tpir == pytest.approx(((own > other) & (own > strangers[allowed]))[mated].mean())
    for rank, accuracy in summary.ranks.items():
        ahead = [(similarity[i][~mates[i]] >= own[i]).sum() for i in np.flatnonzero(mated)]
        assert accuracy == pytest.approx(np.mean(np.array(ahead) < rank))
    assert [point.fpir for point in run(folder, "model.onnx", gallery=str(gallery.path), probe=str(pack.path)).open_set] == [0.1]  # fmt: skip # noqa: E501
    assert run(folder, gallery=str(folder / "features"), probe=str(folder / "features")).open_set == ()
    with pytest.raises(ConfigError, match=r"FPIR 0.001 needs at least 1,000"):
        run(folder, "model.onnx", gallery=str(gallery.path), probe=str(pack.path), fpirs=(0.001,))
    result = CliRunner().invoke(program, ["eval", str(folder / "model.onnx"), "--gallery", str(gallery.path), "--probe",
                                          str(pack.path), "--rank", "2", "--bootstrap", "0", "--threads", "1"])  # fmt: skip # noqa: E501
    assert "rank-2 identification" in result.output
    assert "at FPIR 0.1 (similarity above" in result.output


def template_files(folder: Path) -> dict[str, str]:
    """Three templates a person: pictures 1 and 2 as frames of one medium, 3 alone, and 1 with 4 as two media."""
    listed, pairs, people = [], [], []
    for person in range(PEOPLE):
        first = person * EACH + 1
        listed += [(first, 10 * person, 1), (first + 1, 10 * person, 1), (first + 2, 10 * person, 2)]
        listed += [(first + 2, 10 * person + 1, 5)]
        listed += [(first, 10 * person + 2, 7), (first + 3, 10 * person + 2, 8)]
        people += [(10 * person + k, 100 + person) for k in range(3)]
        pairs += [(10 * person, 10 * person + 1, 1), (10 * person + 1, (10 * person + 12) % 120, 0)]
    (folder / "tid_mid.txt").write_text("".join(f"{key}.jpg {tid} {mid}\n" for key, tid, mid in listed))
    (folder / "pairs.txt").write_text("".join(f"{a} {b} {s}\n" for a, b, s in pairs))
    for name, kept in (("gallery", [one for one in people if one[0] % 10 == 0 and one[1] < 108]),
                       ("probe", [one for one in people if one[0] % 10 == 1])):  # fmt: skip
        with open(folder / f"{name}.csv", "w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["TEMPLATE_ID", "SUBJECT_ID", "FILENAME"])
            for tid, subject in kept:
                writer.writerows([[tid, subject, "a.jpg"], [tid, subject, "b.jpg"]])  # a line a picture
    return {name: str(folder / f"{name}.{kind}") for name, kind in
            (("tid_mid", "txt"), ("pairs", "txt"), ("gallery", "csv"), ("probe", "csv"))}  # fmt: skip


def template_vectors(folder: Path, pack: NoisePack, by_norm: bool) -> dict[int, np.ndarray]:
    """The protocol in words: frames of a medium to their mean, media added up, the sum brought to unit norm."""
    raw = planes(pack.pictures).reshape(len(pack.pictures), -1) @ weights().astype(np.float64)
    vectors = raw if by_norm else raw / np.linalg.norm(raw, axis=1, keepdims=True)
    media: dict[int, dict[int, list[np.ndarray]]] = {}
    for line in (folder / "tid_mid.txt").read_text().splitlines():
        name, tid, mid = line.split()
        media.setdefault(int(tid), {}).setdefault(int(mid), []).append(vectors[int(name[:-4]) - 1])
    sums = {tid: sum(np.mean(frames, axis=0) for frames in each.values()) for tid, each in media.items()}
    return {tid: total / np.linalg.norm(total) for tid, total in sums.items()}


@pytest.mark.parametrize("subject", ["features", "model.onnx"])
@pytest.mark.parametrize("aggregation", ["mean", "norm"])
def test_templates(room: tuple[Path, NoisePack], tmp_path: Path, subject: str, aggregation: str) -> None:
    folder, pack = room
    files = template_files(tmp_path)
    given = {"pack": str(pack.path)} if subject.endswith("onnx") else {}
    summary = run(
        folder, subject, templates=files["tid_mid"], pairs=files["pairs"], aggregate=aggregation, fars=(0.2,), **given
    )
    vectors = template_vectors(tmp_path, pack, aggregation == "norm")
    listed = np.loadtxt(files["pairs"], dtype=int)
    similarity = np.array([vectors[a] @ vectors[b] for a, b, _ in listed.tolist()])
    same = listed[:, 2] == 1
    (point,) = summary.scores[0].points
    (expected,) = operating_points(similarity[same], similarity[~same], (0.2,))
    assert (point.true_accepts, point.false_accepts) == (expected.true_accepts, expected.false_accepts)
    assert point.threshold == pytest.approx(expected.threshold, abs=1e-5)
    found = run(
        folder, subject, templates=files["tid_mid"], gallery=files["gallery"], probe=files["probe"],
        aggregate=aggregation, fpirs=(0.3,), **given,
    )  # fmt: skip
    gallery, probes = np.arange(8) * 10, np.arange(PEOPLE) * 10 + 1
    matrix = np.array([[vectors[p] @ vectors[g] for g in gallery.tolist()] for p in probes.tolist()])
    best = matrix.argmax(1)
    assert found.ranks[1] == pytest.approx(np.mean(best[:8] == np.arange(8)))
    assert found.probes_without_mate == PEOPLE - 8
    limit = sorted(matrix[8:].max(1), reverse=True)[int(0.3 * 4)]
    assert found.open_set[0].tpir == pytest.approx(np.mean((best[:8] == np.arange(8)) & (matrix[:8].max(1) > limit)))


def test_templates_of_a_folder_go_by_file_name(room: tuple[Path, NoisePack], tmp_path: Path) -> None:
    folder, pack = room
    (tmp_path / "crops").mkdir()
    for place, picture in enumerate(pack.pictures):
        (tmp_path / "crops" / f"{place + 1}.jpg").write_bytes(encode_like(picture, PNG))
    files = template_files(tmp_path)
    given = {"templates": files["tid_mid"], "pairs": files["pairs"]}
    by_name = run(folder, "model.onnx", pack=str(tmp_path / "crops"), **given).scores[0]
    by_key = run(folder, **given).scores[0]
    assert by_name.points[0].true_accepts == by_key.points[0].true_accepts
    assert by_name.points[0].threshold == pytest.approx(by_key.points[0].threshold, abs=1e-5)


def test_lists_of_templates_that_cannot_be(room: tuple[Path, NoisePack], tmp_path: Path) -> None:
    folder, pack = room
    files = template_files(tmp_path)

    def wrong(name: str, text: str, match: str, kind: type[FacekitError] = FacekitError, **given: object) -> None:
        path = tmp_path / f"wrong.{name}"
        path.write_text(text)
        if name in ("gallery", "probe"):
            sides = {"gallery": files["gallery"], "probe": files["probe"], name: str(path)}
            settings = {"templates": files["tid_mid"], **sides}
        else:
            settings = {"templates": files["tid_mid"], "pairs": files["pairs"], name: str(path)}
        with pytest.raises(kind, match=match):
            run(folder, **(settings | given))

    wrong("templates", "1.jpg 3\n", "line 1 has 2 words")
    wrong("templates", "1.jpg a 3\n", "column 2 does not hold whole numbers")
    wrong("templates", "", "is empty")
    wrong("templates", "face.jpg 1 1\n", "'face.jpg', which is no key", ConfigError)
    wrong("templates", "999.jpg 1 1\n", "no picture of template 1 has a vector", ConfigError)
    wrong("pairs", "1 2 3\n", "and 0 or 1")
    wrong("pairs", "0 5 1\n0 10 0\n", "names template 5", ConfigError)
    wrong("gallery", "TEMPLATE_ID,NAME\n1,2\n", "no column SUBJECT_ID", ConfigError)
    wrong("gallery", "TEMPLATE_ID,SUBJECT_ID\n0,2\n0,3\n", "template 0 shows two subjects")
    wrong("gallery", "TEMPLATE_ID,SUBJECT_ID\n0,x\n", "whole numbers")
    with pytest.raises(ConfigError, match="say of which pack"):
        run(folder, "model.onnx", templates=files["tid_mid"], pairs=files["pairs"])
    with pytest.raises(ConfigError, match="needs --pairs"):
        run(folder, templates=files["tid_mid"])
    with pytest.raises(ConfigError, match="go by picture"):
        run(folder, templates=files["tid_mid"], pairs=files["pairs"], groups="x")
    with pytest.raises(ConfigError, match=r"no such picture in .*crops"):
        (tmp_path / "crops").mkdir()
        (tmp_path / "crops" / "1.jpg").write_bytes(encode_like(pack.pictures[0], PNG))
        run(folder, "model.onnx", pack=str(tmp_path / "crops"), templates=files["tid_mid"], pairs=files["pairs"])


def gaussian(picture: np.ndarray, sigma: float) -> np.ndarray:
    """Every pixel the weighted mean of those around it, with the border mirrored, its edge pixel not repeated."""
    reach = int(4 * sigma + 1)
    kernel = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * sigma**2))
    kernel /= kernel.sum()
    blurred = picture.astype(np.float64)
    for axis in (0, 1):
        size = blurred.shape[axis]
        total = np.zeros_like(blurred)
        for step, weight in zip(range(-reach, reach + 1), kernel, strict=True):
            places = np.abs((np.arange(size) + step) % (2 * size - 2))
            places = np.where(places >= size, 2 * size - 2 - places, places)
            total += weight * np.take(blurred, places, axis)
        blurred = total
    return np.round(blurred).clip(0, 255).astype(np.uint8)


def test_blur_and_flip_by_brute_force(room: tuple[Path, NoisePack], tmp_path: Path) -> None:
    """Blur is a convolution written out; the flip test adds what the network says of both pictures."""
    folder, pack = room
    keys = some_keys()
    pairs = pair_file(tmp_path, keys)
    same = (keys[:, 0] - 1) // EACH == (keys[:, 1] - 1) // EACH
    blurry = np.stack([blurred(picture, 1.2) for picture in pack.pictures])
    apart = np.stack([gaussian(picture, 1.2) for picture in pack.pictures]) - blurry.astype(int)
    assert np.abs(apart).max() <= 2, "OpenCV computes in fixed point, and stops at 3.3 sigma"
    raw = [planes(one).reshape(len(one), -1) @ weights() for one in (blurry, blurry[:, :, ::-1])]
    for flip, total in ((False, raw[0]), (True, raw[0] + raw[1])):
        vectors = total / np.linalg.norm(total, axis=1, keepdims=True)
        similarity = np.einsum("ij,ij->i", vectors[keys[:, 0] - 1], vectors[keys[:, 1] - 1])
        score = run(folder, "model.onnx", pairs=pairs, pack=str(pack.path), blur=1.2, flip=flip, fars=(0.25,)).scores[0]
        (expected,) = operating_points(similarity[same], similarity[~same], (0.25,))
        assert score.points[0].threshold == pytest.approx(expected.threshold, abs=1e-5)
        assert score.points[0].tar == expected.tar
    plain = run(folder, pairs=pairs, fars=(0.25,)).scores[0]
    assert abs(plain.points[0].threshold - score.points[0].threshold) > 0.02, "this list tells blurred from sharp"


class Live:
    """A network in memory, as training hands it over."""

    takes_flag, model_hash = False, "live"
    preprocessing = Preprocessing((HEIGHT, WIDTH))

    def run(self, planes: np.ndarray, masked: np.ndarray) -> NetworkOutput:
        del masked
        return NetworkOutput((planes.reshape(len(planes), -1) @ weights()).astype(np.float32), None)


def test_mfr_while_training(room: tuple[Path, NoisePack], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Masked to bare, bare to bare and their mixture, pair by pair."""
    _, pack = room
    monkeypatch.setattr(eval_scores, "MASKED_FAR", 0.1)
    monkeypatch.setattr(eval_scores, "BARE_FAR", 0.01)
    check_lists((str(pack.path),), "", (HEIGHT, WIDTH))
    values = scorer((str(pack.path),), "")(Live())
    vectors, tars = directions(pack.pictures), {}
    for name, worn, far in (("masked to bare", True, 0.1), ("bare to bare", False, 0.01)):
        own, other = [], []
        for a in range(48):
            for b in range(48):
                if (
                    pack.masked[a] == worn
                    and not pack.masked[b]
                    and pack.sources[a] != pack.sources[b]
                    and (worn or a < b)
                ):
                    (own if pack.labels[a] == pack.labels[b] else other).append(vectors[a] @ vectors[b])
        limit = sorted(other, reverse=True)[int(far * len(other))]
        tars[name] = np.mean(np.array(own) > limit)
        assert values[f"pack {name} TAR@{far:g}"] == pytest.approx(tars[name])
    assert values["pack MFR"] == pytest.approx(0.25 * tars["masked to bare"] + 0.75 * tars["bare to bare"])
    bare = save_pack(tmp_path / "bare", ledger=False)
    with pytest.raises(ConfigError, match="0 of 24 pictures are masked"):
        check_lists((str(bare.path),), "", (HEIGHT, WIDTH))
    with pytest.raises(ConfigError, match="key 1: 14 x 10 pixels"):
        check_lists((str(pack.path),), "", (HEIGHT, WIDTH + 2))


def test_the_det_curve(room: tuple[Path, NoisePack], tmp_path: Path) -> None:
    from xml.etree import ElementTree

    folder, _ = room
    summary = run(folder, plots=str(tmp_path / "plots"))
    assert [Path(path).name for path in summary.plots] == ["roc.svg", "det.svg"]
    drawing = ElementTree.parse(tmp_path / "plots" / "det.svg").getroot()
    lines = drawing.findall("{*}polyline")
    assert len(lines) == 2
    heights = [float(point.split(",")[1]) for point in lines[0].get("points", "").split()]
    assert heights == sorted(heights), "the more is accepted, the less is rejected: down the picture"
