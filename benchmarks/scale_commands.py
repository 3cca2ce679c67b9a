"""The command lines that scale.py measures, and which of them read what others wrote."""

from __future__ import annotations

from pathlib import Path

STAND_INS = ("embed", "mask", "embed-folder", "mask-folder", "synth", "unpack-named", "benchmark-make", "review",
             "selflearn")  # fmt: skip
PARENTS = ("embed", "mask", "embed-folder", "mask-folder", "synth", "unpack-named", "benchmark-make", "pack-folder",
           "pack-list")  # fmt: skip
ROWS = {"clean-masked": 1 / 0.85, "lists-merge": 2, "lists-diff": 2, "overlap": 1.5}
"""That a command reads for each record, where they are more: mask makes 15% of all, lists are two."""
OF_FILES = {"pack-folder", "pack-list", "unpack-named", "embed-folder", "mask-folder", "clean-folder"}
TRAINING = ("threads=1", "batch=8", "epochs=1", "max_steps=2", "warmup=0", "flip=0", "workers=0")
"""Of a training of two steps."""
NAMES = ("inspect", "check", "convert", "convert-no-hash", "split", "merge", "reindex", "clean-published",
         "clean-robust", "clean-all", "apply-key", "apply-hash", "apply-revert", "apply-some", "diff", "sweep",
         "embed", "mask", "clean-masked", "unpack", "check-deep", "pack-folder", "pack-list", "unpack-named",
         "embed-folder", "mask-folder", "clean-folder", "synth", "passport", "overlap", "lists-export",
         "lists-export-robust", "lists-show", "lists-diff", "lists-merge", "explain",
         "apply-list", "eval-pairs", "eval-gallery", "eval-templates", "bins-draw", "bins-make", "benchmark-make",
         "review", "train", "selflearn")  # fmt: skip


def before(given: dict[str, tuple[list[str], tuple[str, ...]]], name: str) -> list[str]:
    """The commands whose output one reads, and those whose output they read, in their order."""
    return [one for direct in given[name][1] for one in (*before(given, direct), direct)]


def commands(at: Path, count: int) -> dict[str, tuple[list[str], tuple[str, ...]]]:
    """Name of each -> its command line, and the commands whose output it reads."""
    pack, vectors, other = str(at / "pack"), str(at / "vectors.npy"), str(at / "out-clean-robust")
    people = str(at / "people")
    out = {name: str(at / f"out-{name}") for name in NAMES}
    clean, lists = out["clean-published"], [out["lists-export"], out["lists-export-robust"]]
    given: dict[str, tuple[list[str], tuple[str, ...]]] = {
        "inspect": (["inspect", pack], ()),
        "check": (["check", pack], ()),
        "convert": (["convert", pack, out["convert"], "--layout", "flat", "--shuffle"], ()),
        "convert-no-hash": (["convert", pack, out["convert-no-hash"], "--no-hash", "--min-images", "3"], ()),
        "split": (["split", pack, out["split"], "--test", "0.5"], ()),
        "merge": (["merge", f"{out['split']}/train", f"{out['split']}/test", out["merge"]], ("split",)),
        "reindex": (["reindex", pack, "--overwrite", "--sidecar"], ()),
        "clean-published": (["clean", pack, clean, "--features", vectors], ()),
        "clean-robust": (["clean", pack, other, "--features", vectors, "--mode", "robust"], ()),
        "clean-all": (
            ["clean", pack, out["clean-all"], "--features", out["embed"], "--near-duplicates", "--low-quality",
             "--decisions-only", "--allow-loss", "1"],
            ("embed",),
        ),
        "apply-key": (["apply", pack, clean, out["apply-key"]], ("clean-published",)),
        "apply-hash": (["apply", pack, clean, out["apply-hash"], "--match", "hash"], ("clean-published",)),
        "apply-revert": (["apply", pack, clean, out["apply-revert"], "--revert", "all"], ("clean-published",)),
        "apply-some": (
            ["apply", pack, clean, out["apply-some"], "--revert", "inter", "--revert", "union"], ("clean-published",)
        ),
        "diff": (["diff", clean, other], ("clean-published", "clean-robust")),
        "sweep": (["sweep", pack, vectors], ()),
        "embed": ([pack, out["embed"]], ()),
        "mask": ([pack, out["mask"]], ()),
        "clean-masked": (
            ["clean", out["mask"], out["clean-masked"], "--features", str(at / "masked.npy"), "--allow-loss", "1"],
            ("mask",),
        ),
        "check-deep": (["check", pack, "--deep"], ()),
        "pack-folder": (["pack", people, out["pack-folder"], "--workers", "2"], ()),
        "pack-list": (["pack", f"{people}/people.lst", out["pack-list"], "--workers", "2"], ()),
        "unpack-named": ([out["pack-folder"], out["unpack-named"]], ("pack-folder",)),
        "embed-folder": ([people, out["embed-folder"]], ()),
        "mask-folder": ([people, out["mask-folder"]], ()),
        "clean-folder": (["clean", people, out["clean-folder"], "--features", vectors], ()),
        "synth": ([str(count), out["synth"]], ()),
        "passport": (["passport", pack, f"{at}/passport.json", "--sample", "100", "--overwrite"], ()),
        "overlap": (["overlap", pack, f"{out['split']}/train", out["overlap"]], ("split",)),
        "lists-export": (["lists", "export", clean, out["lists-export"], "--overwrite"], ("clean-published",)),
        "lists-export-robust": (
            ["lists", "export", other, out["lists-export-robust"], "--overwrite"], ("clean-robust",)
        ),
        "lists-show": (["lists", "show", out["lists-export"]], ("lists-export",)),
        "lists-diff": (["lists", "diff", *lists], ("lists-export", "lists-export-robust")),
        "lists-merge": (
            ["lists", "merge", *lists, out["lists-merge"], "--vote", "majority", "--overwrite"],
            ("lists-export", "lists-export-robust"),
        ),
        "explain": (["explain", clean, str(count // 2)], ("clean-published",)),
        "eval-pairs": (["eval", out["embed"], "--pairs", str(at / "pairs.csv"), "--pack", pack], ("embed",)),
        "eval-gallery": (
            ["eval", out["embed"], "--gallery", out["embed"], "--probe", f"{at}/probes", "--bootstrap", "100"],
            ("embed",),
        ),
        "eval-templates": (
            ["eval", out["embed"], "--templates", f"{at}/templates.txt", "--pairs", f"{at}/template-pairs.txt",
             "--bootstrap", "100"],
            ("embed",),
        ),
        "unpack": (["unpack", pack, out["unpack"], "--limit", str(min(count, 10**6))], ()),
        "apply-list": (["apply", pack, lists[0], out["apply-list"], "--match", "auto"], ("lists-export",)),
        "bins-draw": (["bins", "draw", pack, f"{at}/drawn.bin", "--overwrite"], ()),
        "bins-make": (["bins", "make", f"{at}/pairs.csv", pack, f"{at}/pairs.bin", "--overwrite"], ()),
        "benchmark-make": ([str(count), out["benchmark-make"]], ()),
        "review": ([clean, vectors], ("clean-published",)),
        "train": (["train", "bcl", pack, out["train"], "--recipe", "bcl-small", *changes(8)], ()),
        "selflearn": ([pack, out["selflearn"]], ()),
    }  # fmt: skip
    return given


def changes(dimensions: int) -> list[str]:
    """The settings of a training of two steps."""
    return [word for change in (*TRAINING, f"dimensions={dimensions}") for word in ("--set", change)]
