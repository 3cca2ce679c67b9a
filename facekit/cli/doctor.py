"""``facekit doctor``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from facekit.cli.named_json import to_json
from facekit.cli.printing import echo

if TYPE_CHECKING:
    from facekit.jobs.doctor.job import Examination
    from facekit.jobs.doctor.probes import Probe

__all__ = ["command"]


@click.command("doctor", short_help="Say what this machine has of what facekit can use.")
@click.option("--compile", "compiling", is_flag=True, help="Compile the kernels now, so that no job waits for it.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def command(compiling: bool, as_json: bool) -> None:
    """Say what this machine has of what facekit can use.

    Versions, processor, libraries and the devices that they see, where compiled kernels are kept, and which command
    installs what is missing. Ends with 1 where something keeps facekit from working.

    \b
    Examples:
      facekit doctor
      facekit doctor --compile
    """
    from facekit.jobs.doctor.caches import compile_kernels
    from facekit.jobs.doctor.job import examine_machine

    if compiling:
        compile_kernels(lambda name, seconds: echo(f"{name:<6} {seconds:5.1f} s", err=True))
    found = examine_machine()
    echo(to_json(found) if as_json else text_of(found))
    sys.exit(1 if found.problems else 0)


def text_of(found: Examination) -> str:
    """Everything, for a person."""
    machine, kernels = found.machine, found.kernels
    memory = "unknown memory" if machine.memory is None else f"{machine.memory / 1e9:.1f} GB of memory"
    lines = [
        f"facekit {machine.facekit} on Python {machine.python} ({machine.interpreter})",
        f"{machine.system}, {machine.cores} cores, {memory}",
        f"instruction set  {machine.instruction_set}",
        f"browser          {machine.browser or 'none: a report or the review is opened elsewhere'}",
        "",
        *map(_library, found.libraries),
        "",
        f"kernels: {kernels.compiled} of {kernels.kernels} are compiled"
        + ("" if kernels.compiled == kernels.kernels else "; facekit doctor --compile makes the others"),
        *(f"  kept in {folder}" for folder in kernels.folders),
        "",
    ]
    for extra in found.extras:
        lines.append(f"[{extra.name}] {extra.adds}".rstrip() + ("" if extra.missing else ": complete"))
        if extra.missing:
            lines += [f"  lacks {', '.join(extra.missing)}", f"  {extra.command}"]
    return "\n".join([*lines, *(["", *found.problems] if found.problems else [])])


def _library(one: Probe) -> str:
    said = one.problem or one.detail or ("" if one.version else "not installed")
    return f"{one.name:<15}  {one.version or '-':<12} {said}".rstrip()
