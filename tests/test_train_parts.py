"""The parts of the loop against slow references: changes of pictures, orders, rates, averages, the classifier."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional
from train_packs import pattern_pack

from facekit.errors import ConfigError
from facekit.images import blurred
from facekit.train.augment import Augmentation, apply_augmentation, draw_augmentation
from facekit.train.backbones import BACKBONES, backbone
from facekit.train.classifier import Classifier, shard_of
from facekit.train.config import LoopConfig
from facekit.train.optimizer import EMA, learning_rate, open_optimizer
from facekit.train.plugin import find_plugins, load_plugin
from facekit.train.recipe import read_settings
from facekit.train.samples import TrainingSet, epoch_order

PICTURE = np.random.default_rng(0).integers(0, 256, (40, 36, 3), dtype=np.uint8)


def plain(image: np.ndarray) -> np.ndarray:
    return image.transpose(2, 0, 1).astype(np.float32) / 127.5 - 1


def test_no_change_is_the_picture_in_minus_one_to_one() -> None:
    np.testing.assert_allclose(apply_augmentation(PICTURE, Augmentation()), plain(PICTURE), atol=1e-6)


def test_each_change_does_what_its_name_says() -> None:
    np.testing.assert_allclose(apply_augmentation(PICTURE, Augmentation(flip=True)), plain(PICTURE[:, ::-1]), atol=1e-6)
    moved = apply_augmentation(PICTURE, Augmentation(shift=(3, -2)))
    np.testing.assert_allclose(moved[:, 3:, :-2], plain(PICTURE)[:, :-3, 2:], atol=1e-6)
    np.testing.assert_allclose(moved[:, 0, :-2], plain(PICTURE)[:, 0, 2:], atol=1e-6)
    holed = apply_augmentation(PICTURE, Augmentation(hole=(0.25, 0.5, 0.5, 0.25)))
    assert not holed[:, 10:30, 18:27].any()
    assert np.count_nonzero(holed != apply_augmentation(PICTURE, Augmentation())) <= 3 * 20 * 9
    x = PICTURE.astype(np.float64)
    grey = x @ [0.299, 0.587, 0.114]
    wanted = {
        "brightness": x * 0.8,
        "contrast": grey.mean() + 0.8 * (x - grey.mean()),
        "saturation": grey[..., None] + 0.8 * (x - grey[..., None]),
    }
    for name, pixels in wanted.items():
        np.testing.assert_allclose(apply_augmentation(PICTURE, Augmentation(**{name: 0.8})), plain(pixels), atol=1e-5)
    assert apply_augmentation(PICTURE, Augmentation(brightness=3.0)).max() == 1
    blurry = apply_augmentation(PICTURE, Augmentation(blur=1.5, flip=True, shift=(0, 2)))
    np.testing.assert_allclose(blurry[:, :, 2:], plain(blurred(PICTURE, 1.5)[:, ::-1])[:, :, :-2], atol=1e-6)


@given(st.integers(0, 2**32))
def test_changes_stay_within_the_settings(seed: int) -> None:
    config = LoopConfig(cutout=1, cutout_size=0.3, crop=4, brightness=0.2, contrast=0.1, saturation=0.3)
    change = draw_augmentation(np.random.default_rng(seed), config)
    assert change == draw_augmentation(np.random.default_rng(seed), config)
    assert max(map(abs, change.shift)) <= 4
    assert change.hole is not None
    top, left, height, width = change.hole
    assert top >= 0
    assert left >= 0
    assert top + height <= 1 + 1e-9
    assert left + width <= 1 + 1e-9
    assert 0.15 <= height <= 0.3
    assert abs(change.brightness - 1) <= 0.2
    assert abs(change.saturation - 1) <= 0.3
    without = draw_augmentation(np.random.default_rng(seed), replace(config, cutout=0))
    assert without == change._replace(hole=None)


@given(st.integers(0, 2**32))
def test_a_blur_is_drawn_behind_all_else_and_changes_nothing_of_it(seed: int) -> None:
    """Runs of before there was a blur keep their random stream, and with it what they learned."""
    config = LoopConfig(cutout=0.5, crop=4, brightness=0.2)
    sharp, blurry = (
        draw_augmentation(np.random.default_rng(seed), replace(config, blur=chance, blur_size=3)) for chance in (0, 1)
    )
    assert sharp.blur == 0
    assert sharp == blurry._replace(blur=0)
    rng = np.random.default_rng(seed)
    rng.random(9)
    rng.integers(-4, 4, 2, endpoint=True)
    assert blurry.blur == 3 * rng.random(2)[1]
    again = np.random.default_rng(seed)
    draw_augmentation(again, config)
    assert again.random() == rng.random()


def test_the_share_of_blurred_pictures_is_the_chance_and_deviations_are_even() -> None:
    config = LoopConfig(blur=0.3, blur_size=2)
    drawn = np.array([draw_augmentation(np.random.default_rng(seed), config).blur for seed in range(4000)])
    assert abs((drawn > 0).mean() - 0.3) < 4 * np.sqrt(0.3 * 0.7 / 4000)
    some = drawn[drawn > 0]
    assert abs(some.mean() - 1) < 4 * 2 / np.sqrt(12 * len(some))
    assert some.max() < 2


def test_a_picture_is_changed_by_seed_epoch_and_key_alone(tmp_path: Path) -> None:
    pack = pattern_pack(tmp_path / "pack")
    samples = TrainingSet(str(pack), LoopConfig(crop=3, brightness=0.2))
    first = [samples[i][0] for i in range(len(samples))]
    again = [samples[i][0] for i in reversed(range(len(samples)))][::-1]
    assert all(map(torch.equal, first, again))
    samples.set_epoch(1)
    assert not any(torch.equal(first[i], samples[i][0]) for i in range(len(samples)))
    assert samples.masked_share() is None


def test_orders() -> None:
    labels = np.repeat([0, 1, 2], [80, 15, 5])
    config = LoopConfig()
    assert np.array_equal(np.sort(epoch_order(labels, config, 0)), np.arange(100))
    assert not np.array_equal(epoch_order(labels, config, 0), epoch_order(labels, config, 1))
    drawn = np.concatenate([labels[epoch_order(labels, replace(config, sampler="balanced"), e)] for e in range(60)])
    assert np.allclose(np.bincount(drawn) / len(drawn), 1 / 3, atol=0.03)


def test_rates() -> None:
    config = LoopConfig(lr=0.1, milestones=(1.0, 2.0), epochs=3, warmup=0.5)
    rates = [learning_rate(config, step, 10, 30) for step in range(30)]
    assert rates[:5] == pytest.approx([0.02, 0.04, 0.06, 0.08, 0.1])
    assert rates[5:] == pytest.approx([0.1] * 5 + [0.01] * 10 + [0.001] * 10)
    cosine = [learning_rate(replace(config, schedule="cosine", warmup=0), step, 10, 30) for step in (0, 15, 30)]
    assert cosine == pytest.approx([0.1, 0.05, 0.0])
    poly = [learning_rate(replace(config, schedule="poly", warmup=0), step, 10, 30) for step in (0, 15, 30)]
    assert poly == pytest.approx([0.1, 0.025, 0.0])


def test_norms_and_biases_do_not_decay() -> None:
    network = backbone("tiny", 16)
    decays, rest = open_optimizer([network], LoopConfig(weight_decay=0.5)).param_groups
    assert (decays["weight_decay"], rest["weight_decay"]) == (0.5, 0.0)
    assert {p.ndim for p in rest["params"]} == {1}
    names = {id(p): name for name, p in network.named_parameters()}
    assert all(".bn" in f".{names[id(p)]}" or "bias" in names[id(p)] or "prelu" in names[id(p)]
               or "downsample.1" in names[id(p)] or "features" in names[id(p)] for p in rest["params"])  # fmt: skip
    trained = [p for p in network.parameters() if p.requires_grad]
    assert len(decays["params"]) + len(rest["params"]) == len(trained)


def test_the_average_follows_the_weights() -> None:
    network = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2))
    average = EMA(network, 0.5)
    start = network[0].weight.detach().clone()
    wanted, decay = start.clone(), 0.0
    for step in range(1, 30):
        with torch.no_grad():
            network[0].weight += 1
            network[1].running_mean += 1
        average.update(network)
        decay = min(0.5, step / (step + 10))
        wanted = decay * wanted + (1 - decay) * network[0].weight
    torch.testing.assert_close(average.weights["0.weight"], wanted)
    torch.testing.assert_close(average.weights["1.running_mean"], network[1].running_mean)


def test_a_sampled_classifier_compares_with_the_classes_of_the_batch_and_some_more() -> None:
    torch.manual_seed(0)
    classifier = Classifier(100, 8, sample_rate=0.2)
    x, labels = torch.randn(6, 8), torch.tensor([3, 99, 0, 3, 50, 7])
    seen = classifier(x, labels)
    assert seen.class_index is not None
    assert len(seen.class_index) == len(seen.weight) == 20
    assert torch.equal(seen.class_index[seen.labels], labels)
    assert torch.equal(seen.weight, classifier.weight[seen.class_index])
    assert len(set(seen.class_index.tolist())) == 20
    assert not torch.equal(seen.class_index, classifier(x, labels).class_index)
    everywhere = Classifier(4, 8, sample_rate=0.1)(x[:4], torch.arange(4))
    assert everywhere.class_index is not None
    assert everywhere.class_index.tolist() == [0, 1, 2, 3]
    assert classifier.eval()(x, labels).class_index is None


def test_the_whole_classifier_is_plain_cross_entropy_with_smoothing() -> None:
    classifier = Classifier(9, 8, label_smoothing=0.1)
    x, labels = torch.randn(6, 8), torch.randint(0, 9, (6,))
    seen = classifier(x, labels)
    logits = seen.embeddings @ seen.weight.T
    wanted = functional.cross_entropy(x @ classifier.weight.T, labels, label_smoothing=0.1)
    torch.testing.assert_close(classifier.loss(logits, seen.labels), wanted)


def test_rows_begin_at_centres_and_unknown_ones_stay() -> None:
    classifier, centres = Classifier(3, 4), torch.tensor([[3.0, 0, 0, 0], [0, 0, 0, 0], [0, 2.0, 0, 0]])
    before = classifier.weight.detach().clone()
    classifier.init_from_centres(centres)
    assert torch.equal(classifier.weight[1], before[1])
    torch.testing.assert_close(functional.normalize(classifier.weight[[0, 2]]), functional.normalize(centres[[0, 2]]))
    torch.testing.assert_close(classifier.weight.norm(dim=1), before.norm(dim=1))


@given(st.integers(1, 50), st.integers(1, 9))
def test_shards_cover_the_classes_once(classes: int, world: int) -> None:
    shards = [shard_of(classes, rank, world) for rank in range(world)]
    assert [c for start, count in shards for c in range(start, start + count)] == list(range(classes))


@pytest.mark.parametrize("name", BACKBONES)
def test_backbones_have_the_shapes_they_say(name: str) -> None:
    with FakeTensorMode():  # shapes without arithmetic
        network = backbone(name, 32, image_size=(112, 96), freeze_scale=False)
        assert network(torch.empty(2, 3, 112, 96)).shape == (2, 32)
    assert all(p.requires_grad for p in network.parameters())


def test_sizes_are_those_of_the_papers() -> None:
    """MobileFaceNet 0.99 M; IR-SE-50 43.8 M with its 512-d head; IR-SE-101 about 65 M."""
    with torch.device("meta"):
        count = {n: sum(p.numel() for p in backbone(n, 128 if n == "mobilefacenet" else 512).parameters()) / 1e6
                 for n in ("mobilefacenet", "irse50", "irse101", "iresnet50")}  # fmt: skip
    assert count["mobilefacenet"] == pytest.approx(0.99, abs=0.03)
    assert count["irse50"] == pytest.approx(43.8, abs=0.2)
    assert count["irse101"] == pytest.approx(65.5, abs=0.6)
    assert count["iresnet50"] == pytest.approx(43.6, abs=0.1)


def test_every_recipe_of_every_plugin_is_valid_and_the_papers_are_as_printed() -> None:
    for found in find_plugins():
        assert found.plugin is not None, found.problem
        for name in found.plugin.recipes:
            read_settings(found.plugin, name)
    bcl = read_settings(load_plugin("bcl"))
    assert (bcl.train.epochs, bcl.train.batch, bcl.train.milestones) == (24, 160, (10, 18, 22))
    assert (bcl.plugin.backbone, bcl.plugin.scale, bcl.plugin.margin) == ("irse101", 128, 0.5)
    assert (bcl.train.lr, bcl.train.recipe_batch, bcl.plugin.t_momentum) == (0.1, 5120, 0.01)
    maskdul = read_settings(load_plugin("maskdul"))
    assert (maskdul.train.epochs, maskdul.train.batch, maskdul.train.lr) == (30, 128, 0.05)
    assert (maskdul.plugin.backbone, maskdul.plugin.kl_weight, maskdul.plugin.lambda_g) == ("iresnet50", 0.01, 35)
    assert (maskdul.train.milestones, maskdul.train.masked_share, maskdul.plugin.scale) == ((10, 18, 25), 0.5, 64)
    assert (maskdul.plugin.magnitude_bounds, maskdul.plugin.margin_bounds) == ((10, 110), (0.45, 0.8))
    assert (maskdul.plugin.sigma_bounds, maskdul.plugin.xi_bounds) == ((10, 25), (0.5, 1))
    assert (maskdul.plugin.easy_margin, maskdul.plugin.two_stream, maskdul.plugin.reduction) == (True, True, "sum")
    for recipe in ("dul_cls", "dul_cls-small"):  # ArcFace's fixed margin, from the first step on
        dul_cls = read_settings(load_plugin("maskdul"), recipe).plugin
        assert (dul_cls.easy_margin, dul_cls.lambda_g, dul_cls.two_stream) == (False, 0, False)
        assert dul_cls.margin_bounds[0] == dul_cls.margin_bounds[1]
    for train in (bcl.train, maskdul.train):
        assert (train.schedule, train.gamma, train.momentum, train.weight_decay) == ("step", 0.1, 0.9, 5e-4)


def test_settings_come_from_files_and_words(tmp_path: Path) -> None:
    bcl = load_plugin("bcl")
    (tmp_path / "mine.toml").write_text('loss = "arcface"\nscale = 32\nmilestones = [2, 4.5]\nchannels_last = true\n')
    settings = read_settings(bcl, str(tmp_path / "mine.toml"), ["lr=.3", "channels_last=false", "milestones=3,5"])
    assert (settings.plugin.loss, settings.plugin.scale) == ("arcface", 32.0)
    assert (settings.train.lr, settings.train.channels_last, settings.train.milestones) == (0.3, False, (3.0, 5.0))


@pytest.mark.parametrize(
    ("recipe", "given", "message"),
    [
        ("nonsense", (), "no recipe 'nonsense'; there are bcl, curricular"),
        (None, ("speed=3",), "no setting 'speed'; there are"),
        (None, ("lr",), "write key=value"),
        (None, ("lr=fast",), "lr is 'fast'; it must be of type float"),
        (None, ("channels_last=maybe",), "true or false"),
        (None, ("lr=0",), "lr is 0.0; it must be above 0"),
        (None, ("sampler=lottery",), "one of uniform, balanced"),
        (None, ("cutout=2",), "from 0 to 1"),
        (None, ("batch=0",), "at least 1"),
        (None, ("crop=-1",), "not negative"),
        (None, ("milestones=5,3",), "in order"),
        (None, ("loss=hinge",), "loss is 'hinge'"),
        ("absent.toml", (), "there is no such file"),
    ],
)
def test_wrong_settings_are_refused(recipe: str | None, given: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_settings(load_plugin("bcl"), recipe, given)
