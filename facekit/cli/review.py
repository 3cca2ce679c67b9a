"""``facekit review``."""

from __future__ import annotations

from typing import Any

import click

from facekit.cli.printing import echo

__all__ = ["command"]


@click.command("review", short_help="Look at decisions in a browser and change them.")
@click.argument("folder", metavar="DIR")
@click.option("--source", metavar="SRC", help="The pack that was cleaned, if it lies elsewhere now.")
@click.option("--overrides", metavar="FILE", help="Where to save.  [default: DIR/overrides.json]")
@click.option("--port", type=click.IntRange(0, 65535), default=0, metavar="N", help="[default: a free one]")
@click.option("--browse/--no-browse", default=True, show_default=True, help="Open the page in a browser.")
def command(browse: bool, **given: Any) -> None:
    """Look at decisions in a browser and change them.

    DIR is what facekit clean wrote. The page is served to this machine only. What is saved there is an overrides file,
    which facekit clean and facekit apply take.

    \b
    Example:
      facekit review ms1m-clean
    """
    from facekit.jobs.clean.report import ReviewConfig, open_review

    with open_review(ReviewConfig(**given)) as server:
        address = f"http://127.0.0.1:{server.server_address[1]}/"
        echo(f"{address}  (Ctrl-C ends it)")
        if browse:
            click.launch(address)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            echo("", err=True)
