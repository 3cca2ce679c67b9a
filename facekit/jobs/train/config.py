"""Settings of ``facekit train``: what is trained, on what, into which folder; the loop's are `LoopConfig`'s."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["TrainConfig"]


@dataclass(frozen=True)
class TrainConfig:
    """What is to be trained, on what, into which folder.

    Attributes
    ----------
    plugin : str
    pack : str
    destination : str
        Folder of the checkpoints, the logs and ``model.pt``.
    recipe : str, optional
        A name of the plugin's, or a TOML file.
    changes : tuple of str
        ``key=value``.
    init : str, optional
        Weights to start from: a run's folder, a checkpoint, or a public backbone, see
        `facekit.train.public_weights`.
    resume : bool
        Go on from the last checkpoint of ``destination``; without one, start.
    pairs : tuple of str
        What is scored during training: verification pairs, as ``.bin`` or as ``.csv`` over the keys of the pack; or a
        pack with a ledger of masked faces, for the scores of ICCV21-MFR.
    logs : tuple of str
        ``csv``, ``tensorboard``, ``wandb``; the CSV file is always there. None given: TensorBoard too, where installed.
    best : str, optional
        A score of ``pairs``, such as "lfw accuracy": the network with its highest value is kept as ``best.pt``.
    mesh_cache : str, optional
        Meshes of this pack, for online masks, as ``facekit mask PACK ... --mesh-cache`` keeps them. What it does not
        have is found, about a millisecond a picture; the pictures are the same.
    """

    plugin: str
    pack: str
    destination: str
    recipe: str | None = None
    changes: tuple[str, ...] = ()
    init: str | None = None
    resume: bool = False
    pairs: tuple[str, ...] = ()
    logs: tuple[str, ...] = ()
    best: str | None = None
    mesh_cache: str | None = None
