"""ViT backbones: the arithmetic of arcface_torch's, its weights by name, AdamW, resuming to the bit, and export."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import public_backbones as public
import pytest
import torch
from dying_runs import die_after
from test_train_resume import differing, tensors
from torch.nn import functional
from train_packs import QUICK, changes, pattern_pack

from facekit.embeddings.onnx_engine import OnnxEngine
from facekit.errors import ConfigError
from facekit.jobs.train.config import TrainConfig
from facekit.jobs.train.export import ExportConfig, export
from facekit.jobs.train.job import train
from facekit.train.backbones import backbone
from facekit.train.checkpoint import bytes_of_a_checkpoint, latest_checkpoint, load_checkpoint, save_checkpoint
from facekit.train.config import LoopConfig, unusual_settings
from facekit.train.model import load_initial_weights, open_model
from facekit.train.optimizer import open_optimizer
from facekit.train.plugin import Batch, PackFacts, load_plugin
from facekit.train.public_weights import translated
from facekit.train.recipe import read_settings
from facekit.train.state import State
from facekit.train.vit import VisionTransformer, VitShape

torch.set_num_threads(1)

SMALL = VitShape(16, 3, drop_path=0.4, hidden=0.3)
RUN = (*QUICK, "optimizer=adamw", "lr=.001", "weight_decay=.1")


def pictures(count: int, seed: int = 0, size: tuple[int, int] = (40, 36)) -> torch.Tensor:
    return torch.rand(count, 3, *size, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def test_a_public_vit_says_what_it_said(tmp_path: Path) -> None:
    state = public.vit(256, 12)
    torch.save(state | {"head.weight": torch.zeros(9, 512)}, tmp_path / "model.pt")
    network = backbone("vit_t", 512).eval()
    said = load_initial_weights(network, str(tmp_path / "model.pt"))
    assert [one.split(": ")[-1] for one in said] == ["head.weight"]
    image = pictures(1, size=(112, 112))
    with torch.inference_mode():
        torch.testing.assert_close(network(image), public.run_vit(state, image), atol=1e-3, rtol=1e-3)
    with pytest.raises(ConfigError, match="weights of vit_t: --set backbone=vit_t"):
        load_initial_weights(backbone("iresnet18", 512), str(tmp_path / "model.pt"))


@pytest.mark.parametrize(("name", "width", "depth"), [("vit_s", 512, 12), ("vit_b", 512, 24), ("vit_l", 768, 24)])
def test_every_size_has_the_names_and_shapes(name: str, width: int, depth: int) -> None:
    with torch.device("meta"):
        wanted = backbone(name, 512).state_dict()
    small = public.vit(8, depth, 144, 512)  # names do not depend on the width
    assert set(wanted) == set(small)
    blown = {n: torch.empty([width // 8 * side if side in (8, 24, 32, 8 * 144) else side for side in v.shape],
                            device="meta") for n, v in small.items()}  # fmt: skip
    assert {n: v.shape for n, v in wanted.items()} == {n: v.shape for n, v in blown.items()}
    assert translated(blown).backbone == name


def test_pixels_beyond_the_last_whole_patch_are_not_seen() -> None:
    network = VisionTransformer(SMALL, 8, image_size=(40, 36)).eval()
    image = pictures(2)
    other = image.clone()
    other[:, :, 36:] = 0
    assert torch.equal(network(image), network(other))
    other[:, :, 35] = 0
    assert not torch.equal(network(image), network(other))
    with pytest.raises(ConfigError, match="patches of 9 x 9"):
        VisionTransformer(SMALL, 8, image_size=(112, 8))


def test_hidden_patches_have_the_learned_token_and_the_others_their_own() -> None:
    """Without blocks a patch's token is its own alone, wherever it stood while some were away."""
    torch.manual_seed(3)
    network = VisionTransformer(VitShape(16, 0, hidden=0.3), 8, image_size=(40, 36))
    image = pictures(40)
    tokens = network.eval().flat(image).reshape(40, 16, 16)
    seen = network.train().flat(image).reshape(40, 16, 16)
    own, hidden = (seen == tokens).all(2), (seen == network.mask_token).all(2)
    assert (own ^ hidden).all()
    assert (hidden.sum(1) == 16 - int(16 * 0.7)).all()
    assert (hidden.sum(0) > 0).all()
    assert (own.sum(0) > 0).all()


def test_a_branch_is_left_out_by_chance_and_else_scaled_up() -> None:
    torch.manual_seed(5)
    block = VisionTransformer(VitShape(8, 2, drop_path=0.25), 8).blocks[1].train()
    branch = torch.ones(4000, 3, 8)
    kept = block._dropped(branch)
    values = kept.unique()
    torch.testing.assert_close(values, torch.tensor([0, 1 / 0.75]))
    assert (kept == kept[:, :1, :1]).all()
    assert abs(float((kept[:, 0, 0] == 0).float().mean()) - 0.25) < 0.04  # six deviations
    assert torch.equal(block.eval()._dropped(branch), branch)


def test_a_training_step_reaches_every_parameter() -> None:
    torch.manual_seed(0)
    network = VisionTransformer(VitShape(16, 3, drop_path=0, hidden=0.3), 8, image_size=(40, 36)).train()
    network(pictures(12)).square().sum(1).log().var().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


def test_adamw_follows_its_equations_for_dense_and_sparse_gradients() -> None:
    """Loshchilov and Hutter 2019, algorithm 2, a number at a time; what has one dimension does not decay."""
    torch.manual_seed(2)
    table, bias = torch.nn.Parameter(torch.randn(6, 3).double()), torch.nn.Parameter(torch.randn(3).double())
    module = torch.nn.Module()
    module.table, module.bias = table, bias
    optimizer = open_optimizer([module], LoopConfig(optimizer="adamw", lr=0.02, momentum=0.8, weight_decay=0.1))
    expected = [table.detach().clone(), bias.detach().clone()]
    first, second = ([torch.zeros_like(one) for one in expected] for _ in range(2))
    for step in range(1, 6):
        rows = torch.tensor([step % 6, (3 * step) % 6])
        optimizer.zero_grad()
        ((functional.embedding(rows, table, sparse=True) * bias) ** 2).sum().backward()
        assert table.grad is not None
        assert table.grad.is_sparse
        slopes = [table.grad.to_dense().clone(), bias.grad.clone()]
        optimizer.step()
        for one, (slope, decay) in enumerate(zip(slopes, (0.1, 0.0), strict=True)):
            first[one] = 0.8 * first[one] + 0.2 * slope
            second[one] = 0.999 * second[one] + 0.001 * slope**2
            mean, square = first[one] / (1 - 0.8**step), second[one] / (1 - 0.999**step)
            expected[one] = expected[one] * (1 - 0.02 * decay) - 0.02 * mean / (square.sqrt() + 1e-8)
        torch.testing.assert_close(table.detach(), expected[0])
        torch.testing.assert_close(bias.detach(), expected[1])


def state_of(*given: str) -> State:
    plugin = load_plugin("bcl")
    settings = read_settings(plugin, "bcl-small", (*RUN, *given))
    state = State("bcl", plugin, settings, PackFacts(np.array([3, 5, 7, 9, 4]), (40, 36)), torch.device("cpu"))
    state.wrap()
    return state


def stepped(state: State, seed: int) -> None:
    batch = Batch(pictures(6, seed), torch.arange(6) % 5, torch.zeros(6, dtype=torch.bool))
    state.train_step(iter([batch]), 0.01)


def test_a_checkpoint_brings_adamw_back_from_any_number_of_files(tmp_path: Path) -> None:
    """The rows of one process cut in two, as two processes would have written them, and a step more of each."""
    state, other = state_of(), state_of("seed=4")
    for seed in range(3):
        stepped(state, seed)
    folder = save_checkpoint(state, tmp_path, 1)
    whole = folder / "rows-00000-of-00001.pt"
    rows = torch.load(whole, weights_only=True)
    assert {"weight", "momentum", "squares", "updates"} <= set(rows)
    for rank, part in enumerate((slice(0, 2), slice(2, 5))):
        cut = {name: rows[name][part].clone() for name in ("weight", "momentum", "squares")}
        own = {"start": part.start, "count": part.stop - part.start, "updates": rows["updates"]}
        torch.save(cut | own | {"random": rows["random"]}, folder / f"rows-{rank:05d}-of-00002.pt")
    whole.unlink()
    load_checkpoint(other, folder)
    for one in (state, other):
        torch.manual_seed(1)
        stepped(one, 9)
    for name, value in state.network.state_dict().items():
        assert torch.equal(value, other.network.state_dict()[name]), name
    assert torch.equal(state.classifier.weight, other.classifier.weight)
    stored = sum(path.stat().st_size for path in save_checkpoint(state, tmp_path, 1).iterdir())
    assert 0.9 < bytes_of_a_checkpoint(state) / stored < 1


def test_a_killed_vit_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    pack = pattern_pack(tmp_path / "pack")
    settings = (*RUN, "backbone=vit_xs", "max_steps=5", "save_every=2", "sample_rate=.5", "dropout=.1", "batch=6",
                "precision=bf16", "clip=5", "ema=.9")  # fmt: skip
    train(TrainConfig("bcl", str(pack), str(tmp_path / "whole"), "bcl-small", settings), warn=str)
    arguments = ["train", "bcl", str(pack), str(tmp_path / "killed"), "--recipe", "bcl-small", *changes(*settings)]
    die_after("facekit.train.loop:save_checkpoint", arguments)
    at = latest_checkpoint(tmp_path / "killed")
    assert at is not None
    assert int(at.name) < 5
    done = train(TrainConfig("bcl", str(pack), str(tmp_path / "killed"), "bcl-small", settings, resume=True), warn=str)
    assert 0 < done.resumed_from < 5
    assert not differing(tensors(tmp_path / "whole"), tensors(tmp_path / "killed"))


def test_the_recipe_of_a_vit_trains_and_the_file_does_what_the_network_does(tmp_path: Path) -> None:
    run, path = tmp_path / "run", tmp_path / "model.onnx"
    given = (*QUICK, "max_steps=2", "precision=float32", "backbone=vit_xs")
    train(TrainConfig("bcl", str(pattern_pack(tmp_path / "pack")), str(run), "vit_t", given), warn=str)
    done = export(ExportConfig(str(run), str(path)))
    assert (done.inputs, done.outputs, done.dimensions) == (("image",), ("embedding",), 16)
    planes = pictures(7).numpy()
    model = open_model(run)
    with torch.inference_mode():
        wanted = model.network(torch.from_numpy(planes)).numpy()
    engine = OnnxEngine(path)
    np.testing.assert_allclose(engine.session.run(None, {"image": planes})[0], wanted, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("name", ["vit_t", "vit_s", "vit_b", "vit_l"])
def test_recipes_are_those_of_the_public_configurations(name: str) -> None:
    found = read_settings(load_plugin("bcl"), name)
    batch, total = {"vit_t": (512, 8 * 512), "vit_s": (384, 64 * 384), "vit_b": (256, 8 * 12 * 256),
                    "vit_l": (384, 64 * 384)}[name]  # fmt: skip
    assert (found.train.batch, found.train.recipe_batch) == (batch, total)
    assert (found.train.optimizer, found.train.lr, found.train.weight_decay) == ("adamw", 0.001, 0.1)
    assert (found.train.epochs, found.train.warmup, found.train.sample_rate, found.train.clip) == (40, 4, 0.3, 5)
    assert (found.plugin.loss, found.plugin.margin, found.plugin.scale, found.plugin.dimensions) == (
        "cosface", 0.4, 64, 512,
    )  # fmt: skip
    assert unusual_settings(found.train) == []


def test_usual_ranges_are_those_of_the_optimizer() -> None:
    assert unusual_settings(LoopConfig(optimizer="adamw", lr=0.1)) == ["lr is 0.1 (usual: 1e-5 to 0.01)"]
    assert unusual_settings(LoopConfig(weight_decay=0.1)) == ["weight_decay is 0.1 (usual: 0 to 0.01)"]
    with pytest.raises(ConfigError, match="optimizer is 'lion'; it must be one of sgd, adamw"):
        LoopConfig(optimizer="lion")


def test_runs_of_before_there_was_a_choice_go_on(tmp_path: Path) -> None:
    pack, out = pattern_pack(tmp_path / "pack"), tmp_path / "run"

    def run(steps: int, *more: str) -> int:
        given = (*QUICK, f"max_steps={steps}", "schedule=step", *more)
        config = TrainConfig("bcl", str(pack), str(out), "bcl-small", given, resume=out.exists())
        return train(config, warn=str).resumed_from

    run(1)
    record = json.loads((out / "config.json").read_text())
    del record["settings"]["optimizer"]
    (out / "config.json").write_text(json.dumps(record))
    with pytest.raises(ConfigError, match="optimizer"):
        run(2, "optimizer=adamw")
    assert run(2) == 1
