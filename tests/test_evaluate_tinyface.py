"""TinyFace's protocol: its lists as MATLAB files, its folders, and rank scores computed again by sorting."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from scipy.io import savemat
from small_models import PNG, NoisePack, directions, save_model, save_pack

from facekit.cli import program
from facekit.errors import ConfigError, FacekitError
from facekit.images import encode_like
from facekit.jobs.evaluate.config import EvalConfig
from facekit.jobs.evaluate.job import EvalSummary, evaluate
from facekit.jobs.inputs.model import ModelChoice
from facekit.jobs.inputs.tinyface_lists import read_tinyface

PEOPLE = 12
"""Four pictures each: two probes, a match, and of the last three people all are distractors."""
KNOWN = 9


def cells(names: list[str]) -> np.ndarray:
    """A column of a cell array, as MATLAB writes it."""
    column = np.empty((len(names), 1), object)
    column[:, 0] = names
    return column


def save_list(path: Path, kind: str, names: list[str], people: list[int]) -> str:
    savemat(path, {f"{kind}_set": cells(names), f"{kind}_ids": np.array(people, np.float64)[:, None]})
    return str(path)


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, NoisePack]:
    """Testing_Set with its two lists, and a model."""
    folder = tmp_path_factory.mktemp("tiny")
    save_model(folder / "model.onnx")
    pack = save_pack(folder / "pack", people=PEOPLE)
    names: dict[str, list[str]] = {"Gallery_Match": [], "Probe": [], "Gallery_Distractor": []}
    for place, picture in enumerate(pack.pictures):
        person, number = divmod(place, 4)
        kind = "Gallery_Distractor" if person >= KNOWN else "Gallery_Match" if number == 0 else "Probe"
        name = f"{person + 1}_{number + 1}.png" if person < KNOWN else f"noid_{place}.png"
        (folder / "Testing_Set" / kind).mkdir(parents=True, exist_ok=True)
        (folder / "Testing_Set" / kind / name).write_bytes(encode_like(picture, PNG))
        names[kind].append(name)
    people = {kind: [int(name.split("_")[0]) for name in names[kind]] for kind in ("Gallery_Match", "Probe")}
    save_list(folder / "gallery_match_img_ID_pairs.mat", "gallery", names["Gallery_Match"], people["Gallery_Match"])
    save_list(folder / "probe_img_ID_pairs.mat", "probe", names["Probe"], people["Probe"])
    return folder, pack


def run(folder: Path, **given: object) -> EvalSummary:
    model = str(folder / "model.onnx")
    settings = {
        "gallery": str(folder / "gallery_match_img_ID_pairs.mat"),
        "probe": str(folder / "probe_img_ID_pairs.mat"),
        "pack": str(folder / "Testing_Set"),
        "bootstrap": 0,
    }
    return evaluate(EvalConfig(model, ModelChoice(model, threads=1), **(settings | given)))


@pytest.mark.parametrize("kept", [False, True])
def test_ranks_by_sorting(room: tuple[Path, NoisePack], tmp_path: Path, kept: bool) -> None:
    folder, pack = room
    summary = run(folder, ranks=(1, 5, 20), **({"features": str(tmp_path / "vectors")} if kept else {}))
    vectors, person = directions(pack.pictures), np.arange(len(pack.pictures)) // 4
    probe = (person < KNOWN) & (np.arange(len(person)) % 4 > 0)
    gallery = np.flatnonzero(~probe)
    for rank, accuracy in summary.ranks.items():
        found = []
        for place in np.flatnonzero(probe):
            nearest = gallery[np.argsort(-(vectors[gallery] @ vectors[place]))][:rank]
            found.append(person[place] in person[nearest])
        assert accuracy == pytest.approx(np.mean(found))
    assert 0 < summary.ranks[1] < summary.ranks[20] <= 1, "distractors are nearer than some matches"
    assert summary.probes_without_mate == 0
    (score,) = summary.scores
    assert (score.genuine, score.impostor) == (probe.sum(), probe.sum() * (len(gallery) - 1))


def test_without_distractors_it_says_so(
    room: tuple[Path, NoisePack], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder, _ = room
    for kind in ("Gallery_Match", "Probe"):
        (tmp_path / "set").mkdir(exist_ok=True)
        (tmp_path / "set" / kind).symlink_to(folder / "Testing_Set" / kind)
    with caplog.at_level(logging.WARNING):
        few = run(folder, pack=str(tmp_path / "set"))
    assert "no folder Gallery_Distractor" in caplog.text
    assert few.ranks[1] >= run(folder).ranks[1]


def test_the_command(room: tuple[Path, NoisePack]) -> None:
    folder, _ = room
    lists = ["--gallery", f"{folder}/gallery_match_img_ID_pairs.mat", "--probe", f"{folder}/probe_img_ID_pairs.mat"]
    given = [str(folder / "model.onnx"), *lists, "--pack", f"{folder}/Testing_Set", "--rank", "20", "--bootstrap", "0"]
    result = CliRunner().invoke(program, ["eval", *given, "--threads", "1"])
    assert result.exit_code == 0, result.output
    assert "rank-20 identification" in result.output


def test_lists_that_cannot_be(room: tuple[Path, NoisePack], tmp_path: Path) -> None:
    folder, _ = room
    with pytest.raises(ConfigError, match="both lists of TinyFace, "):
        run(folder, probe=str(folder / "pack"))
    with pytest.raises(ConfigError, match="say of which folder"):
        run(folder, pack=None)
    with pytest.raises(ConfigError, match="is no folder of pictures"):
        run(folder, pack=str(folder / "pack"))
    with pytest.raises(ConfigError, match=r"names 77_1.png, and there is no such picture"):
        run(folder, probe=save_list(tmp_path / "p.mat", "probe", ["77_1.png"], [77]))
    with pytest.raises(ConfigError, match="no such file"):
        read_tinyface(str(tmp_path / "none.mat"))
    (tmp_path / "junk.mat").write_bytes(b"MATLAB 7.3 MAT-file" + bytes(200))
    with pytest.raises(FacekitError, match="is no MATLAB file of version 5"):
        read_tinyface(str(tmp_path / "junk.mat"))
    savemat(tmp_path / "other.mat", {"names": cells(["a"])})
    with pytest.raises(ConfigError, match="has neither gallery_set and gallery_ids nor"):
        read_tinyface(str(tmp_path / "other.mat"))
    for people, said in (([1], "2 names, 1 people"), ([1, -2], "whole numbers from 0"), ([1, 1.5], "whole numbers")):
        with pytest.raises(FacekitError, match=said):
            read_tinyface(save_list(tmp_path / "q.mat", "gallery", ["a.jpg", "b.jpg"], people))
    savemat(tmp_path / "n.mat", {"probe_set": np.array([[1.0], [2.0]]), "probe_ids": np.array([[1.0], [2.0]])})
    with pytest.raises(FacekitError, match="must be a text"):
        read_tinyface(str(tmp_path / "n.mat"))
