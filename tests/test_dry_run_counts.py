"""What --dry-run tells is what the run then does: the same counts, and no more bytes than were told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from train_packs import QUICK, changes, pattern_pack
from writing_commands import WRITING, Command, call, copy_material, make_material

from facekit.evaluate import FaceSet, verify_all
from facekit.evaluate.pair_counts import mate_counts, pair_counts
from facekit.jobs.train.config import TrainConfig
from facekit.jobs.train.job import open_task, train
from facekit.output.dry_run import DryRun, dry_run
from facekit.records.bins import bins_size, write_bins
from facekit.train.checkpoint import bytes_of_a_checkpoint
from facekit.train.plugin import load_plugin
from facekit.train.recipe import read_settings
from facekit.train.rehearsal import length_of, outline_of
from facekit.train.start import open_state


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_material(tmp_path_factory.mktemp("material"))


@pytest.fixture(autouse=True)
def no_rates(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("caches")))


def told(*words: object) -> Any:
    said = call([*words, "--dry-run", "--json"])
    assert said.code == 0, said.err
    return json.loads(said.out)


def done(*words: object) -> Any:
    said = call([*words, "--json"])
    assert said.code == 0, said.err
    return json.loads(said.out)


def bytes_at(path: Path) -> int:
    files = [path] if path.is_file() else [one for one in path.rglob("*") if one.is_file()]
    return sum(one.stat().st_size for one in files)


def in_words(command: Command) -> bool:
    return not command.name.startswith(("textures preview", "lists sign"))


@pytest.mark.parametrize("command", [one for one in WRITING if in_words(one)], ids=lambda command: command.name)
def test_no_more_is_written_than_was_told(material: Path, tmp_path: Path, command: Command) -> None:
    own = copy_material(material, tmp_path / "material", command)
    target = command.destination(tmp_path)
    plan = told(*command.words(own, target))
    said = call(command.words(own, target))
    assert said.code == 0, said.err
    written = own / command.fixed if command.fixed else target
    assert 0 < bytes_at(written) <= plan["bytes_needed"] + OVERHEAD.get(command.name.split(" ")[0], 0)


OVERHEAD = dict.fromkeys(
    ("mask", "unpack", "convert", "merge", "split", "check", "clean", "apply", "embed", "synth"), 3_000_000
)
"""What commands that copy a pack have besides its bytes, of which their plans tell: tables, a report and a sheet."""


def test_a_bin_is_told_to_the_byte(material: Path, tmp_path: Path) -> None:
    for number, words in enumerate([("make", material / "pairs.csv"), ("draw",)]):
        target = tmp_path / f"{number}.bin"
        more = ("--pairs", 8, "--folds", 2) if words == ("draw",) else ()
        plan = told("bins", *words, material / "people", target, *more)
        found = done("bins", *words, material / "people", target, *more)
        ledger = bytes_at(tmp_path / f"{number}.ledger.parquet") if plan["writes"] else 0
        assert (tmp_path / f"{number}.ledger.parquet").exists() == bool(plan["writes"])
        assert plan["counts"] == {
            "pairs": found["pairs"], "of one person": found["same"], "different pictures": found["pictures"],
        }  # fmt: skip
        assert found["bytes"] + ledger <= plan["bytes_needed"]
        assert ledger or found["bytes"] == plan["bytes_needed"]


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=8), st.booleans())
def test_the_size_of_a_bin(tmp_path_factory: pytest.TempPathFactory, payloads: list[bytes], same: bool) -> None:
    path = tmp_path_factory.mktemp("bins") / "x.bin"
    write_bins(path, payloads * 2, [same] * len(payloads))
    assert bins_size(payloads * 2, [same] * len(payloads)) == path.stat().st_size


def test_an_evaluation_counts_its_pairs(material: Path, tmp_path: Path) -> None:
    model, people = material / "model.onnx", material / "people"
    templates, pairs = tmp_path / "templates.txt", tmp_path / "pairs.txt"
    gallery, probe = tmp_path / "gallery.csv", tmp_path / "probe.csv"
    templates.write_text("".join(f"{key} {key % 6} {key}\n" for key in range(1, 13)))
    pairs.write_text("0 3 1\n1 4 1\n0 2 0\n3 5 0\n")
    gallery.write_text("TEMPLATE_ID,SUBJECT_ID\n0,1\n1,2\n2,3\n")
    probe.write_text("TEMPLATE_ID,SUBJECT_ID\n3,1\n4,2\n5,9\n")
    for words in (
        [material / "vectors", "--pairs", material / "pairs.csv", "--folds", 2],
        [model, "--pairs", material / "pairs.csv", "--pack", people, "--folds", 2],
        [model, "--pairs", material / "pairs.bin", "--folds", 2],
        [model, "--pack", people],
        [material / "vectors"],
        [model, "--gallery", people, "--probe", people, "--bootstrap", 0],
        [model, "--gallery", material / "more", "--probe", people, "--fpir", ".5"],
        [material / "vectors", "--templates", templates, "--pairs", pairs, "--folds", 2],
        [model, "--templates", templates, "--pairs", pairs, "--pack", people, "--folds", 2],
        [material / "vectors", "--templates", templates, "--gallery", gallery, "--probe", probe],
    ):
        plan, found = told("eval", *words), done("eval", *words)
        assert plan["destination"] is None
        assert plan["counts"].pop("pictures") == found["pictures"] + sum(found["errors"].values())
        assert plan["counts"].pop("probes without a mate", 0) == found["probes_without_mate"]
        scores = [(f"{one['name']}: {kind}", one[kind]) for one in found["scores"] for kind in ("genuine", "impostor")]
        assert plan["counts"] == dict(scores)
        assert (plan["device"] is None) == (words[0] != model)
        assert plan["times"].get("network", 1) > 0


@pytest.mark.parametrize(
    "words",
    [
        ["{m}/vectors", "--pairs", "{m}/pairs.csv"],  # 10 folds of 4 pairs
        ["{m}/vectors", "--pairs", "{m}/pairs.csv", "--folds", "2", "--far", "1e-5"],
        ["{m}/vectors", "--far", "1e-5"],
        ["{m}/vectors", "--wear", "kn95", "--pairs", "{m}/pairs.csv"],
        ["{m}/vectors", "--pairs", "{m}/pairs.bin"],
        ["{m}/model.onnx", "--pairs", "{m}/pairs.csv", "--pack", "{m}/drawn"],
        ["{m}/model.onnx", "--pack", "{m}/drawn"],
        ["{m}/model.onnx"],
        ["{m}/model.onnx", "--gallery", "{m}/people", "--probe", "{m}/people", "--far", "1e-9"],
        ["{m}/people"],
        ["{m}/model.onnx", "--gallery", "{m}/people", "--probe", "{m}/people", "--fpir", "0.5"],
        ["{m}/model.onnx", "--gallery", "{m}/more", "--probe", "{m}/people", "--fpir", "0.001"],
    ],
)
def test_an_evaluation_that_cannot_be_is_refused_alike(material: Path, words: list[str]) -> None:
    given = ["eval", *(word.format(m=material) for word in words)]
    plan, run = call([*given, "--dry-run"]), call(given)
    assert (plan.code, plan.err) == (run.code, run.err)
    assert plan.code in (1, 2)


@given(st.data())
def test_pairs_are_counted_as_they_are_compared(data: st.DataObject) -> None:
    def faces() -> FaceSet:
        count = data.draw(st.integers(1, 9))
        column = st.lists(st.integers(0, 3), min_size=count, max_size=count)
        sources = np.array(data.draw(column)) if data.draw(st.booleans()) else None
        return FaceSet(np.ones((count, 1), np.float32), np.array(data.draw(column)), sources)

    probe, gallery = faces(), faces() if data.draw(st.booleans()) else None
    genuine, impostor = pair_counts(probe, gallery)
    left, right = probe, probe if gallery is None else gallery
    ours, theirs = left.sources, right.sources
    pairs = [
        left.labels[i] == right.labels[j]
        for i in range(len(left))
        for j in range(0 if gallery is not None else i + 1, len(right))
        if ours is None or theirs is None or ours[i] != theirs[j]
    ]
    assert (genuine, impostor) == (sum(pairs), len(pairs) - sum(pairs))
    if gallery is not None:
        assert mate_counts(probe, gallery).sum() == genuine
    if genuine:
        found = verify_all(probe, gallery)
        assert (found.genuine, found.impostor) == (genuine, impostor)


def test_chosen_faces_are_counted(material: Path, tmp_path: Path) -> None:
    words = ["mask", material / "people", tmp_path / "masked", "--ratio", 0.5, "--mode", "replace", "--workers", 1]
    plan = told(*words)
    found = json.loads(call([*words, "--json"]).out)  # of noise, in which there is no face
    assert plan["counts"] == {"pictures": 12, "chosen": found["wanted"]}


def test_drawn_people_are_counted(tmp_path: Path) -> None:
    words = ["synth", tmp_path / "drawn", "--identities", 2, "--images", 2, "--workers", 1]
    plan, found = told(*words), done(*words)
    assert plan["counts"] == {"people": found["identities"], "labels": found["labels"], "pictures": found["images"]}
    assert plan["reads"] == []


def test_a_benchmark_counts_its_pictures(material: Path, tmp_path: Path) -> None:
    plan = told("benchmark", "make", tmp_path / "bench", "--preset", "drawn-tiny", "--workers", 1)
    again = told("benchmark", "run", material / "bench", material / "pool.onnx", "--bootstrap", 0)
    found = done("benchmark", "run", material / "bench", material / "pool.onnx", "--bootstrap", 0)
    assert plan["counts"]["pictures of them"] == again["counts"]["pictures"] == found["pictures"]
    assert again["counts"]["missing"] == found["missing"]
    assert plan["times"].keys() == {"start", "drawing"}
    assert again["counts"]["pairs"] == plan["counts"]["pairs"]


def test_an_overlap_and_a_passport_count_what_they_hold(material: Path, tmp_path: Path) -> None:
    for more in ([], ["--model", material / "model.onnx"], ["--features-a", material / "vectors"]):
        words = ["overlap", material / "people", material / "pairs.bin", *more]
        plan, found = told(*words), done(*words)
        sides = [found[side][kind] for side in "ab" for kind in ("pictures", "identities")]
        assert list(plan["counts"].values())[:4] == sides
        assert ("network" in plan["times"]) == ("--model" in more)
        assert (plan["counts"]["pairs of centres"] > 0) == found["by_vectors"]
    words = ["passport", material / "people", tmp_path / "it.json", "--against", material / "pairs.bin"]
    plan = told(*words, "--features", material / "vectors")
    said = done(*words, "--features", material / "vectors")["passport"]["facekit:passport"]
    counts = plan["counts"]
    assert (counts["images"], counts["identities"]) == (said["images"], said["identities"])
    assert (counts["sampled"], counts["test sets"]) == (said["pictures"]["sampled"], len(said["overlap"]))
    assert plan["times"]["noise"] is None
    for wrong in (["--features", material / "people"], ["--against", material / "nowhere.bin"]):
        plan_, run = (call([*words[:2], *wrong, *dry]) for dry in (["--dry-run"], []))
        assert (plan_.code, plan_.err) == (run.code, run.err)
        assert plan_.code in (1, 2)


def test_an_export_is_told_before_it_is_made(material: Path, tmp_path: Path) -> None:
    words = ["export", material / "trained", tmp_path / "x.onnx"]
    plan, found = told(*words), done(*words)
    size = (tmp_path / "x.onnx").stat().st_size
    assert 4 * plan["counts"]["parameters"] < size <= plan["bytes_needed"] < size + 2_500_000
    assert plan["counts"]["dimensions"] == found["dimensions"]
    assert plan["counts"]["inputs"] == len(found["inputs"])
    wrong = [material / "trained", tmp_path / "y.onnx", "--branch", "masked"]
    plan_, run = (call(["export", *wrong, *dry]) for dry in (["--dry-run"], []))
    assert (plan_.code, plan_.err) == (run.code, run.err)
    assert plan_.code == 2


def training(folder: Path, *given: str, **more: Any) -> TrainConfig:
    pack = folder / "pack"
    if not pack.exists():
        pattern_pack(pack)
    return TrainConfig("bcl", str(pack), str(folder / "out"), "bcl-small", (*QUICK, *given), **more)


def plan_of(config: TrainConfig) -> Any:
    with dry_run(), pytest.raises(DryRun) as caught:
        train(config, warn=lambda _: None)
    return caught.value.plan


def test_a_training_is_as_long_as_it_was_told(tmp_path: Path) -> None:
    """Steps, checkpoints and evaluations, from the beginning and from the middle; and the same network without it."""
    pack = pattern_pack(tmp_path / "pack")
    pairs = tmp_path / "pairs.csv"
    pairs.write_text("key_a,key_b,same\n" + "".join(f"{a},{a + 1},1\n{a},{a + 20},0\n" for a in (1, 3, 5, 7, 22) * 2))
    config = training(tmp_path, "epochs=3", "max_steps=7", "keep=9", "workers=0", pairs=(str(pairs),))
    assert config.pack == str(pack)
    plan = plan_of(config)
    assert not (tmp_path / "out").exists()
    reports: list[Any] = []
    run = train(config, report=reports.append, warn=lambda _: None)
    scored = [one for one in reports if "pairs accuracy" in one.values]
    assert plan.counts["steps"] == run.steps == 7
    assert plan.counts["checkpoints"] == len(list((tmp_path / "out" / "checkpoints").iterdir()))
    assert plan.counts["evaluations"] == len(scored) == 2
    assert plan.counts["images"] == 54
    assert plan.counts["classes"] == 8
    assert plan.times.keys() == {"training", "scoring"}
    assert plan.seconds > 0
    assert not plan.unfinished
    assert bytes_at(tmp_path / "out") <= plan.bytes_needed
    longer = TrainConfig(**{**vars(config), "changes": (*config.changes, "max_steps=12"), "resume": True})
    plan = plan_of(longer)
    assert plan.unfinished
    assert plan.counts["steps done before"] == 7
    again = train(longer, warn=lambda _: None)
    assert (plan.counts["steps"], again.resumed_from) == (again.steps, 7)


@pytest.mark.parametrize("given", [(), ("optimizer=adamw",), ("ema=.9",), ("sample_rate=.5",)])
def test_a_checkpoint_is_told_to_the_byte(tmp_path: Path, given: tuple[str, ...]) -> None:
    config = training(tmp_path, *given)
    task = open_task(config, read_settings(load_plugin("bcl"), config.recipe, config.changes))
    outline = outline_of(task, 1)
    assert outline.checkpoint == bytes_of_a_checkpoint(open_state(task, torch.device("cpu")))
    assert sum(outline.memory.values()) >= outline.checkpoint
    shared = outline_of(task._replace(settings=read_settings(load_plugin("bcl"), config.recipe,
                                                             (*config.changes, "classifier=sharded"))), 4)  # fmt: skip
    assert (shared.rows, shared.checkpoint) == (outline.rows // 4, outline.checkpoint)
    assert length_of(task, 2).epoch == 54 // 16


def test_a_plan_changes_nothing_of_a_later_run(tmp_path: Path) -> None:
    config = training(tmp_path, "max_steps=3")
    torch.manual_seed(5)
    random, threads = torch.get_rng_state(), torch.get_num_threads()
    plan_of(config)
    assert torch.equal(random, torch.get_rng_state())
    assert torch.get_num_threads() == threads
    first = train(config, warn=lambda _: None)
    plan_of(TrainConfig(**{**vars(config), "destination": str(tmp_path / "other")}))
    second = train(TrainConfig(**{**vars(config), "destination": str(tmp_path / "other")}), warn=lambda _: None)
    loads = [torch.load(one.model, weights_only=True)["network"] for one in (first, second)]
    assert all(torch.equal(loads[0][name], loads[1][name]) for name in loads[0])


def test_a_training_without_the_memory_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("facekit.train.rehearsal.free_memory", lambda _: 1000)
    plan = plan_of(training(tmp_path))
    assert plan.memory_free == 1000
    assert plan.seconds is None
    assert plan.times == {"training": None}
    assert "has not the memory" in plan.timed
    said = call(["train", "bcl", tmp_path / "pack", tmp_path / "out", "--recipe", "bcl-small", *changes(*QUICK),
                 "--dry-run"])  # fmt: skip
    assert "are free -- too few" in said.out


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (["--set", "batch=64"], "a step takes 64 images and the pack has 54"),
        (["--set", "crop=40"], "nothing is left"),
        (["--init", "{t}/nowhere.pt"], "nowhere.pt"),
        (["--eval", "{t}/nowhere.bin"], "there is no such file"),
        (["--set", "sampler=paired", "--set", "batch=1"], "batch is 1"),
        (["--best", "lfw accuracy"], "there is no such score"),
    ],
)
def test_a_training_that_cannot_be_is_refused_alike(tmp_path: Path, given: list[str], sentence: str) -> None:
    pack = pattern_pack(tmp_path / "pack")
    words = ["train", "bcl", pack, tmp_path / "out", "--recipe", "bcl-small", *changes(*QUICK),
             *(word.format(t=tmp_path) for word in given)]  # fmt: skip
    plan, run = call([*words, "--dry-run"]), call(words)
    assert plan.code == run.code
    assert sentence in plan.err
    assert sentence in run.err


def test_of_several_processes_one_tells_and_none_takes_a_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pack = pattern_pack(tmp_path / "pack")
    words = ["train", "bcl", pack, tmp_path / "out", "--recipe", "bcl-small", *changes(*QUICK), "--dry-run", "--json"]
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    assert call(words).out == ""
    monkeypatch.setenv("RANK", "0")
    plan = json.loads(call(words).out)
    assert plan["counts"]["processes"] == 2
    assert plan["counts"]["steps an epoch"] == 54 // 16
    assert "without torchrun" in plan["timed"]


def test_the_loop_is_as_long_as_it_was_told(material: Path, tmp_path: Path) -> None:
    pairs = tmp_path / "pairs.csv"
    pairs.write_text("key_a,key_b,same\n" + "".join(f"{a},{a + 1},1\n{a},{a + 3},0\n" for a in (1, 4, 7) * 4))
    words = ["selflearn", material / "people", tmp_path / "loop", "--recipe", "bcl-small", "--rounds", 1,
             "--allow-loss", 1, "--eval", pairs,
             *changes("batch=4", "threads=1", "epochs=2", "warmup=0", "dimensions=8", "flip=0")]  # fmt: skip
    plan = told(*words)
    assert not (tmp_path / "loop").exists()
    assert plan["counts"]["trainings left"] == 2
    assert plan["times"].keys() == {"training", "embedding", "scoring"}
    found = done(*words)
    assert len(found["rounds"]) == plan["counts"]["rounds"] == 1
    assert found["rounds"][0]["images"] == plan["counts"]["images"]
    assert found["rounds"][0]["identities"] == plan["counts"]["identities"]
    steps = [int(path.name) for path in (tmp_path / "loop").glob("round-*/train/checkpoints/*")]
    last = [max(int(path.name) for path in one.iterdir()) for one in (tmp_path / "loop").glob("*/train/checkpoints")]
    assert steps
    assert sum(last) <= plan["counts"]["steps left at most"]
    assert bytes_at(tmp_path / "loop") <= plan["bytes_needed"]
    after = told(*words)
    assert after["unfinished"]
    assert (after["counts"]["rounds left"], after["counts"]["trainings left"]) == (0, 0)
    assert after["counts"]["steps left at most"] == 0
    other = call([*words, "--set", "scale=5", "--dry-run"])
    assert (other.code, other.err) == ((run := call([*words, "--set", "scale=5"])).code, run.err)
    assert "was started with other settings" in other.err
