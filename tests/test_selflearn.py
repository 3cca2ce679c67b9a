"""The loop: a run goes on anywhere, stops where cleaning takes too much, and its page says what happened."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clean_packs import draw
from dying_runs import die_after
from hypothesis import given
from hypothesis import strategies as st
from test_train_job import pair_list
from train_packs import QUICK, changes

from facekit.clean.settings import CleanSettings
from facekit.errors import ConfigError, DestinationExists, FacekitError
from facekit.images import encode_jpeg
from facekit.jobs.mask import job as mask_job
from facekit.jobs.mask.config import MaskConfig
from facekit.jobs.selflearn.config import SelfLearnConfig
from facekit.jobs.selflearn.job import selflearn
from facekit.jobs.selflearn.round import _masked, purity_of, read_truth
from facekit.jobs.synth.config import SynthConfig
from facekit.jobs.synth.job import synth
from facekit.jobs.train.config import TrainConfig
from facekit.jobs.train.job import train
from facekit.records import Header, PackWriter, open_pack
from facekit.synth.plan import PackSpec

SETTINGS = CleanSettings(intra=0.3, eps=0.4, inter=0.97, union=0.98)
QUICKER = (*QUICK, "flip=0", "epochs=3", "scale=16", "lr=.05")


def noisy_pack(folder: Path) -> tuple[Path, Path]:
    """Patterns, a sixth of them under another label; and the truth as .csv."""
    rng, lines = np.random.default_rng(0), ["key,true_person"]
    with PackWriter(folder / "noisy") as writer:
        for label in range(6):
            for number in range(10):
                person = int(rng.integers(0, 6)) if rng.random() < 1 / 6 else label
                lines.append(f"{writer.next_key},p{person}")
                writer.write(Header(0, float(label), writer.next_key, 0), encode_jpeg(draw(person, number)))
    (folder / "truth.csv").write_text("\n".join(lines) + "\n")
    return folder / "noisy", folder / "truth.csv"


@pytest.fixture
def config(tmp_path: Path) -> SelfLearnConfig:
    pack, truth = noisy_pack(tmp_path)
    pairs = pair_list(pack, tmp_path / "pairs.csv")
    return SelfLearnConfig(
        str(pack),
        str(tmp_path / "loop"),
        rounds=2,
        recipe="bcl-small",
        changes=QUICKER,
        settings=SETTINGS,
        pairs=(str(pairs),),
        truth=str(truth),
    )


def test_the_page_shows_what_every_round_came_to(config: SelfLearnConfig) -> None:
    done = selflearn(config)
    page = Path(done.page).read_text()
    assert [one.number for one in done.rounds] == [1, 2]
    for one in done.rounds:
        assert one.purity is not None
        assert f"{100 * one.purity:.2f}%" in page
        assert f"{100 * one.scores['pairs accuracy']:.2f}%" in page
        assert Path(one.report).is_file()
        assert one.report.endswith(f"round-{one.number}/clean/report/index.html")
        assert f"round-{one.number}/clean/report/index.html" in page


def test_a_cleaning_that_merges_everybody_stops_the_run_until_it_is_allowed(config: SelfLearnConfig) -> None:
    everybody = CleanSettings(intra=-1.0, eps=2.0, inter=-1.0, union=1.0, guard="none")
    config = replace(config, rounds=1, settings=everybody, pairs=(), truth=None)
    for _ in range(2):  # the second time the cleaned pack is there already
        with pytest.raises(FacekitError, match=r"round 1: cleaning takes 0% of the images and 83% of the identities"):
            selflearn(config)
    out = Path(config.destination)
    assert (out / "round-1" / "clean" / "report" / "index.html").is_file()
    assert not (out / "round-1" / "train").exists()
    done = selflearn(replace(config, allow_loss=0.9))
    assert (done.rounds[0].identities, done.rounds[0].identities_kept) == (6, 1)
    assert selflearn(config).rounds == done.rounds  # what is trained is not asked about again


def same(one: Path, other: Path) -> None:
    """The rounds of two runs in different places are the same but for their paths."""
    texts = [(path / "rounds.json").read_text().replace(str(path), "") for path in (one, other)]
    assert texts[0] == texts[1]


def test_a_run_goes_on_wherever_it_stopped(config: SelfLearnConfig, tmp_path: Path) -> None:
    selflearn(config)
    whole = tmp_path / "loop"
    for missing in (
        ("round-2/scores.json",),
        ("round-2/model.onnx", "round-2/scores.json", "rounds.json"),
        ("round-2/train", "round-2/model.onnx", "round-2/scores.json"),
        ("round-2/clean", "round-2/train", "round-2/model.onnx", "round-2/scores.json"),
        ("round-2",),
        ("round-1/train/model.pt", "round-1/model.onnx", "round-1/scores.json", "round-2", "rounds.json"),
    ):
        stopped = tmp_path / "stopped"
        shutil.copytree(whole, stopped)
        for name in missing:
            path = stopped / name
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        selflearn(replace(config, destination=str(stopped)))
        same(whole, stopped)
        shutil.rmtree(stopped)


def test_a_killed_run_goes_on(config: SelfLearnConfig, tmp_path: Path) -> None:
    selflearn(config)
    words = ["selflearn", config.source, str(tmp_path / "killed"), "--rounds", "2", "--recipe", "bcl-small",
             "--intra", ".3", "--eps", ".4", "--inter", ".97", "--union", ".98", "--eval", config.pairs[0],
             "--truth", str(config.truth), *changes(*QUICKER)]  # fmt: skip
    die_after("facekit.jobs.selflearn.round:clean", words)
    assert (tmp_path / "killed" / "round-1").exists()
    assert not (tmp_path / "killed" / "rounds.json").exists()
    selflearn(replace(config, destination=str(tmp_path / "killed")))
    same(tmp_path / "loop", tmp_path / "killed")


def test_more_rounds_may_be_added_and_nothing_else_changed(config: SelfLearnConfig, tmp_path: Path) -> None:
    first = selflearn(replace(config, rounds=1))
    more = selflearn(config)
    assert more.rounds[0] == first.rounds[0]
    assert len(json.loads((tmp_path / "loop" / "rounds.json").read_text())) == 2
    with pytest.raises(ConfigError, match=r"other settings \(mask\)"):
        selflearn(replace(config, mask=0.1))
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "diary.txt").write_text("mine")
    with pytest.raises(DestinationExists, match="not of facekit selflearn"):
        selflearn(replace(config, destination=str(tmp_path / "other")))


def test_every_round_begins_from_the_model_before_and_from_the_initial_pack(
    config: SelfLearnConfig, tmp_path: Path
) -> None:
    done = selflearn(config)
    images = open_pack(config.source).num_images
    assert [one.images for one in done.rounds] == [images, images]
    for number in (1, 2):
        record = json.loads((tmp_path / "loop" / f"round-{number}" / "train" / "config.json").read_text())
        assert record["init"] == str(tmp_path / "loop" / f"round-{number - 1}" / "train")
        assert record["images"] == done.rounds[number - 1].kept
    model = str(tmp_path / "loop" / "round-2" / "model.onnx")
    onnx = selflearn(replace(config, destination=str(tmp_path / "onnx"), init=model, rounds=1))
    assert not (tmp_path / "onnx" / "round-0" / "train").exists()
    assert json.loads((tmp_path / "onnx" / "round-1" / "train" / "config.json").read_text())["init"] is None
    other = str(tmp_path / "loop" / "round-2" / "train")
    again = selflearn(replace(config, destination=str(tmp_path / "again"), init=other, rounds=1))
    assert again.rounds[0].kept == onnx.rounds[0].kept


def test_masked_rounds_train_on_masked_faces(tmp_path: Path) -> None:
    synth(SynthConfig(str(tmp_path / "people"), PackSpec(4, 4, seed=3)))
    lenient = CleanSettings(intra=-1.0, eps=2.0, inter=1.0, union=1.0)
    config = SelfLearnConfig(
        str(tmp_path / "people"), str(tmp_path / "loop"), rounds=2, mask=0.25, recipe="bcl-small",
        changes=("batch=4", "max_steps=2", "threads=1", "dimensions=16", "log_every=1"), settings=lenient,
        allow_loss=1.0,  # after two steps the vectors tell nobody apart
    )  # fmt: skip
    done = selflearn(config)
    assert done.rounds[0].kept == 16
    record = json.loads((tmp_path / "loop" / "round-1" / "train" / "config.json").read_text())
    assert record["images"] > 16
    assert done.rounds[0].purity is None
    assert "purity" not in Path(done.page).read_text()


def wrong_inputs(config: SelfLearnConfig, folder: Path) -> dict[str, tuple[SelfLearnConfig, str]]:
    """Settings that each have one mistake, and what is said of it."""
    (folder / "nobody.csv").write_text("key,identity\n999,a\n")
    (folder / "foreign.csv").write_text("key_a,key_b,same\n1,999,1\n")
    (folder / "alike.csv").write_text("key_a,key_b,same\n" + "1,2,1\n" * 20)
    (folder / "broken.bin").write_bytes(b"no pickle")
    (folder / "none.onnx").write_bytes(b"no graph")
    other, lists = str(other_model(config, folder)), [str(folder / name) for name in ("foreign.csv", "alike.csv")]
    return {
        "plugin": (replace(config, plugin="nope"), "there is no plugin 'nope'"),
        "recipe": (replace(config, recipe="nope"), "there is no recipe 'nope'"),
        "setting": (replace(config, changes=(*config.changes, "foo=1")), "there is no setting 'foo'"),
        "backbone": (replace(config, changes=(*config.changes, "backbone=nope")), "nope"),
        "masks": (replace(config, changes=(*config.changes, "online_masks=.1", "mask_types=nope")), "nope"),
        "truth": (replace(config, truth=str(folder / "nothere.parquet")), "nothere.parquet cannot be read"),
        "other truth": (replace(config, truth=str(folder / "nobody.csv")), "does not know every key"),
        "pairs": (replace(config, pairs=("nothere.bin",)), "--eval nothere.bin: there is no such file"),
        "broken pairs": (replace(config, pairs=(str(folder / "broken.bin"),)), "broken.bin"),
        "foreign pairs": (replace(config, pairs=(lists[0],)), "foreign.csv means key 999"),
        "pairs alike": (replace(config, pairs=(lists[1],)), "alike.csv: no impostor pair"),
        "init": (replace(config, init=str(folder / "nothere")), "nothere: there is no such run"),
        "other init": (replace(config, init=other), "--init .* does not fit this network"),
        "onnx": (replace(config, init="nothere.onnx"), "--init nothere.onnx: there is no such file"),
        "broken onnx": (replace(config, init=str(folder / "none.onnx")), "none.onnx"),
        "init pack": (replace(config, init_pack=str(folder / "nothere")), "nothere"),
    }


def other_model(config: SelfLearnConfig, folder: Path) -> Path:
    """A run of a wider network."""
    wider = (*QUICKER, "dimensions=24", "max_steps=1")
    train(TrainConfig("bcl", config.source, str(folder / "wider"), "bcl-small", wider))
    return folder / "wider"


def test_mistakes_are_named_before_anything_is_written(config: SelfLearnConfig, tmp_path: Path) -> None:
    for wrong, message in wrong_inputs(config, tmp_path).values():
        with pytest.raises(FacekitError, match=message):
            selflearn(wrong)
        assert not (tmp_path / "loop").exists()


def test_what_teaches_nothing_may_change(config: SelfLearnConfig, tmp_path: Path) -> None:
    """Lists, truth, and settings of the loop that decide nothing; the scores are those of the lists given last."""
    bare = selflearn(replace(config, rounds=1, pairs=(), truth=None))
    assert (bare.rounds[0].scores, bare.rounds[0].purity) == ({}, None)
    slower = replace(config, rounds=1, changes=(*QUICKER, "workers=1", "log_every=7", "save_every=3", "keep=1"))
    more = selflearn(slower).rounds[0]
    whole = selflearn(replace(config, rounds=1, destination=str(tmp_path / "whole"))).rounds[0]
    assert (more.scores, more.purity) == (whole.scores, whole.purity)
    assert next(iter(more.scores)) == "pairs accuracy"
    shutil.copy(config.pairs[0], tmp_path / "again.csv")
    renamed = selflearn(replace(slower, pairs=(str(tmp_path / "again.csv"),))).rounds[0]
    assert list(renamed.scores) == [name.replace("pairs", "again") for name in whole.scores]
    assert "pairs TAR@0.01" not in whole.scores  # a hundred impostor pairs are needed for it
    more_impostors = [f"{a},{b},0" for a in range(1, 9) for b in range(11, 31)]
    with open(config.pairs[0], "a") as file:
        file.writelines(f"{line}\n" for line in more_impostors)
    assert "pairs TAR@0.01" in selflearn(slower).rounds[0].scores
    with pytest.raises(ConfigError, match=r"other settings \(intra, lr\)"):
        selflearn(replace(slower, changes=(*QUICKER, "lr=.06"), settings=replace(SETTINGS, intra=0.2)))


def test_a_run_without_a_checkpoint_takes_other_settings(config: SelfLearnConfig) -> None:
    with pytest.raises(ConfigError, match="choose a smaller batch"):
        selflearn(replace(config, changes=(*QUICKER, "batch=1000")))
    assert len(selflearn(replace(config, rounds=1)).rounds) == 1


def test_fewer_rounds_than_there_are_hide_none(config: SelfLearnConfig, tmp_path: Path) -> None:
    both, kept = (
        selflearn(config),
        {name: (tmp_path / "loop" / name).read_text() for name in ("rounds.json", "index.html")},
    )
    again = selflearn(replace(config, rounds=1))
    assert again.rounds == both.rounds
    assert {name: (tmp_path / "loop" / name).read_text() for name in kept} == kept


@pytest.mark.parametrize("record", ['{"settings": {}}', "[1]", "{", "[" * 100_000])
def test_the_folder_of_a_training_run_is_left_as_it_is(record: str, config: SelfLearnConfig, tmp_path: Path) -> None:
    (tmp_path / "loop").mkdir()
    (tmp_path / "loop" / "config.json").write_text(record)
    with pytest.raises(ConfigError, match="loop exists already and is not of facekit selflearn"):
        selflearn(config)
    assert [path.name for path in (tmp_path / "loop").iterdir()] == ["config.json"]
    assert (tmp_path / "loop" / "config.json").read_text() == record


def test_two_lists_of_one_name_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"--eval a/lfw.bin and --eval b/lfw.csv would both be called lfw"):
        SelfLearnConfig("pack", "out", pairs=("a/lfw.bin", "b/lfw.csv"))


def in_two(config: SelfLearnConfig, *more: str) -> list[tuple[int, str, str]]:
    """``facekit selflearn`` in two processes, as torchrun starts them: status and what each printed."""
    words = ["selflearn", config.source, config.destination, "--rounds", "2", "--recipe", "bcl-small", "--json"]
    words += [*changes(*config.changes, "batch=4"), "--eval", config.pairs[0], "--truth", str(config.truth)]
    words += ["--intra", ".3", "--eps", ".4", "--inter", ".97", "--union", ".98", *more]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    env = os.environ | {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    started = [
        subprocess.Popen([sys.executable, "-m", "facekit", *words], env=env | {"RANK": str(rank)}, text=True,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for rank in range(2)
    ]  # fmt: skip
    try:
        said = [process.communicate(timeout=300) for process in started]
    finally:
        for process in started:
            process.kill()
    return [(process.returncode, *texts) for process, texts in zip(started, said, strict=True)]


def test_two_processes_train_together(config: SelfLearnConfig, tmp_path: Path) -> None:
    """The first does the rest; every checkpoint is of both, and the steps are those of half the images each."""
    (status, out, err), other = in_two(config)
    assert (status, other[0]) == (0, 0), err + other[2]
    assert other[1] == "", "only the first process speaks"
    rounds = json.loads(out)["rounds"]
    assert [one["number"] for one in rounds] == [1, 2]
    for number in (0, 1, 2):
        folder = tmp_path / "loop" / f"round-{number}" / "train"
        (last,) = sorted((folder / "checkpoints").iterdir())[-1:]
        assert len(list(last.glob("rows-*-of-00002.pt"))) == 2
        assert (folder / "model.pt").is_file()
    alone = selflearn(
        replace(config, destination=str(tmp_path / "alone"), changes=(*config.changes, "batch=8"), rounds=1)
    )
    first = tmp_path / "loop" / "round-0" / "train" / "checkpoints"
    assert [path.name for path in first.iterdir()] == [
        path.name for path in (tmp_path / "alone" / "round-0" / "train" / "checkpoints").iterdir()
    ]
    assert len(alone.rounds) == 1


def test_a_first_process_that_fails_ends_the_others(config: SelfLearnConfig, tmp_path: Path) -> None:
    """A round that loses more than is allowed is an error of the first; the other trained model 0, and then ends."""
    (status, _, err), other = in_two(config, "--allow-loss", "0")
    assert status == 1
    assert "round 1: " in err
    assert (other[0], other[1]) == (0, ""), other[2]
    assert (tmp_path / "loop" / "round-0" / "train" / "model.pt").is_file()
    assert not (tmp_path / "loop" / "round-1" / "train").exists()


@pytest.mark.parametrize(
    ("given_", "share", "mode", "kinds"),
    [
        ({"mask_preset": "bcl"}, 0.15, "add", 8),
        ({"mask_preset": "maskdul"}, 0.5, "replace", 5),
        ({"mask_preset": "maskdul", "mask": 0.25}, 0.25, "replace", 5),
        ({"mask": 0.25}, 0.25, "add", 8),
    ],
)
def test_masks_of_a_published_recipe(
    given_: dict[str, Any], share: float, mode: str, kinds: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[MaskConfig] = []
    monkeypatch.setattr(mask_job, "mask", seen.append)
    config = SelfLearnConfig("pack", "out", **given_)
    assert _masked(config, tmp_path, tmp_path / "clean", lambda _: None) == tmp_path / "masked"
    (wanted,) = seen
    assert (wanted.ratio, wanted.mode, len(wanted.types)) == (share, mode, kinds)
    assert config.record()["mask"] == share
    assert _masked(SelfLearnConfig("pack", "out"), tmp_path, tmp_path / "clean", lambda _: None) == tmp_path / "clean"
    with pytest.raises(ConfigError, match="mask_preset is 'other'"):
        SelfLearnConfig("pack", "out", mask_preset="other")


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 5)), min_size=1, max_size=40))
def test_purity_is_the_share_of_the_most_frequent_person(rows: list[tuple[int, int]]) -> None:
    label, person = map(np.array, zip(*rows, strict=True))
    wanted = sum(np.bincount(person[label == one]).max() for one in set(label.tolist())) / len(rows)
    assert purity_of(person, label) == pytest.approx(wanted)


def test_a_truth_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("key,who\n1,a\n")
    with pytest.raises(ConfigError, match="must have the columns key and identity or true_person"):
        read_truth(str(tmp_path / "a.csv"), np.array([1]))
    (tmp_path / "b.csv").write_text("key,identity\n1,a\n2,b\n")
    with pytest.raises(ConfigError, match="does not know every key"):
        read_truth(str(tmp_path / "b.csv"), np.array([1, 3]))
    assert read_truth(str(tmp_path / "b.csv"), np.array([2, 1, 2])).tolist() == [1, 0, 1]
    with pytest.raises(ConfigError, match="cannot be read"):
        read_truth(str(tmp_path / "absent.csv"), np.array([1]))
    with pytest.raises(ConfigError, match="two ways"):
        SelfLearnConfig("a", "b", init="x", init_pack="y")


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_what_may_be_lost_is_a_share(share: float) -> None:
    with pytest.raises(ConfigError, match=r"allow_loss is .*; it must be a share"):
        SelfLearnConfig("pack", "out", allow_loss=share)
