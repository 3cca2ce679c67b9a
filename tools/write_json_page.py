"""Write docs/json.md from the docstrings of the summaries: ``python tools/write_json_page.py [FILE]``."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

from facekit.run.described import described_fields

PAGE = Path(__file__).parents[1] / "docs" / "json.md"
HEAD = """# What --json prints

Made from the docstrings by `make docs`; a test holds the two together. Each command prints one object with these
fields, in this order; a number that is not known or not finite is null. With `--part` the object is that of a part,
below. Progress and errors go to stderr, as JSON lines with `--log-json` ([commands](commands.md)).
"""
SUMMARIES = {
    "mask": "facekit.jobs.mask.summary:MaskSummary",
    "mask X.bin Y.bin; a list of them of several": "facekit.jobs.mask.bins:MaskBinsSummary",
    "mask --photos": "facekit.jobs.photos.summary:PhotosSummary",
    "synth": "facekit.jobs.synth.job:SynthSummary",
    "pack": "facekit.jobs.pack.job:PackSummary",
    "embed": "facekit.jobs.embed.summary:EmbedSummary",
    "clean, apply": "facekit.jobs.clean.config:CleanSummary",
    "lists export, merge, show": "facekit.jobs.lists.config:ListSummary",
    "lists diff": "facekit.jobs.lists.compare:ListDiff",
    "diff": "facekit.jobs.clean.compare:DecisionDiff",
    "explain": "facekit.jobs.clean.compare:Explanation",
    "eval": "facekit.jobs.evaluate.job:EvalSummary",
    "passport": "facekit.jobs.passport.config:PassportSummary",
    "passport --check": "facekit.jobs.passport.config:CheckSummary",
    "overlap": "facekit.jobs.overlap.config:OverlapSummary",
    "convert": "facekit.jobs.packs.convert:ConvertSummary",
    "check": "facekit.jobs.packs.check:CheckSummary",
    "inspect": "facekit.jobs.packs.inspect:InspectSummary",
    "unpack": "facekit.jobs.packs.unpack:UnpackSummary",
    "merge": "facekit.jobs.packs.merge:MergeSummary",
    "split": "facekit.jobs.packs.split:SplitSummary",
    "cost": "facekit.jobs.cost.job:CostSummary",
    "reindex": "facekit.jobs.packs.reindex:ReindexSummary",
    "bins make, draw, show": "facekit.jobs.packs.bins_summary:BinsSummary",
    "benchmark make": "facekit.jobs.benchmark.job:MakeSummary",
    "benchmark run": "facekit.jobs.benchmark.run:RunSummary",
    "benchmark score-cleaning": "facekit.jobs.benchmark.cleaning:CleaningSummary",
    "selflearn": "facekit.jobs.selflearn.job:SelfLearnSummary",
    "train": "facekit.train.loop:Run",
    "export": "facekit.train.export:Exported",
    "doctor": "facekit.jobs.doctor.job:Examination",
}
LISTS = {
    "sweep": "facekit.cli.sweep:SweepRow",
    "plugins": "facekit.cli.plugins:PluginFacts",
    "textures list": "facekit.jobs.textures.job:TypeLine",
    "textures check": "facekit.jobs.textures.job:Finding",
}
"""Commands that print a list of objects."""
PARTS = {
    "A set of faces (overlap)": "facekit.jobs.overlap.config:SideSummary",
    "A score (eval, benchmark run)": "facekit.jobs.evaluate.comparisons:Score",
    "A point of a score (eval)": "facekit.evaluate.operating_points:OperatingPoint",
    "An interval (eval)": "facekit.evaluate.bootstrap:Interval",
    "A point of open_set (eval)": "facekit.evaluate.open_set:OpenSetPoint",
    "A score of a cleaner (benchmark score-cleaning)": "facekit.evaluate.cleaning:CleaningScore",
    "One size (cost)": "facekit.jobs.cost.job:Cost",
    "One step (cost)": "facekit.jobs.cost.job:Step",
    "The best network (train)": "facekit.train.best:BestModel",
    "The machine (doctor)": "facekit.jobs.doctor.job:Machine",
    "One library (doctor)": "facekit.jobs.doctor.probes:Probe",
    "One extra (doctor)": "facekit.jobs.doctor.extras:Extra",
    "The kernels (doctor)": "facekit.jobs.doctor.caches:KernelCache",
    "One round (selflearn)": "facekit.jobs.selflearn.round:Round",
    "What --dry-run tells": "facekit.output.dry_run:Plan",
    "A part": "facekit.run.choice:PartDone",
}
SAID = {
    "destination": "What was written.",
    "source": "What was read.",
    "path": "What was written or looked into.",
    "ledger": "The table with a row for each picture.",
    "layout": "insightface or flat.",
    "seconds": "Wall time.",
    "images_per_second": "Over the whole command.",
    "images": "Pictures.",
    "pictures": "Pictures.",
    "identities": "Identities.",
    "records": "Records of the file.",
    "bytes": "Size of what was written or looked into.",
    "source_images": "Pictures that were read.",
    "num_classes": "Labels, as a training config has them.",
    "dimensions": "Of a vector.",
    "reasons": "Images by the reason of their decision.",
    "reason": "Why, in one word.",
    "sheet": "The contact sheet.",
    "table": "The table of identities.",
    "snippet": "Lines for a training config.",
    "list": "The list of the files.",
    "index": "The index that was written.",
    "sidecar": "The index as an array, beside it.",
    "page": "The HTML page.",
    "repaired": "The pack that was saved.",
    "deep": "Whether every picture was decoded.",
    "masked_share": "Share of masked pictures.",
    "unpacked": "The folder of pictures.",
    "dropped": "Pictures left out, by source.",
    "shared": "Identities that several packs share.",
    "core_gigaflops": "Measured speed of one core.",
    "assumptions": "What the prediction takes for granted, in sentences.",
    "costs": "One object for each size, below.",
    "rounds": "One object for each round, below.",
    "scores": "One object for each comparison, below.",
    "points": "One object for each FAR, below.",
    "accuracy_interval": "95% interval of the accuracy, below.",
    "key": "Of the picture.",
    "action": "keep, move, drop or review.",
    "old_label": "In the source.",
    "new_label": "In the output; -1: dropped.",
    "similarity": "Cosine with the centre that decided.",
    "threshold": "What a similarity is compared with.",
    "nearest": "Old label of the identity whose centre decided.",
    "evidence": "In words.",
    "identity": "The row of its identity.",
    "text": "All of it in words.",
    "true_accepts": "Pairs of one person above the threshold.",
    "false_accepts": "Pairs of two above it.",
    "steps": "One object for each step, below.",
    "cpu_hours": "Of one core.",
    "gpu_hours": "Of one graphics card.",
    "name": "Of the list or comparison.",
    "tar": "True accept rate.",
    "low": "2.5th percentile of the resampled scores.",
    "high": "97.5th percentile of the resampled scores.",
    "step": "Name of the command.",
    "part": "The part: number and of.",
    "number": "From 1.",
}
"""Fields whose docstrings leave it to their names, or mean the same everywhere."""


def page() -> str:
    """The whole page."""
    commands = [f"## facekit {name}\n\n{table_of(place)}" for name, place in SUMMARIES.items()]
    commands += [f"## facekit {name}\n\nA list of such objects.\n\n{table_of(place)}" for name, place in LISTS.items()]
    parts = [f"### {name}\n\n{table_of(place)}" for name, place in PARTS.items()]
    return "\n".join([HEAD, *commands, "## Objects inside\n", *parts])


def class_at(place: str) -> type:
    """The class that MODULE:NAME names."""
    module, _, name = place.partition(":")
    found: type = getattr(import_module(module), name)
    return found


def table_of(place: str) -> str:
    """A row for each field."""
    rows = ["| field | kind | meaning |", "|---|---|---|"]
    for one in described_fields(class_at(place)):
        meaning = one.meaning or SAID.get(one.name, "")
        rows.append("| `{}` | {} | {} |".format(one.name, *(text.replace("``", "`").replace("|", "or")
                                                          for text in (one.kind, meaning))))  # fmt: skip
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    (Path(sys.argv[1]) if len(sys.argv) > 1 else PAGE).write_text(page(), "utf-8")
