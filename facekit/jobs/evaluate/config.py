"""What an evaluation is asked to do."""

from __future__ import annotations

from dataclasses import dataclass

from facekit.errors import ConfigError, none_of
from facekit.evaluate import AGGREGATIONS
from facekit.jobs.inputs.checks import check_at_least, check_choice, check_seed
from facekit.jobs.inputs.model import ModelChoice
from facekit.masks.catalogue import TYPES
from facekit.run.choice import LOCAL, ExecutorChoice

__all__ = ["EvalConfig"]

SIDES = ("second", "both")
FOLDS_BY = ("pair", "identity")


@dataclass(frozen=True)
class EvalConfig:
    """Settings of ``facekit eval``.

    Attributes
    ----------
    subject : str
        A folder of vectors that ``facekit embed`` wrote, or a model.
    model : ModelChoice
        How ``subject`` is used, if it is a model.
    pairs : str, optional
        Pairs to verify: a ``.bin``, or a ``.csv`` with the columns key_a, key_b, same over the pictures of ``pack``
        or of the folder of vectors.
    gallery, probe : str, optional
        Two packs, or two folders of vectors: verification over all pairs, and identification. Or TinyFace's two
        ``.mat``, whose pictures ``pack`` is a folder of, with its ``Gallery_Distractor``.
    related : bool
        The probes were made from the gallery's photographs: those of one source are not compared.
    pack : str, optional
        Pictures that the keys of pairs, or the masked protocol, mean.
    groups : str, optional
        A ``.csv`` or ``.parquet`` with a column ``key`` and one or more columns that name groups.
    wear : str, optional
        Mask type to be worn by the second of each pair (or the probes), or by both (also the gallery).
    side : str
        ``second`` or ``both``.
    blur : float
        Standard deviation of a Gaussian blur in pixels, of all pictures.
    fars : tuple of float
        None given: the powers of ten that can be measured.
    folds : int
    folds_by : str
        ``pair``: runs of pairs, as on LFW; ``identity``: nobody who is in a fold is in what decides it.
    bootstrap : int
        Replicates of the 95% intervals, in which people are drawn again; 0: no intervals.
    ranks : tuple of int
        Of identification.
    fpirs : tuple of float
        Of an open set. None given: 0.01 and 0.1, where there are probes enough without a mate.
    templates : str, optional
        IJB's list of pictures: name, template, medium. Pairs, gallery and probes are then lists of templates.
    aggregate : str
        ``mean``: pictures of a template count alike; ``norm``: as much as their vectors are long.
    seed : int
        Of worn masks, and of the bootstrap.
    plots : str, optional
        Folder for the pictures.
    features : str, optional
        Folder of vectors into which ``pack`` is embedded first; one that this model made of it is taken as it is.
    workers : int
        Processes that embed into ``features``.
    executor : ExecutorChoice
        Where they are, and which part of the shards is embedded; no score depends on it.
    overwrite : bool
        Replace pictures that were drawn before.
    """

    subject: str
    model: ModelChoice
    pairs: str | None = None
    gallery: str | None = None
    probe: str | None = None
    related: bool = False
    pack: str | None = None
    groups: str | None = None
    wear: str | None = None
    side: str = "second"
    blur: float = 0.0
    fars: tuple[float, ...] = ()
    folds: int = 10
    folds_by: str = "pair"
    bootstrap: int = 1000
    ranks: tuple[int, ...] = (1, 5)
    fpirs: tuple[float, ...] = ()
    templates: str | None = None
    aggregate: str = "mean"
    seed: int = 0
    plots: str | None = None
    features: str | None = None
    workers: int = 1
    executor: ExecutorChoice = LOCAL
    overwrite: bool = False

    def __post_init__(self) -> None:
        if (self.gallery is None) != (self.probe is None):
            raise ConfigError("--gallery and --probe belong together; give both")
        if self.pairs is not None and self.gallery is not None:
            raise ConfigError("--pairs and --gallery are two evaluations; give one of them")
        if self.wear is not None and self.wear not in TYPES:
            raise none_of("wear", self.wear, TYPES)
        if self.wear is not None and self.pairs is None and self.gallery is None:
            raise ConfigError("--wear masks pairs or probes; give --pairs, or --gallery and --probe")
        if self.side not in SIDES:
            raise none_of("side", self.side, SIDES)
        self._check_shared()
        if not 0 <= self.blur < 100:
            raise ConfigError(f"blur is {self.blur}; it must be a number of pixels from 0 to 100")
        if any(not 0 < far <= 1 for far in self.fars):
            raise ConfigError(f"fars are {', '.join(map(str, self.fars))}; each must be above 0 and at most 1")
        check_at_least("folds", self.folds, 2)
        check_seed(self.seed)
        check_choice("folds_by", self.folds_by, FOLDS_BY)
        check_choice("aggregate", self.aggregate, AGGREGATIONS)
        check_at_least("bootstrap", self.bootstrap, 0)
        if not self.ranks or min(self.ranks) < 1:
            raise ConfigError(f"ranks are {', '.join(map(str, self.ranks))}; each must be 1 or more")
        if any(not 0 < fpir <= 1 for fpir in self.fpirs):
            raise ConfigError(f"fpirs are {', '.join(map(str, self.fpirs))}; each must be above 0 and at most 1")
        if self.templates is not None and self.pairs is None and self.gallery is None:
            raise ConfigError("--templates needs --pairs, or --gallery and --probe: lists of templates")
        if self.templates is not None and (self.groups or self.wear):
            raise ConfigError("--groups and --wear go by picture, and --templates compares several at once")
        if self.groups is not None and self.gallery is not None:
            raise ConfigError(
                "--groups is for pairs by key and for one pack; a gallery and probes have keys of their own"
            )

    def _check_shared(self) -> None:
        """What is shared is the embedding of one pack as it is, into a folder of vectors."""
        if self.features is None:
            if self.workers > 1 or self.executor.is_shared:
                raise ConfigError(
                    "--workers, --engine and --part share what the network does, and its vectors need a place: give "
                    "--features DIR with --pack, or share facekit embed and give eval the folder that it writes"
                )
            return
        if self.pack is None or (self.pairs or "").endswith(".bin"):
            raise ConfigError("--features is where the pictures of a --pack are embedded: give a pack, or leave it out")
        if self.wear or self.blur:
            raise ConfigError("--wear and --blur change pictures, and --features keeps them as they are: leave it out")
