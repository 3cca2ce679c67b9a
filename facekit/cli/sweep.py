"""``facekit sweep``."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import click

from facekit.cli.clean import settings_options, take_settings
from facekit.cli.named_json import to_json
from facekit.cli.printing import echo

__all__ = ["SweepRow", "command"]


class SweepRow(NamedTuple):
    """What one threshold would keep.

    Attributes
    ----------
    threshold : float
        Of Intra-ID.
    images : int
        Kept.
    identities : int
        With at least one image.
    precision, recall, f1 : float or None
        Of dropping, against --truth; null without.
    """

    threshold: float
    images: int
    identities: int
    precision: float
    recall: float
    f1: float


@click.command("sweep", short_help="Show what every threshold of Intra-ID would keep.")
@click.argument("source", metavar="SRC")
@click.argument("features", metavar="FEATURES")
@settings_options
@click.option("--thresholds", default="0.05:0.50:0.05", show_default=True, metavar="FIRST:LAST:STEP",
              help="The thresholds of Intra-ID to try.")  # fmt: skip
@click.option("--truth", metavar="CSV", help="Columns key and wrong: adds precision, recall and F1 of dropping.")
@click.option("--threads", type=int, default=0, metavar="N", help="[default: all processors]")
@click.option("--json", "as_json", is_flag=True, help="Print the rows as JSON.")
def command(source: str, features: str, thresholds: str, truth: str | None, threads: int, as_json: bool,
            **given: Any) -> None:  # fmt: skip
    """Show what every threshold of Intra-ID would keep, from one pass over the vectors.

    \b
    Example:
      facekit sweep ms1m ms1m-features
    """
    from facekit.jobs.clean.sweep import SweepConfig, sweep

    settings = take_settings(given, threads)
    found = sweep(SweepConfig(source, features, settings, truth, parse_thresholds(thresholds)))
    rows = [SweepRow(*(value.item() for value in row)) for row in zip(*found)]
    if as_json:
        echo(to_json(rows))
        return
    echo("threshold      images  identities" + ("  precision  recall      F1" if truth else ""))
    for row in rows:
        line = f"{row.threshold:9.2f}{row.images:>12,}{row.identities:>12,}"
        echo(line + (f"{row.precision:11.3f}{row.recall:8.3f}{row.f1:8.3f}" if truth else ""))


def parse_thresholds(text: str) -> tuple[float, ...]:
    """First, last and step of the thresholds.

    >>> parse_thresholds("0.1:0.3:0.1")
    (0.1, 0.2, 0.3)
    """
    from facekit.errors import ConfigError

    try:
        first, last, step = (float(part) for part in text.split(":"))
        count = math.floor((last - first) / step + 1e-9) + 1
        if step <= 0 or not 1 <= count <= 1000:
            raise ValueError
    except (ValueError, ZeroDivisionError, OverflowError):
        raise ConfigError(f"thresholds are {text!r}; write first, last and step, such as 0.05:0.50:0.05") from None
    return tuple(round(first + step * at, 6) for at in range(count))
