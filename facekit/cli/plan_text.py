"""What ``--dry-run`` tells, on one screen."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from facekit.output.dry_run import Plan

__all__ = ["text_of_plan"]


def text_of_plan(plan: Plan) -> str:
    """What a command would do, for a person."""
    width = max(map(len, plan.counts), default=0) + 2
    lines = [
        _read(plan),
        *(f"  {name}" for name in plan.reads),
        _written(plan),
        *(f"  {name}" for name in plan.writes),
        *["it would go on from an unfinished run that lies there"] * plan.unfinished,
        *(f"{name:{width}}{count:>16,}" for name, count in plan.counts.items()),
        *_memory(plan),
        _time(plan),
        "nothing is written",
    ]
    return "\n".join(lines)


def _read(plan: Plan) -> str:
    if not plan.reads:
        return f"facekit {plan.command} would read nothing"
    files = f"{plan.files:,} file{'s' * (plan.files != 1)} with {plan.bytes_read / 1e6:,.1f} MB"
    pictures = "" if plan.pictures is None else f", {plan.pictures:,} picture{'s' * (plan.pictures != 1)}"
    return f"facekit {plan.command} would read {files}{pictures}:"


def _written(plan: Plan) -> str:
    if plan.destination is None:
        return "and write nothing but what it prints"
    free = "" if plan.bytes_free < 0 else f", {_size(plan.bytes_free)} are free"
    short = " -- too few" if 0 <= plan.bytes_free < plan.bytes_needed else ""
    return f"and write {plan.destination}: at most {_size(plan.bytes_needed)}{free}{short}"


def _memory(plan: Plan) -> list[str]:
    if not plan.memory:
        return []
    needed = plan.memory.get("peak", sum(plan.memory.values()))
    free = "" if plan.memory_free < 0 else f", {_size(plan.memory_free)} are free"
    short = " -- too few" if 0 <= plan.memory_free < needed else ""
    parts = [f"  {name:22}{_size(count):>16}" for name, count in plan.memory.items() if name != "peak"]
    measured = "measured" if "peak" in plan.memory else "at least"
    return [f"memory on {plan.device}: {measured} {_size(needed)}{free}{short}", *parts]


def _time(plan: Plan) -> str:
    times, said = plan.times, [] if plan.timed is None else plan.timed.split("; ")
    if not times and plan.timed is None:
        if plan.seconds is not None:
            return f"time: {_about(plan.seconds)}, as facekit cost measured this machine"
        if plan.steps:
            return "time: not measured here; facekit cost SRC measures, and predicts hours and memory"
    if all(seconds is None for seconds in times.values()):
        return "\n  ".join(["time: " + (said[0] if said else "not estimated"), *said[1:]])
    whole = "not estimated" if plan.seconds is None else _about(plan.seconds)
    parts = [f"{name:22}{_span(seconds):>16}" for name, seconds in times.items()]
    return "\n  ".join([f"time: {whole}", *parts, *said])


def _about(seconds: float) -> str:
    return ("about " * (seconds >= 1)) + _span(seconds)


def _span(seconds: float | None) -> str:
    from facekit.run.progress import duration

    if seconds is None:
        return "not estimated"
    return duration(seconds) if seconds >= 1 else "less than 1 s"


def _size(count: int) -> str:
    return f"{count / 1e9:,.1f} GB" if count >= 10e9 else f"{count / 1e6:,.1f} MB"
