"""The IResNet and the two-stream network: names, routing, a plain start, batches of one kind."""

from __future__ import annotations

import pytest
import torch
from facekit_maskdul import TwoStreamIResNet
from facekit_maskdul.network import BRANCH_DEPTHS

from facekit.errors import ConfigError
from facekit.train.iresnet import IResNet, iresnet

torch.set_num_threads(1)
SMALL = {"dimensions": 6, "image_size": (48, 34), "widths": (4, 4, 6, 8)}
BLOCKS = (2, 1, 2, 1)
FLAGS = torch.tensor([0, 1, 1, 0, 1])


def pictures(count: int = 5) -> torch.Tensor:
    return torch.rand(count, 3, 48, 34, generator=torch.Generator().manual_seed(7)) * 2 - 1


def network(branch_depth: str = "start_block", shared_init: bool = True) -> TwoStreamIResNet:
    torch.manual_seed(1)
    return TwoStreamIResNet(BLOCKS, branch_depth=branch_depth, shared_init=shared_init, **SMALL)


def test_the_published_depths_have_the_published_size() -> None:
    with torch.device("meta"):
        sizes = {depth: sum(p.numel() for p in iresnet(depth).parameters()) for depth in (18, 50, 100)}
        names = dict(iresnet(18).named_parameters())
    assert {depth: round(size / 1e6, 2) for depth, size in sizes.items()} == {18: 24.03, 50: 43.59, 100: 65.16}
    assert names["fc.weight"].shape == (512, 512 * 7 * 7)
    assert not names["features.weight"].requires_grad
    assert names["layer2.0.downsample.0.weight"].shape == (128, 64, 1, 1)


def test_state_has_arcface_torchs_names() -> None:
    block = ["bn1.weight", "conv1.weight", "bn2.bias", "prelu.weight", "conv2.weight", "bn3.running_var"]
    expected = [f"layer{stage}.{last}.{name}" for stage, last in ((1, 1), (3, 1)) for name in block]
    expected += ["conv1.weight", "bn1.weight", "prelu.weight", "layer1.0.downsample.1.running_mean", "bn2.bias"]
    expected += ["fc.weight", "fc.bias", "features.running_mean", "features.num_batches_tracked"]
    state = IResNet(BLOCKS, **SMALL).state_dict()
    assert set(expected) <= set(state)
    assert not any(name.split(".")[0] not in {"conv1", "bn1", "prelu", "bn2", "fc", "features", "layer1", "layer2",
                                              "layer3", "layer4"} for name in state)  # fmt: skip


@pytest.mark.parametrize("branch_depth", BRANCH_DEPTHS)
def test_each_picture_goes_through_its_branch(branch_depth: str) -> None:
    """A mixed batch equals its pictures one by one; the other branch has no say in them."""
    net = network(branch_depth, shared_init=False).eval()
    mu, log_variance = net(pictures(), FLAGS)
    for index, flag in enumerate(FLAGS):
        one = net(pictures()[index : index + 1], flag[None])
        assert torch.allclose(one[0], mu[index : index + 1], atol=1e-5)
        assert torch.allclose(one[1], log_variance[index : index + 1], atol=1e-5)
    assert not torch.allclose(net(pictures(), 1 - FLAGS)[0], mu, atol=1e-3)
    for parameter in net.branches[1].parameters():
        torch.nn.init.zeros_(parameter)
    changed = (net(pictures(), FLAGS)[0] - mu).abs().amax(1)
    assert torch.equal(changed > 1e-4, FLAGS.bool())


@pytest.mark.parametrize("branch_depth", BRANCH_DEPTHS)
def test_branches_begin_alike_and_part(branch_depth: str) -> None:
    net = network(branch_depth)
    with torch.no_grad():
        assert torch.equal(net.eval()(pictures(), FLAGS)[0], net(pictures(), 1 - FLAGS)[0])
    optimizer = torch.optim.SGD(net.train().parameters(), lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        mu, _ = net(pictures(), FLAGS)
        mu.square().sum().backward()
        optimizer.step()
    first, second = (next(branch.parameters()) for branch in net.branches)
    assert not torch.allclose(first, second, atol=1e-4)


@pytest.mark.parametrize("branch_depth", BRANCH_DEPTHS)
def test_it_starts_from_a_plain_iresnet(branch_depth: str) -> None:
    plain, net = IResNet(BLOCKS, **SMALL).eval(), network(branch_depth).eval()
    kept = net.log_variance.fc.weight.clone()
    net.load_backbone(plain.state_dict())
    for flags in (None, torch.ones(5, dtype=torch.bool), FLAGS[:, None]):
        assert torch.allclose(net.embed(pictures(), flags), plain(pictures()), atol=1e-6)
    assert torch.equal(net.log_variance.fc.weight, kept)
    with pytest.raises(ConfigError, match="another depth"):
        net.load_backbone(IResNet((3, 1, 2, 2), **SMALL).state_dict())
    with pytest.raises(ConfigError, match="lack"):
        net.load_backbone(IResNet((1, 1, 2, 1), **SMALL).state_dict())


def test_both_branches_average() -> None:
    net = network().eval()
    none, all_ = torch.zeros(5, dtype=torch.bool), torch.ones(5, dtype=torch.bool)
    expected = (net.embed(pictures(), none) + net.embed(pictures(), all_)) / 2
    assert torch.allclose(net.embed(pictures(), both=True), expected)
    assert torch.equal(net.embed(pictures()), net.embed(pictures(), none))


@pytest.mark.parametrize("kind", [0, 1])
def test_a_batch_of_one_kind_gives_every_parameter_a_gradient(kind: int) -> None:
    net = network()
    mu, log_variance = net(pictures(), torch.full((5,), kind))
    (mu.square().sum() + log_variance.sum()).backward()
    assert all(p.grad is not None for p in net.parameters())
    assert not any(p.grad.any() for p in net.branches[1 - kind].parameters())
    assert any(p.grad.any() for p in net.branches[kind].parameters())


def test_the_exported_network_routes_as_the_running_one() -> None:
    """The form that is exported computes both branches and chooses by the flag; its batch is dynamic."""
    net = network().eval()
    batch = {0: torch.export.Dim("batch")}
    program = torch.export.export(net, (pictures(2), torch.tensor([0, 1])), dynamic_shapes=(batch, batch))
    for ours, theirs in zip(net(pictures(), FLAGS), program.module()(pictures(), FLAGS), strict=True):
        assert torch.allclose(ours, theirs, atol=1e-5)


def test_the_heads_stay_in_float32_under_autocast() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        mu, log_variance = network()(pictures(), FLAGS)
        plain = IResNet(BLOCKS, **SMALL)(pictures())
    assert mu.dtype == log_variance.dtype == plain.dtype == torch.float32
    (mu.sum() + log_variance.sum()).backward()


def test_both_heads_have_a_trainable_scale() -> None:
    net = network()
    assert net.mu.features.weight.requires_grad
    assert net.log_variance.features.weight.requires_grad
    assert IResNet(BLOCKS, freeze_scale=False, **SMALL).features.weight.requires_grad


def test_bad_input_is_named() -> None:
    with pytest.raises(ConfigError, match="branch_depth"):
        TwoStreamIResNet(branch_depth="head")
    with pytest.raises(ConfigError, match="mask_flag must be 5"):
        network()(pictures(), torch.zeros(4, dtype=torch.bool))
    with pytest.raises(ConfigError, match="IResNet-51"):
        iresnet(51)
    with pytest.raises(ConfigError, match="four stages"):
        IResNet((1, 2, 3))
