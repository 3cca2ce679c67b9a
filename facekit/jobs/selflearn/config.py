"""What a self-learning run is asked to do."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from facekit.clean.settings import CleanSettings
from facekit.errors import ConfigError
from facekit.jobs.inputs.checks import check_choice
from facekit.jobs.mask.config import PRESETS

__all__ = ["ALLOWED_LOSS", "SelfLearnConfig"]

ALLOWED_LOSS = 0.3
"""Planted noise of a sixth of the images makes cleaning drop a tenth to a fifth; thresholds that are wrong take more
than half."""


@dataclass(frozen=True)
class SelfLearnConfig:
    """Settings of ``facekit selflearn``.

    Attributes
    ----------
    source : str
        The initial pack.
    destination : str
        Folder of the rounds.
    plugin : str
        A name that ``facekit plugins`` lists.
    rounds : int
        Those that are finished already are shown even where they are more.
    init : str, optional
        Model 0: a run's folder or ``model.pt`` of the plugin, which round 1 also begins from; or an ``.onnx``, which
        only embeds.
    init_pack : str, optional
        Train model 0 on this pack. Without both, model 0 is trained on the initial pack as it is.
    mask : float
        Share of masked pictures that each round's pack is given; 0: none, or that of ``mask_preset``.
    mask_preset : str, optional
        ``bcl`` or ``maskdul``: types, mode and share of a published recipe.
    recipe : str, optional
        A name of the plugin's, or a TOML file.
    changes : tuple of str
        ``key=value`` of the plugin or the loop.
    settings : CleanSettings
        Of the cleaning of each round.
    pairs : tuple of str
        Lists that each model is scored on: ``.bin``, or ``.csv`` over the keys of the initial pack.
    truth : str, optional
        Who is really in the pictures: ``.parquet`` (as ``facekit synth`` writes) or ``.csv``, with the columns key and
        identity or true_person; without it no purity is known.
    allow_loss : float
        Largest share of images that a round may drop, and of identities that it may merge; 1: anything.
    """

    source: str
    destination: str
    plugin: str = "bcl"
    rounds: int = 3
    init: str | None = None
    init_pack: str | None = None
    mask: float = 0.0
    mask_preset: str | None = None
    recipe: str | None = None
    changes: tuple[str, ...] = ()
    settings: CleanSettings = field(default_factory=CleanSettings)
    pairs: tuple[str, ...] = ()
    truth: str | None = None
    allow_loss: float = ALLOWED_LOSS

    def __post_init__(self) -> None:
        if self.rounds < 1:
            raise ConfigError(f"rounds is {self.rounds}; it must be at least 1")
        if self.init is not None and self.init_pack is not None:
            raise ConfigError("--init and --init-pack are two ways to a first model; give one of them")
        if not 0 <= self.mask < 1:
            raise ConfigError(f"mask is {self.mask}; it must be a share from 0 to below 1")
        if self.mask_preset is not None:
            check_choice("mask_preset", self.mask_preset, tuple(PRESETS))
        if not 0 <= self.allow_loss <= 1:
            raise ConfigError(f"allow_loss is {self.allow_loss}; it must be a share from 0 to 1")
        _refuse_one_name_twice(self.pairs)

    @property
    def masked_share(self) -> float:
        """Share of masked pictures: what was given, or else the preset's."""
        if self.mask or self.mask_preset is None:
            return self.mask
        return float(PRESETS[self.mask_preset]["ratio"])

    def record(self) -> dict[str, Any]:
        """What decides the models, besides what is read; rounds, lists of pairs, truth, allow_loss may come later."""
        cleaning = asdict(self.settings)
        del cleaning["threads"]
        return {"plugin": self.plugin, "mask": self.masked_share, "mask_preset": self.mask_preset, **cleaning}


def _refuse_one_name_twice(pairs: tuple[str, ...]) -> None:
    """Scores go by the names of the files."""
    seen: dict[str, str] = {}
    for path in pairs:
        other = seen.setdefault(Path(path).stem, path)
        if other is not path:
            raise ConfigError(
                f"--eval {other} and --eval {path} would both be called {Path(path).stem}; rename one of them"
            )
