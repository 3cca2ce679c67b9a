"""Distributions that install the same module over each other, as those for processors and for graphics cards do.

``faiss-cpu``, ``faiss-gpu`` and ``faiss-gpu-cuvs`` all hold the folder ``faiss``, as ``onnxruntime`` and
``onnxruntime-gpu`` hold ``onnxruntime``: pip writes one over the other without a word, and removing one breaks the
other.
"""

from __future__ import annotations

from importlib.metadata import packages_distributions

__all__ = ["rival_distributions"]


def rival_distributions(module: str) -> str | None:
    """What to do about several distributions that hold a module; None where there are not several.

    Parameters
    ----------
    module : str
        Its name at the top.
    """
    names = sorted(set(packages_distributions().get(module, ())))
    if len(names) < 2:
        return None
    return f"{' and '.join(names)} were installed over each other: pip uninstall {' '.join(names)}, and install one"
