"""Put what ``facekit cost --json`` printed into README.md: ``python tools/write_cost_table.py cost.json``."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

README = Path(__file__).parents[1] / "README.md"
HEAD = "| pictures | mask, CPU hours | embed, GPU hours | clean, CPU hours | memory, GB | disk at most, GB |"


def main() -> None:
    """Replace the rows of the table in the section that has it."""
    text = README.read_text("utf-8")
    before, heading, after = text.partition("\n## What it costs\n")
    costs = json.loads(Path(sys.argv[1]).read_text("utf-8"))["costs"]
    table = "".join(f"{line}\n" for line in (HEAD, "|---" * 6 + "|", *map(row, costs)))
    after = re.sub(r"^(\|.*\|\n)+", table, after, count=1, flags=re.M)
    README.write_text(before + heading + after, "utf-8")


def row(cost: dict[str, Any]) -> str:
    """One size: each figure to two digits that count."""
    steps = {step["step"]: step for step in cost["steps"]}
    memory = max(step["memory_bytes"] for step in steps.values()) / 1e9
    disk = max(step["peak_disk_bytes"] for step in steps.values()) / 1e9
    hours = (steps["mask"]["cpu_hours"], steps["embed"]["gpu_hours"], steps["clean"]["cpu_hours"])
    cells = [f"{cost['images'] / 1e6:g} million", *map(short, (*hours, memory, disk))]
    return f"| {' | '.join(cells)} |"


def short(value: float) -> str:
    """Two digits that count, without an exponent."""
    return f"{float(f'{value:.2g}'):,.12g}"


if __name__ == "__main__":
    main()
