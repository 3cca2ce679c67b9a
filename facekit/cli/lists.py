"""``facekit lists``."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from facekit.cli.options import dry_run_option, engine_options, partial_index_option
from facekit.cli.printing import echo

if TYPE_CHECKING:
    from facekit.jobs.lists.compare import ListDiff
    from facekit.jobs.lists.config import ListSummary

__all__ = ["command"]


@click.group("lists", short_help="Lists of decisions that travel without the pictures.")
def command() -> None:
    """Lists of decisions that travel without the pictures.

    A list is one small table. It knows each picture by a hash of its bytes, and by a hash of what it shows that
    survives repacking, JPEG of another quality, PNG and a few pixels more or less. facekit apply --match auto obeys it.

    \b
    Examples:
      facekit lists export ms1m-clean ms1m.list --who "example.org, 2026"
      facekit lists sign ms1m.list --key ~/.ssh/id_ed25519
      facekit lists show ms1m.list --allowed-signers signers
      facekit apply my-ms1m ms1m.list my-ms1m-clean --match auto
    """


@command.command("export", short_help="Write the decisions of a cleaned pack as a list.")
@click.argument("cleaned", metavar="CLEANED")
@click.argument("destination", metavar="LIST")
@click.option("--source", metavar="PACK", help="The pack that was cleaned; by default where CLEANED says it lay.")
@click.option("--who", default="", metavar="TEXT", help="Whose list it is; stands in it for everybody to read.")
@dry_run_option
@engine_options(workers=1)
@click.option("--overwrite", is_flag=True, help="Replace a table at LIST.")
@partial_index_option
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def export(as_json: bool, **given: Any) -> None:
    """Write the decisions of a cleaned pack as a list.

    CLEANED is what facekit clean wrote, decisions alone or with the pack. docs/lists.md says what a list reveals. One
    process hashes pictures in as many threads as there are cores; several keep what they did in LIST.hashes.partial.

    \b
    Example:
      facekit lists export ms1m-clean ms1m.list --who "example.org, 2026"
    """
    from facekit.jobs.lists.config import ExportConfig
    from facekit.jobs.lists.job import export_list

    _print(export_list(ExportConfig(**given)), as_json)


@command.command("merge", short_help="Make one list of several.")
@click.argument("lists", metavar="A B...", nargs=-1, required=True)
@click.argument("destination", metavar="DST")
@click.option(
    "--vote",
    type=click.Choice(["majority", "any", "all"]),
    default="majority",
    show_default=True,
    help="How many of those that know a picture must leave it out, and how many must put two people together.",
)
@click.option(
    "--allowed-signers",
    metavar="FILE",
    help="Refuse lists that none of these signed; lines of NAME KEY, as ssh-keygen has them.",
)
@dry_run_option
@click.option("--overwrite", is_flag=True, help="Replace a table at DST.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def merge(as_json: bool, **given: Any) -> None:
    """Make one list of several.

    Pictures are found in the others by both hashes. DST says of each picture who knows it and who says the same, and
    of every voter by which model. A tie leaves a picture in. A list that is not what its signature signs is refused.

    \b
    Example:
      facekit lists merge ours.list theirs.list third.list agreed.list --vote majority
    """
    from facekit.jobs.lists.config import MergeConfig
    from facekit.jobs.lists.merge import merge_lists

    _print(merge_lists(MergeConfig(**given)), as_json)


@command.command("diff", short_help="Compare two lists.")
@click.argument("one", metavar="A")
@click.argument("other", metavar="B")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def diff(one: str, other: str, as_json: bool) -> None:
    """Compare two lists.

    \b
    Example:
      facekit lists diff ours.list theirs.list
    """
    from facekit.jobs.lists.compare import diff_lists

    found = diff_lists(one, other)
    echo(json.dumps(asdict(found), indent=2) if as_json else diff_text(found))


@command.command("show", short_help="Show what is in a list, and who signed it.")
@click.argument("path", metavar="LIST")
@click.option(
    "--allowed-signers",
    metavar="FILE",
    help="Refuse a list that none of these signed; lines of NAME KEY, as ssh-keygen has them.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def show(path: str, allowed_signers: str | None, as_json: bool) -> None:
    """Show what is in a list, and who signed it.

    \b
    Example:
      facekit lists show ms1m.list --allowed-signers signers
    """
    from facekit.jobs.lists.show import show_list

    _print(show_list(path, allowed_signers), as_json)


@command.command("sign", short_help="Sign a list with an SSH key.")
@click.argument("path", metavar="LIST")
@click.option("--key", required=True, metavar="KEY", help="A private key, or the public one of a key in ssh-agent.")
@dry_run_option
@click.option("--overwrite", is_flag=True, help="Replace the signature.")
def sign(**given: Any) -> None:
    """Sign a list with an SSH key.

    Writes LIST.sig. ssh-keygen does it, and verifies it without facekit too: ssh-keygen -Y verify -n facekit-list.

    \b
    Example:
      facekit lists sign ms1m.list --key ~/.ssh/id_ed25519
    """
    from facekit.jobs.lists.config import SignConfig
    from facekit.jobs.lists.signature import sign as sign_list

    echo(f"signature  {sign_list(SignConfig(**given))}")


def _print(summary: ListSummary, as_json: bool) -> None:
    echo(json.dumps(asdict(summary), indent=2) if as_json else text_of(summary))


def text_of(summary: ListSummary) -> str:
    """The summary for a person."""
    fate = ", ".join(f"{count:,} {action}" for action, count in summary.actions.items())
    lines = [
        f"{summary.pictures:,} pictures, {summary.identities:,} identities: {fate}",
        *(f"  {name:16}{count:>12,}" for name, count in summary.reasons.items()),
    ]
    if summary.without_hash:
        lines.append(f"{summary.without_hash:,} are known by their bytes alone: they do not decode, or show nothing")
    lines += [f"said by  {_voter(voter)}" for voter in summary.voters]
    if len(summary.voters) > 1:
        lines.append(f"all who know it agree on {summary.agreed:,} pictures (merged by {summary.vote or 'nobody'})")
    lines += [f"{path} is {said}" for path, said in summary.signatures.items()]
    if summary.signed_by is not None:
        lines.append(f"signed by {summary.signed_by}")
    size = f"{summary.bytes / 1e6:,.1f} MB" if summary.bytes > 1e6 else f"{summary.bytes / 1e3:,.0f} kB"
    lines.append(f"list     {summary.path} ({size})")
    return "\n".join(lines)


def _voter(voter: dict[str, Any]) -> str:
    """Who says it, by what, and whose list they took over."""
    who, model = (str(voter.get(name) or "not said") for name in ("who", "model"))
    others = "".join(f"; from {_voter(one)}" for one in voter.get("from", []))
    return f"{who}; model {model}; {voter.get('pictures', 0):,} pictures{others}"


def diff_text(found: ListDiff) -> str:
    """The comparison for a person."""
    lines = [
        f"{found.both:,} pictures in both, {found.only_one:,} in the first alone, {found.only_other:,} in the second",
        *(f"  {name:20}{count:>12,}" for name, count in found.found.items() if count),
        f"the same action for {found.same:,}",
        *(f"  {name:20}{count:>12,}" for name, count in found.changed.items()),
        f"identities of the first that the second splits: {found.split:,}; that it puts together: {found.merged:,}",
    ]
    return "\n".join(lines)
