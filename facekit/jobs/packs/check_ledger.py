"""The ledger beside a pack: whether it can be read, and whether it is of this pack."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from facekit.errors import FacekitError
from facekit.records.findings import Findings
from facekit.records.key_rows import rows_of
from facekit.records.roles import RecordRoles
from facekit.records.structure import Structure
from facekit.run.ledger import ledger_path, schema
from facekit.run.ledger_reader import ledger_batches

__all__ = ["check_ledger"]


def check_ledger(rec: Path, records: Structure, roles: RecordRoles, found: Findings) -> bool:
    """Read the whole ledger beside a pack, if there is one, and note what is wrong with it.

    Parameters
    ----------
    rec : Path
    records : Structure
    roles : RecordRoles
    found : Findings
        Takes ``ledger`` and ``ledger_foreign``.

    Returns
    -------
    bool
        Whether there is one that can be read.
    """
    path = ledger_path(rec)
    if not path.exists():
        return False
    images = np.flatnonzero(roles.sound)
    every, known = np.sort(records.keys), np.zeros(len(images), np.bool_)
    keys = records.keys[images]
    order = np.argsort(keys, kind="stable")
    try:
        for batch in ledger_batches(path, *schema().names):
            column = batch["key"]
            listed = column.filter(column.is_valid()).to_numpy(zero_copy_only=False)
            rows = rows_of(keys[order], listed, ascending=True)
            known[order[rows[rows >= 0]]] = True
            lost = listed[rows_of(every, listed, ascending=True) < 0]
            _note(f"{path.name} has a row for it, and the pack no record", lost, np.full(len(lost), -1), found)
    except FacekitError as error:
        found.add("ledger", str(error))
        return False
    _note(f"{path.name} has no row for it", keys[~known], records.offsets[images[~known]], found)
    return True


def _note(problem: str, keys: npt.NDArray[np.int64], offsets: npt.NDArray[np.int64], found: Findings) -> None:
    found.add_rows("ledger_foreign", problem, np.ones(len(keys), np.bool_), keys, offsets)
