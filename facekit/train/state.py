"""Everything that changes while a network is trained, and how one step changes it."""

from __future__ import annotations

import contextlib
import copy
import os
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from facekit.errors import ConfigError
from facekit.train.classifier import Classifier
from facekit.train.model import describe
from facekit.train.optimizer import EMA, open_optimizer, set_rate
from facekit.train.plugin import Batch, PackFacts, Plugin
from facekit.train.processes import average_gradients, rank_of
from facekit.train.recipe import Settings
from facekit.train.sharded import all_maximum, world_size

__all__ = ["State", "device_of"]

PRECISIONS = {"float32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def device_of(name: str) -> torch.device:
    """The device that a setting names.

    Parameters
    ----------
    name : {"auto", "cpu", "cuda"}
        ``auto`` is a graphics card where there is one; with several processes each its own.

    Raises
    ------
    ConfigError
        torch sees no graphics card.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError("device cuda: torch sees no graphics card here")
    if name == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    torch.cuda.set_device(device)
    return device


class State:
    """A network in training.

    Parameters
    ----------
    name : str
        Of the plugin.
    plugin : Plugin
    settings : Settings
    facts : PackFacts
    device : torch.device

    Attributes
    ----------
    network, head, classifier : nn.Module
    optimizer : RowSGD
    ema : EMA or None
    step : int
        Steps of the optimizer so far.
    position : int
        Where that is in the data: the steps it would have taken with as many processes as there are now.
    images_per_step : int
        Over all processes.
    """

    def __init__(self, name: str, plugin: Plugin, settings: Settings, facts: PackFacts, device: torch.device) -> None:
        config = settings.train
        self.plugin, self.settings, self.device, self.seed = plugin, settings, device, config.seed
        self.step, self.position = 0, 0
        self.images_per_step = config.batch * config.accumulate * world_size()
        self.description = describe(name, settings, facts)
        torch.manual_seed(config.seed)
        layout = torch.channels_last if config.channels_last else torch.contiguous_format
        self.network = plugin.build_network(settings.plugin, facts).to(device)
        self.network.to(memory_format=layout)  # type: ignore[call-overload]  # torch takes it, its annotations lack it
        self.head = plugin.build_head(settings.plugin, facts).to(device)
        self.classifier = Classifier(
            len(facts.class_counts),
            settings.plugin.dimensions,
            config.classifier == "sharded",
            config.sample_rate,
            config.label_smoothing,
        ).to(device)
        self.optimizer = open_optimizer((self.network, self.head, self.classifier), config)
        self.scaler = torch.amp.GradScaler(device.type, enabled=config.precision == "fp16")
        self.ema = EMA(self.network, config.ema) if config.ema else None
        self._layout = layout
        torch.manual_seed(config.seed + 7919 * rank_of() + 1)

    def wrap(self) -> None:
        """Make ready to train, after all weights are loaded."""
        wrapped: Any = self.network
        if world_size() > 1:
            devices = [self.device.index] if self.device.type == "cuda" else None
            wrapped = DistributedDataParallel(wrapped, device_ids=devices, gradient_as_bucket_view=True)
        self._distributed = wrapped
        self._wrapped: Any = torch.compile(wrapped) if self.settings.train.compile else wrapped
        for module in (self.network, self.head, self.classifier):
            module.train()

    def train_step(self, batches: Iterator[Batch], rate: float) -> Mapping[str, torch.Tensor]:
        """One step of the optimizer.

        Parameters
        ----------
        batches : iterator of Batch
            ``accumulate`` of them are taken.
        rate : float

        Returns
        -------
        measures : dict from str to () tensor
            The loss among them: means over the batches.
        """
        config, total = self.settings.train, dict[str, torch.Tensor]()
        before = self._buffers() if self.scaler.is_enabled() else {}
        set_rate(self.optimizer, rate)
        self.optimizer.zero_grad()
        for number in range(config.accumulate):
            alone = world_size() > 1 and number + 1 < config.accumulate
            with self._distributed.no_sync() if alone else contextlib.nullcontext():
                for name, value in self._forward_and_backward(next(batches)).items():
                    total[name] = total.get(name, 0) + value.detach() / config.accumulate
        self._apply()
        self._restore_buffers(before)
        self.step, self.position = self.step + 1, self.position + 1
        if self.ema is not None:
            self.ema.update(self.network)
        return total

    def _forward_and_backward(self, batch: Batch) -> dict[str, torch.Tensor]:
        config, device = self.settings.train, self.device
        image = batch.image.to(device, non_blocking=True, memory_format=self._layout)
        here = Batch(image, batch.label.to(device, non_blocking=True), batch.masked.to(device, non_blocking=True))
        half = config.precision != "float32"
        with torch.autocast(device.type, PRECISIONS[config.precision] if half else None, enabled=half):
            done = self.plugin.training_step(self.settings.plugin, self._wrapped, self.head, self.classifier, here)
        self.scaler.scale(done.loss / config.accumulate).backward()
        return {"loss": done.loss.detach(), **done.measures}

    def _apply(self) -> None:
        config = self.settings.train
        average_gradients(self.head.parameters())
        if not self.classifier.sharded:
            average_gradients(self.classifier.parameters())
        elif self.scaler.is_enabled():
            self._share_overflow()
        if config.clip:
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.network.parameters(), config.clip)
        self.scaler.step(self.optimizer)
        self.scaler.update()

    def _share_overflow(self) -> None:
        """Where the shard of one process overflowed, all must skip the step."""
        gradient = self.classifier.weight.grad
        if gradient is not None:
            values = gradient._values() if gradient.is_sparse else gradient
            bad = all_maximum(values.sum().isfinite().logical_not().float())
            values += torch.where(bad > 0, torch.nan, 0.0)

    def _buffers(self) -> dict[str, torch.Tensor]:
        """Copies of the floating buffers: statistics of BatchNorm, moving averages of the head."""
        return {name: buffer.clone() for name, buffer in self._named_buffers()}

    def _named_buffers(self) -> Iterator[tuple[str, torch.Tensor]]:
        for kind, module in (("network", self.network), ("head", self.head)):
            for name, buffer in module.named_buffers():
                if buffer.is_floating_point():
                    yield f"{kind}.{name}", buffer

    @torch.no_grad()
    def _restore_buffers(self, before: Mapping[str, torch.Tensor]) -> None:
        """Take back what a forward pass that overflowed left in buffers: the scaler skips its step, and they are none.

        Nothing here waits for the device.
        """
        for name, buffer in self._named_buffers():
            if name in before:
                buffer.copy_(torch.where(buffer.isfinite().all(), buffer, before[name]))

    @torch.no_grad()
    def nonfinite(self) -> list[str]:
        """Names of the parameters and buffers, the averaged ones included, that hold what is no finite number.

        Over all processes: empty on every one, or on none. Waits for the device.
        """
        named = dict(self._named_buffers()) | {"classifier.weight": self.classifier.weight}
        for kind, module in (("network", self.network), ("head", self.head)):
            named |= {f"{kind}.{name}": parameter for name, parameter in module.named_parameters()}
        averaged = {} if self.ema is None else self.ema.weights
        named |= {f"ema.{name}": value for name, value in averaged.items() if value.is_floating_point()}
        moving = [
            value for state in self.optimizer.state.values() for value in state.values() if torch.is_tensor(value)
        ]
        # One entry for all momentum: a process without classes has none of its rows'.
        named["momentum"] = torch.stack(
            [self.classifier.weight.new_zeros(()), *(m.abs().amax().float() for m in moving if m.numel())]
        )
        bad = torch.stack([value.isfinite().all().logical_not().float() for value in named.values()])
        return [name for name, found in zip(named, all_maximum(bad).tolist(), strict=True) if found]

    @contextlib.contextmanager
    def deployed(self) -> Iterator[nn.Module]:
        """The network as it would be exported, in evaluation mode: with the averaged weights, if there are any."""
        if self.ema is None:
            network = self.network
        else:
            network = copy.deepcopy(self.network)
            network.load_state_dict(self.ema.weights)
        network.eval()
        try:
            yield network
        finally:
            self.network.train()

    def model(self) -> dict[str, Any]:
        """What ``model.pt`` holds."""
        weights = self.ema.weights if self.ema else self.network.state_dict()
        return self.description | {"network": {name: value.detach().cpu() for name, value in weights.items()}}
