"""Options that several commands have alike."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import reduce, wraps
from typing import TYPE_CHECKING, Any

import click

from facekit.cli.named_json import to_json
from facekit.cli.plan_text import text_of_plan
from facekit.cli.printing import echo

if TYPE_CHECKING:
    from facekit.output.dry_run import Plan
    from facekit.run.choice import PartDone

__all__ = ["dry_run_option", "engine_options", "partial_index_option", "take_executor"]

partial_index_option = click.option(
    "--partial-index", is_flag=True, help="Take a pack whose index does not reach its end, as far as it goes."
)


def engine_options(workers: int | None = None) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a command that works on shards the options that say who does them.

    The command is called with ``workers`` and ``executor``, as its config has them; a part that is done is reported
    here, in place of the command's summary.

    Parameters
    ----------
    workers : int, optional
        The default on this machine; None: one for each core. On a Ray cluster it is one for each processor.
    """
    default = f"{workers or 'one for each core'}; on a cluster one for each processor"
    options = (
        click.option("--workers", type=int, default=None, metavar="N", help=f"Processes.  [default: {default}]"),
        click.option(
            "--engine",
            type=click.Choice(["local", "ray"]),
            default="local",
            show_default=True,
            help="Where they work: on this machine, or on a Ray cluster.",
        ),
        click.option(
            "--address", metavar="HOST:PORT", help="Of the Ray cluster.  [default: RAY_ADDRESS, or a new one]"
        ),
        click.option(
            "--part",
            metavar="I/N",
            help="Do the Ith of N shares and publish nothing; the command without --part does the rest and publishes.",
        ),
        click.option("--ray", is_flag=True, help="The same as --engine ray."),
    )

    def give(command: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(command)
        def run(*before: Any, as_json: bool, **given: Any) -> Any:
            from facekit.output.dry_run import DryRun
            from facekit.run.choice import PartFinished

            chosen = take_executor(given, workers)
            try:
                return command(*before, as_json=as_json, **given, **chosen)
            except DryRun as told:
                raise DryRun(with_time(told.plan, chosen)) from told
            except PartFinished as finished:
                echo(to_json(finished.done) if as_json else text_of_part(finished.done))
                return 0

        return reduce(lambda function, option: option(function), reversed(options), run)

    return give


def dry_run_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command ``--dry-run``: it tells what it would read, do and write, and writes nothing."""

    @wraps(command)
    def run(*before: Any, dry_run: bool, **given: Any) -> Any:
        if not dry_run:
            return command(*before, **given)
        from facekit.output.dry_run import DryRun
        from facekit.output.dry_run import dry_run as only_told

        with only_told():
            try:
                return command(*before, **given)
            except DryRun as stopped:
                if os.environ.get("RANK", "0") == "0":  # of what torchrun started, one tells
                    echo(to_json(stopped.plan) if given.get("as_json") else text_of_plan(stopped.plan))
                return 0

    said = "Say what would be done, written and needed, and how long it takes; write nothing."
    return click.option("--dry-run", is_flag=True, help=said)(run)


def with_time(plan: Plan, chosen: dict[str, Any]) -> Plan:
    """With the time that it takes on this machine, where that is known; ``chosen`` is of `take_executor`."""
    from dataclasses import replace

    from facekit.jobs.cost.kept_rates import kept_seconds

    if plan.times or chosen["executor"].is_shared or chosen["executor"].part is not None:
        return plan
    return replace(plan, seconds=kept_seconds(plan.steps, max(chosen["workers"], 1)))


def take_executor(given: dict[str, Any], default: int | None) -> dict[str, Any]:
    """Take the options out of what was given; what a config has instead."""
    from facekit.jobs.inputs.checks import check_at_least
    from facekit.run.choice import ExecutorChoice, parse_part

    engine, address, part = given.pop("engine"), given.pop("address"), given.pop("part")
    if given.pop("ray"):
        engine = "ray"
    executor = ExecutorChoice(engine, address, None if part is None else parse_part(part))
    workers = given.pop("workers")
    check_at_least("workers", workers, 1)
    if workers is None:
        workers = _processors(executor.engine, executor.address, default)
    return {"workers": workers, "executor": executor}


def _processors(engine: str, address: str | None, default: int | None) -> int:
    if engine != "ray":
        from facekit.run.processors import processors

        return processors() if default is None else default
    from facekit.run.ray_executor import processors as processors_of_cluster

    return processors_of_cluster(address)


def text_of_part(done: PartDone) -> str:
    """What a part did, for a person."""
    lines = [
        f"part {done.part}: {done.shards:,} shards with {done.records:,} records done now",
        f"{done.finished:,} of {done.total:,} shards are finished in {done.staging}",
        "when every part has ended, the same command without --part does what is missing and publishes",
    ]
    return "\n".join(lines)
