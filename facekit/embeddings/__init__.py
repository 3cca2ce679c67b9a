"""Pictures -> vectors, and vectors on disk."""

from facekit.embeddings.engine import BRANCHES, Embedded, Engine, check_branch, embed_pictures
from facekit.embeddings.preprocessing import Preprocessing
from facekit.embeddings.store import Embeddings, Features, is_features, open_features
from facekit.embeddings.vector_rows import ArrayVectors, VectorRows

__all__ = [
    "BRANCHES",
    "ArrayVectors",
    "Embedded",
    "Embeddings",
    "Engine",
    "Features",
    "Preprocessing",
    "VectorRows",
    "check_branch",
    "embed_pictures",
    "is_features",
    "open_features",
]
