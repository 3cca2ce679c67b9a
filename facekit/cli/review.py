"""``facekit review``."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any

import click

from facekit.cli.printing import echo

__all__ = ["command", "has_display"]


@click.command("review", short_help="Look at decisions in a browser and change them.")
@click.argument("folder", metavar="DIR")
@click.option("--source", metavar="SRC", help="The pack that was cleaned, if it lies elsewhere now.")
@click.option(
    "--features",
    metavar="F",
    help="Vectors that DIR was made from: m then offers the identities nearest to a face.  [default: DIR.features]",
)
@click.option("--overrides", metavar="FILE", help="Where to save.  [default: DIR/overrides.json]")
@click.option("--port", type=click.IntRange(0, 65535), default=0, metavar="N", help="[default: a free one]")
@click.option("--browse/--no-browse", default=True, show_default=True, help="Open the page in a browser.")
def command(browse: bool, **given: Any) -> None:
    """Look at decisions in a browser and change them.

    DIR is what facekit clean wrote. The page is served to this machine only. What is saved there is an overrides file,
    which facekit clean and facekit apply take. Keys: j and k go on and back, y keeps a face, d drops it, m moves it to
    an identity that is chosen by its pictures, s splits and g merges identities, u undoes, Ctrl+S saves.

    \b
    Example:
      facekit review ms1m-clean
    """
    from facekit.jobs.clean.report import ReviewConfig, open_review

    with open_review(ReviewConfig(**given)) as server:
        address = f"http://127.0.0.1:{server.server_address[1]}/"
        echo(f"{address}  (Ctrl-C ends it)")
        if browse and has_display():
            click.launch(address)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            echo("", err=True)


def has_display(environment: Mapping[str, str] = os.environ, platform: str = sys.platform) -> bool:
    """Whether a browser could open a window; without one, what opens it would only complain.

    Parameters
    ----------
    environment : mapping from str to str
    platform : str
        As ``sys.platform``.
    """
    return not platform.startswith("linux") or any(environment.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))
