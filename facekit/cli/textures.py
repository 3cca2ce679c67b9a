"""``facekit textures``."""

from __future__ import annotations

import sys

import click

from facekit.cli.named_json import to_json
from facekit.cli.options import dry_run_option
from facekit.cli.printing import echo

__all__ = ["command"]


@click.group("textures", short_help="List, show and check mask types, custom ones among them.")
def command() -> None:
    """List, show and check mask types, custom ones among them.

    docs/your-own-mask.md tells how to make one from a photograph.
    """


@command.command("list", short_help="List the mask types.")
@click.option("--textures", metavar="FILE", help="A table of custom masks.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def list_command(textures: str | None, as_json: bool) -> None:
    """List the mask types.

    \b
    Example:
      facekit textures list --textures my-masks.toml
    """
    from facekit.jobs.textures.job import list_types

    types = list_types(textures)
    if as_json:
        echo(to_json(types))
        return
    for line in types:
        custom = "  (custom)" if line.custom else ""
        echo(f"{line.name:16}straps: {line.straps:6}{', '.join(line.textures)}{custom}")


@command.command("preview", short_help="Show mask types on a face.")
@click.argument("sheet", metavar="SHEET")
@click.argument("names", metavar="[TYPE]...", nargs=-1)
@click.option("--textures", metavar="FILE", help="A table of custom masks.")
@click.option("--face", metavar="PICTURE", help="An aligned picture of a bare face.  [default: a drawn one]")
@click.option("--seed", type=int, default=0, show_default=True, help="Decides every random choice.")
@dry_run_option
@click.option("--overwrite", is_flag=True, help="Replace SHEET.")
def preview_command(
    sheet: str, names: tuple[str, ...], textures: str | None, face: str | None, seed: int, overwrite: bool
) -> None:
    """Show mask types on a face: SHEET is a PNG with four of each TYPE, or of all types.

    \b
    Example:
      facekit textures preview sheet.png my-mask --textures my-masks.toml
    """
    from facekit.errors import ConfigError
    from facekit.jobs.textures.job import SHEET_BYTES, drawn_wearer, forecast_preview, photographed, preview
    from facekit.output import PNG, input_of, open_files
    from facekit.output.dry_run import NOTHING_MORE, is_dry

    if seed < 0:
        raise ConfigError(f"seed is {seed}; it must not be negative")
    read = [input_of(path) for path in (face, textures) if path is not None]
    settings = {"types": names, "seed": seed}
    forecast = forecast_preview(names, textures, face, seed) if is_dry() else NOTHING_MORE
    with open_files({sheet: PNG}, "textures", read, settings, overwrite, SHEET_BYTES, forecast=forecast) as output:
        wearer = drawn_wearer() if face is None else photographed(face)
        output.paths[0].write_bytes(preview(names, wearer, textures, seed))
    echo(sheet)


@command.command("check", short_help="Check a table of custom masks.")
@click.argument("table", metavar="FILE")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def check_command(table: str, as_json: bool) -> None:
    """Check a table of custom masks.

    Says what is wrong with it and what is likely not meant, having worn each mask on a drawn face. Exit code 1 where
    there is anything to say.

    \b
    Example:
      facekit textures check my-masks.toml
    """
    from facekit.jobs.textures.job import check_table

    findings = check_table(table)
    if as_json:
        echo(to_json(findings))
    for finding in [] if as_json else findings:
        echo(
            f"{'error' if finding.fatal else 'warning'}: {finding.type + ': ' if finding.type else ''}{finding.problem}"
        )
    if not findings and not as_json:
        echo(f"{table} is right")
    sys.exit(1 if findings else 0)
