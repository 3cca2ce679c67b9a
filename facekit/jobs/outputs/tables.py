"""The small text files beside a pack: ``labels.csv``, ``config.txt``, ``source.lst``."""

from __future__ import annotations

from pathlib import Path

from facekit.jobs.inputs.source import Source

__all__ = ["LABELS", "SOURCE_LIST", "TRAIN_CONFIG", "write_labels", "write_source_list", "write_train_config"]

LABELS, TRAIN_CONFIG, SOURCE_LIST = "labels.csv", "config.txt", "source.lst"


def write_labels(path: Path, table: dict[int, int]) -> None:
    """Write the old-to-new label table as CSV."""
    path.write_text("old_label,new_label\n" + "".join(f"{old},{new}\n" for old, new in sorted(table.items())), "ascii")


def write_train_config(path: Path, classes: int, images: int) -> str:
    """Write the two numbers that arcface_torch takes from its config and never from the pack."""
    text = f"config.num_classes = {classes}\nconfig.num_image = {images}\n"
    path.write_text(text, "ascii")
    return text


def write_source_list(source: Source, path: Path) -> None:
    """What the source keys of a folder of pictures stand for: ``key <tab> label <tab> path`` a line."""
    lines = zip(source.keys.tolist(), source.labels.tolist(), source.files, strict=True)
    path.write_text("".join(f"{key}\t{label}\t{name}\n" for key, label, name in lines), "utf-8", "surrogateescape")
