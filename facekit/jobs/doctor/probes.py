"""What a library says of itself, asked in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import NamedTuple

__all__ = ["PROBES", "Probe", "Question", "run_probe"]

SECONDS = 120


class Question(NamedTuple):
    """How a library is asked.

    Attributes
    ----------
    name : str
    code : str
        Leaves its version in ``version`` and a sentence, or nothing, in ``detail``.
    needed : bool
        Whether facekit needs it for anything at all.
    """

    name: str
    code: str
    needed: bool = False


class Probe(NamedTuple):
    """What a library answered.

    Attributes
    ----------
    name : str
        Of the library.
    needed : bool
        Whether facekit needs it for anything at all.
    version : str or None
        None where it is not installed or cannot be loaded.
    detail : str
        What it can use here.
    problem : str
        Why it cannot be loaded; empty where it can, or is not installed and not needed.
    """

    name: str
    needed: bool
    version: str | None
    detail: str = ""
    problem: str = ""


def _plain(module: str) -> str:
    return f"import {module} as found\nversion = found.__version__\ndetail = ''"


TORCH = """
import torch
version = torch.__version__
cards = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
detail = f"devices: {', '.join(cards) or 'cpu only'}"
"""

FAISS = """
import faiss
version = faiss.__version__
detail = f"{getattr(faiss, 'get_num_gpus', lambda: 0)()} GPUs"
"""

ONNX_RUNTIME = """
import onnxruntime
version = onnxruntime.__version__
detail = ", ".join(onnxruntime.get_available_providers())
"""

MESH = """
import numpy as np
from importlib.metadata import version as version_of
from facekit.faces.mesh import LiteRTMesh
version = version_of("ai-edge-litert")
LiteRTMesh()(np.zeros((112, 112, 3), np.uint8))
detail = "the face mesh runs"
"""

HDBSCAN = """
import hdbscan
from importlib.metadata import version as version_of
version, detail = version_of("hdbscan"), ""
"""

PROBES = (
    Question("numpy", _plain("numpy"), True),
    Question("numba", _plain("numba"), True),
    Question("opencv", _plain("cv2"), True),
    Question("scikit-image", _plain("skimage"), True),
    Question("pyarrow", _plain("pyarrow"), True),
    Question("ai-edge-litert", MESH, True),
    Question("onnxruntime", ONNX_RUNTIME),
    Question("faiss", FAISS),
    Question("hdbscan", HDBSCAN),
    Question("torch", TORCH),
    Question("ray", _plain("ray")),
)


def run_probe(question: Question) -> Probe:
    """Ask a library.

    Parameters
    ----------
    question : Question

    Returns
    -------
    Probe
    """
    script = f"{question.code}\nimport json\nprint()\nprint(json.dumps([version, detail]))"
    try:
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=SECONDS
        )
    except subprocess.TimeoutExpired:
        return Probe(question.name, question.needed, None, problem=f"it does not answer within {SECONDS} s")
    if done.returncode:
        missing = "ModuleNotFoundError" in done.stderr and not question.needed
        return Probe(question.name, question.needed, None, problem="" if missing else _last_line(done))
    version, detail = json.loads(done.stdout.splitlines()[-1])
    return Probe(question.name, question.needed, version, detail)


def _last_line(done: subprocess.CompletedProcess[str]) -> str:
    lines = done.stderr.strip().splitlines()
    return lines[-1] if lines else f"it ends with {done.returncode}"
