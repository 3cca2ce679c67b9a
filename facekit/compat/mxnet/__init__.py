"""A stand-in for the part of mxnet that InsightFace, AdaFace and CVLface use, so that their scripts run unmodified.

    from facekit.compat import mxnet; mxnet.install()      # before the script's own `import mxnet as mx`
    python -m facekit.compat.mxnet train.py configs/x.py   # or without touching the script
    torchrun --nproc_per_node=8 -m facekit.compat.mxnet train.py configs/x.py

It answers to ``recordio`` (both readers and writers, ``pack``, ``unpack``, ``pack_img``, ``unpack_img``), ``image``
(``imdecode``, ``imread``, ``imresize``, ``resize_short``) and ``nd`` or ``ndarray`` (arrays of numpy, ``transpose``,
``flip``, ``slice_axis`` and how arrays are made), with pixels equal to mxnet 1.9.1's. Where mxnet goes wrong it does
not: see :mod:`facekit.compat.mxnet.recordio`. Other parts of mxnet can be imported and named, and complain when they
are used: see :mod:`facekit.compat.mxnet.placeholders`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from facekit.compat.mxnet import image, ndarray, recordio
from facekit.compat.mxnet.placeholders import PARTS, Placeholder, find_placeholders
from facekit.errors import ConfigError

__all__ = ["SHIM", "image", "install", "nd", "ndarray", "recordio"]

nd, img = ndarray, image

__version__ = "1.9.1"
"""What scripts that look at the version expect."""

SHIM = Path(__file__).resolve().parents[1] / "path"
"""A folder whose only module is ``mxnet``: processes that inherit ``sys.path`` find the stand-in there."""

NAMES = {"mxnet": None, "mxnet.recordio": recordio, "mxnet.image": image, "mxnet.ndarray": ndarray, "mxnet.nd": ndarray}


def install() -> None:
    """Make ``import mxnet`` give this stand-in, here and in processes that are spawned or forked from here.

    Call it before anything imports mxnet; calling it again is harmless.

    Raises
    ------
    ConfigError
        The real mxnet is imported already.
    """
    present = sys.modules.get("mxnet")
    own = sys.modules[__name__]
    if present is not None and present is not own and getattr(present, "__file__", None) != str(SHIM / "mxnet.py"):
        raise ConfigError(
            f"mxnet is imported already, from {getattr(present, '__file__', 'an unknown place')}: "
            "call facekit.compat.mxnet.install() before the first import of mxnet"
        )
    modules: dict[str, ModuleType] = {name: module or own for name, module in NAMES.items()}
    sys.modules.update(modules)
    find_placeholders()
    if str(SHIM) not in sys.path:
        sys.path.insert(0, str(SHIM))


def __getattr__(name: str) -> Any:
    if name in PARTS:
        return sys.modules.setdefault(f"mxnet.{name}", Placeholder(f"mxnet.{name}"))
    raise AttributeError(
        f"facekit's stand-in for mxnet has no {name!r}: it covers recordio, image and nd, what InsightFace, AdaFace "
        "and CVLface use to read and write packs"
    )
