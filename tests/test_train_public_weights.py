"""Weights of public backbones load by their names, and facekit's network then says what the public one says."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import public_backbones as public
import pytest
import torch

from facekit.errors import ConfigError
from facekit.train.backbones import BACKBONES, backbone
from facekit.train.model import init_sentences, load_file, load_initial_weights
from facekit.train.public_weights import translated

torch.set_num_threads(1)


def image(seed: int = 0) -> torch.Tensor:
    return torch.rand(1, 3, 112, 112, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def embedding(name: str, path: Path) -> tuple[torch.Tensor, list[str]]:
    """What facekit's network says with the weights of a file, and what is said about them."""
    torch.manual_seed(1)
    network = backbone(name, 512).eval()
    said = load_initial_weights(network, str(path))
    assert init_sentences(str(path)) == said
    with torch.inference_mode():
        return network(image()), said


def same_direction(ours: torch.Tensor, theirs: torch.Tensor, atol: float = 1e-5) -> None:
    ours, theirs = (one / one.norm(dim=1, keepdim=True) for one in (ours, theirs))
    torch.testing.assert_close(ours, theirs, atol=atol, rtol=0)


@pytest.mark.parametrize("container", [None, "state_dict_backbone"])
def test_arcface_torch(container: str | None, tmp_path: Path) -> None:
    """backbone.pth, and the checkpoint of a training, whose classifier is another entry."""
    state = public.iresnet(18)
    content = state if container is None else {"epoch": 3, container: {f"module.{n}": v for n, v in state.items()}}
    torch.save(content, tmp_path / "backbone.pth")
    ours, said = embedding("iresnet18", tmp_path / "backbone.pth")
    same_direction(ours, public.run_iresnet(state, image()))
    assert said == []


def test_a_file_of_before_torch_1_6(tmp_path: Path) -> None:
    state = public.iresnet(18)
    torch.save(state, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    assert set(load_file(tmp_path / "old.pth")) == set(state)
    same_direction(embedding("iresnet18", tmp_path / "old.pth")[0], public.run_iresnet(state, image()))
    older = {name: value for name, value in state.items() if not name.endswith("num_batches_tracked")}
    torch.save(older, tmp_path / "older.pth", _use_new_zipfile_serialization=False)
    same_direction(embedding("iresnet18", tmp_path / "older.pth")[0], public.run_iresnet(state, image()))


def test_cvlface_iresnet_of_insightface(tmp_path: Path) -> None:
    state = public.iresnet(18)
    torch.save({f"net.{name}": value for name, value in state.items()}, tmp_path / "model.pt")
    ours, said = embedding("iresnet18", tmp_path / "model.pt")
    same_direction(ours, public.run_iresnet(state, image()))
    assert said == []


@pytest.mark.parametrize("prefix", ["features.module.", "module.features."])
def test_magface(prefix: str, tmp_path: Path) -> None:
    """BGR in [0, 1] and another epsilon. Zeros around the picture are black there and grey here: the border differs."""
    state = public.iresnet(18)
    head = (
        {"fc.weight": torch.zeros(9, 512)}
        if prefix.startswith("features")
        else {"module.fc.weight": torch.zeros(9, 512)}
    )
    content = {"epoch": 2, "state_dict": {f"{prefix}{n}": v for n, v in state.items()} | head}
    torch.save(content, tmp_path / "magface.pth")
    ours, said = embedding("iresnet18", tmp_path / "magface.pth")
    theirs = public.run_iresnet(state, (image()[:, [2, 1, 0]] + 1) / 2, eps=2e-5)
    same_direction(ours, theirs, atol=0.01)
    assert len(said) == 2
    assert "MagFace takes BGR from 0 to 1" in said[0]
    assert said[1].endswith("left over: fc.weight")
    found = translated({f"features.module.{n}": v for n, v in state.items()}).state
    start = {name: found[name] for name in found if name.startswith(("conv1", "bn1"))}
    for name, eps in (("bn1", 1e-5),):
        mine = public.norm(start, name, public.conv(start, "conv1", image()), eps)
        wanted = public.norm(state, "bn1", public.conv(state, "conv1", (image()[:, [2, 1, 0]] + 1) / 2), 2e-5)
        torch.testing.assert_close(mine[:, :, 1:-1, 1:-1], wanted[:, :, 1:-1, 1:-1], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("kind", "name"), [("plain", "ir50_curricular"), ("se", "irse50")])
def test_curricularface(kind: str, name: str, tmp_path: Path) -> None:
    state = public.ir(50, kind)
    torch.save(state, tmp_path / "CurricularFace_Backbone.pth")
    ours, said = embedding(name, tmp_path / "CurricularFace_Backbone.pth")
    same_direction(ours, public.run_ir(state, image(), kind))
    assert said == []


def test_adaface(tmp_path: Path) -> None:
    """A checkpoint of Lightning: the backbone below model., the classifier beside it; BGR."""
    state = public.ir(18, "middle")
    content = {f"model.{name}": value for name, value in state.items()}
    content |= {"head.kernel": torch.zeros(512, 9), "head.t": torch.zeros(1), "head.batch_mean": torch.zeros(1)}
    torch.save({"epoch": 5, "state_dict": content}, tmp_path / "adaface_ir18.ckpt")
    ours, said = embedding("ir18_adaface", tmp_path / "adaface_ir18.ckpt")
    same_direction(ours, public.run_ir(state, image()[:, [2, 1, 0]], "middle"))
    assert "AdaFace takes BGR" in said[0]
    assert said[1].endswith("left over: head.kernel, head.t, head.batch_mean")


def test_cvlface_iresnet(tmp_path: Path) -> None:
    state = public.ir(18, "middle")
    torch.save({f"net.{name}": value for name, value in state.items()}, tmp_path / "model.pt")
    ours, said = embedding("ir18_adaface", tmp_path / "model.pt")
    same_direction(ours, public.run_ir(state, image(), "middle"))
    assert "taken as RGB" in said[0]


def unmodified_ir() -> Any:
    """The class of IR and IR-SE networks in facexlib's own file, which is run without the package around it."""
    spec = find_spec("facexlib")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("facexlib is not installed: pip install --no-deps facexlib")
    path = Path(spec.submodule_search_locations[0]) / "recognition" / "arcface_arch.py"
    found = spec_from_file_location("facexlib_arcface", path)
    assert found is not None
    assert found.loader is not None
    module = module_from_spec(found)
    found.loader.exec_module(module)
    return module.Backbone


@pytest.mark.parametrize(("mode", "name"), [("ir", "ir50_curricular"), ("ir_se", "irse50")])
def test_a_network_of_a_public_file_says_the_same_after_its_weights_were_translated(
    mode: str, name: str, tmp_path: Path
) -> None:
    """facexlib has InsightFace_Pytorch's networks, whose names and arithmetic CurricularFace took over."""
    torch.manual_seed(0)
    network = unmodified_ir()(50, 0.4, mode)
    for module in network.modules():
        if isinstance(module, (torch.nn.BatchNorm1d, torch.nn.BatchNorm2d)):
            for value in (module.weight, module.running_var):
                torch.nn.init.uniform_(value, 0.5, 1.5)
            for value in (module.bias, module.running_mean):
                torch.nn.init.normal_(value, 0, 0.1)
    torch.save(network.state_dict(), tmp_path / "model.pth")
    ours, said = embedding(name, tmp_path / "model.pth")
    assert said == []
    with torch.inference_mode():
        same_direction(ours, network.eval()(image()))


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: public.ir(100, "plain"), "ir101_curricular"),
        (lambda: public.ir(100, "se"), "irse101"),
        (lambda: public.ir(34, "middle"), "ir34_adaface"),
        (lambda: public.ir(100, "middle"), "ir101_adaface"),
        (lambda: public.iresnet(34), "iresnet34"),
        (lambda: public.iresnet(50), "iresnet50"),
        (lambda: public.iresnet(100), "iresnet100"),
    ],
)
def test_every_depth_has_the_names_and_shapes(make: Callable[[], public.State], name: str) -> None:
    found = translated(make())
    assert found.backbone == name
    assert name in BACKBONES
    assert found.left_over == ()
    with torch.device("meta"):
        wanted = backbone(name, 512).state_dict()
    assert {n: v.shape for n, v in found.state.items()} == {n: v.shape for n, v in wanted.items()}


def test_another_backbone_is_told_by_name(tmp_path: Path) -> None:
    torch.save(public.ir(18, "middle"), tmp_path / "a.pt")
    with pytest.raises(ConfigError, match="weights of ir18_adaface: --set backbone=ir18_adaface"):
        load_initial_weights(backbone("iresnet18", 512), str(tmp_path / "a.pt"))


def test_facekits_own_names_stay() -> None:
    """Of networks that halve the picture, and of two starts."""
    from facekit_maskdul import TwoStreamIResNet

    for network in (
        backbone("tiny", 8),
        TwoStreamIResNet((1, 2, 1, 1), 4, widths=(2, 2, 2, 2)),
        backbone("mobilefacenet", 8),
    ):
        state = network.state_dict()
        assert set(translated(state).state) == set(state)
        assert translated(state).left_over == ()
