"""The passport as a Croissant description (MLCommons, version 1.0): JSON-LD that dataset searches understand.

Croissant has no word for RecordIO, so that it describes the files and not the records; what facekit adds stands under
``facekit:passport``.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from facekit.jobs.inputs.source import Source
from facekit.run.ledger import ledger_path

__all__ = ["croissant"]

CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "facekit": "urn:facekit:",
    "facekit:passport": {"@id": "urn:facekit:passport", "@type": "@json"},
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
"""Croissant 1.0, appendix 1, and facekit's own prefix."""

FORMATS = {".rec": "application/octet-stream", ".idx": "text/tab-separated-values",
           ".parquet": "application/vnd.apache.parquet", "": "text/plain"}  # fmt: skip
READ_BYTES = 1 << 22


def croissant(source: Source, passport: dict[str, Any]) -> dict[str, Any]:
    """Wrap what is known of a pack.

    Parameters
    ----------
    source : Source
        A pack on a disk.
    passport : dict
        JSON-able.
    """
    rec = Path(source.path)
    files = [
        path for path in (rec, rec.with_suffix(".idx"), rec.with_name("property"), ledger_path(rec)) if path.exists()
    ]
    name = rec.parent.resolve().name if rec.stem == "train" else rec.stem
    about = f"{passport['images']:,} faces of {passport['identities']:,} identities in an InsightFace RecordIO pack."
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": name or "pack",
        "description": about,
        "distribution": [_file(path) for path in files],
        "facekit:passport": passport,
    }  # fmt: skip


def _file(path: Path) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": path.name,
        "name": path.name,
        "contentUrl": path.name,
        "contentSize": f"{path.stat().st_size} B",
        "encodingFormat": FORMATS.get(path.suffix, "application/octet-stream"),
        "sha256": _sha256(path),
    }


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(READ_BYTES):
            digest.update(block)
    return digest.hexdigest()
