"""How long ``facekit check`` will take, from the beginning of the pack, which is checked, and saved, aside."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

from facekit.errors import FacekitError
from facekit.jobs.packs.repair import Examined, repair
from facekit.output.dry_run import in_earnest
from facekit.records.findings import Findings
from facekit.run.choice import ExecutorChoice
from facekit.run.processors import processors
from facekit.run.trial import OTHERS, SHARED

__all__ = ["checking_times"]

WALKED, DECODED = 32 << 20, 8 << 20
"""Bytes of a pack that are checked at the most; fewer where every picture of them is decoded."""


def checking_times(
    rec: Path,
    deep: bool,
    saved: bool,
    workers: int,
    executor: ExecutorChoice,
    examine: Callable[[str, bool, Findings], Examined],
) -> tuple[dict[str, float | None], str]:
    """Seconds of each part, and what they come from.

    Parameters
    ----------
    rec : Path
    deep : bool
        Every picture is decoded.
    saved : bool
        A copy is written.
    workers : int
        One uses a thread for each core.
    executor : ExecutorChoice
    examine : callable
        Checks a pack.

    Returns
    -------
    dict from str to float or None
    str
    """
    if executor.is_shared:
        return {}, SHARED
    size, times = rec.stat().st_size, dict[str, float | None]()
    if not size:
        return {}, "seconds: the file is empty"
    with TemporaryDirectory(prefix="facekit-trial-") as folder, in_earnest():
        started, part = perf_counter(), Path(folder, "part")
        part.mkdir()
        with open(rec, "rb") as file:
            content = file.read(DECODED if deep else WALKED)
        (part / rec.name).write_bytes(content)
        pack = examine(str(part / rec.name), deep, Findings(0))
        checked, share = perf_counter() - started, len(content) / size
        cores = processors()
        times["checking"] = checked / share * (cores / min(workers, cores) if workers > 1 else 1)
        if saved:
            times["saving"] = _saving(pack, Path(folder, "copy"), share)
        records = len(pack.records.offsets)
    return times, f"timed on the first {len(content) / 1e6:,.1f} MB, {records:,} records; {OTHERS}"


def _saving(pack: Examined, place: Path, share: float) -> float | None:
    started = perf_counter()
    try:
        repair(pack, str(place), overwrite=False)
    except FacekitError:  # there is nothing in the beginning alone that can be saved
        return None
    return (perf_counter() - started) / share
