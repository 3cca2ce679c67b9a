"""Small packs and settings for the tests of training: drawn patterns, nobody real."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
from clean_packs import draw

from facekit.images import encode_jpeg
from facekit.records import Header, PackWriter

QUICK = ("batch=8", "threads=1", "epochs=4", "log_every=1", "warmup=0", "dimensions=16")
"""For packs of some fifty pictures."""


def pattern_pack(folder: Path, counts: tuple[int, ...] = (9, 3, 7, 5, 12, 4, 8, 6), seed: int = 0) -> Path:
    """Write a pack of (40, 36) pictures."""
    with PackWriter(folder) as writer:
        for label, count in enumerate(counts):
            for number in range(count):
                writer.write(Header(0, float(label), writer.next_key, 0), encode_jpeg(draw(label + 100 * seed, number)))
    return folder


def with_masks(folder: Path, share: float = 0.5) -> Path:
    """Add a ledger that says that some of the pictures are masked."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from facekit.records import open_pack
    from facekit.run.ledger import LedgerRow, table

    keys = open_pack(folder).keys.tolist()
    worn = np.arange(len(keys)) % 10 < 10 * share
    rows = [
        LedgerRow(key, key, b"\0" * 16, "mask" if masked else "copy") for key, masked in zip(keys, worn, strict=True)
    ]
    pq.write_table(pa.table(table(rows)), folder / "train.ledger.parquet")
    return folder


def facekit(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a command of facekit in a process of its own."""
    command = [sys.executable, "-m", "facekit", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | env)


def changes(*given: str) -> list[str]:
    """``--set`` options."""
    return [word for text in given for word in ("--set", text)]


THIRD = '''
from dataclasses import dataclass
from facekit.train.plugin import Embedding, Step

@dataclass(frozen=True)
class Config:
    dimensions: int = 8
    scale: float = 16.0

class Plain:
    """Softmax over cosines."""
    api_version = 2
    summary = "Softmax over cosines."
    config = Config
    recipes = {"plain": {"batch": 8, "epochs": 1}}
    def build_network(self, config, facts):
        from torch import nn
        height, width = facts.image_size
        pixels = (height // 4) * (width // 4)
        return nn.Sequential(nn.AvgPool2d(4), nn.Flatten(), nn.Linear(3 * pixels, config.dimensions))
    def build_head(self, config, facts):
        from torch import nn
        return nn.Identity()
    def training_step(self, config, network, head, classifier, batch):
        from facekit.train.angular import cosine_matrix
        inputs = classifier(network(batch.image), batch.label)
        return Step(classifier.loss(config.scale * cosine_matrix(inputs.embeddings, inputs.weight), inputs.labels), {})
    def embed(self, config, network, image, masked):
        return Embedding(network(image))
    def export_inputs(self, config):
        return ("image",)
    def config_warnings(self, config, train, facts):
        return ["this plugin is for a test"]

PLUGIN = Plain()
OLD = Plain()
OLD.api_version = 0
class Half:
    api_version = 2
HALF = Half()
'''

BADLY_WRITTEN = """
from dataclasses import dataclass
from pathlib import Path
from third_plugin import Plain

def like_plain(**attributes):
    return type("Other", (Plain,), attributes)()

@dataclass(frozen=True)
class Bare:
    must: int
    dimensions: int = 8
@dataclass(frozen=True)
class WithPath:
    dimensions: int = 8
    lexicon: Path = Path("words")
@dataclass(frozen=True)
class Shared:
    dimensions: int = 8
    lr: float = 3.0
    batch: str = "hard"

BARE, WITH_PATH, SHARED = (like_plain(config=one) for one in (Bare, WithPath, Shared))
LISTED = like_plain(recipes=["small"])
FLAT = like_plain(recipes={"small": 3})
PATH_RECIPE = like_plain(recipes={"small": {"lr": Path("x")}})
NAMELESS = like_plain(summary=None)
SHY = like_plain(summary=property(lambda self: 1 / 0))
"""


def third_party(folder: Path) -> str:
    """Make a distribution with one plugin that works and others that do not; what PYTHONPATH must hold."""
    site = folder / "site"
    meta = site / "third_party-0.3.dist-info"
    meta.mkdir(parents=True)
    (site / "third_plugin.py").write_text(THIRD)
    (site / "badly_written.py").write_text(BADLY_WRITTEN)
    (site / "leaves.py").write_text("import sys; sys.exit('goodbye')")
    (site / "raises.py").write_text("raise RuntimeError('no licence')")
    (meta / "METADATA").write_text("Metadata-Version: 2.1\nName: third-party\nVersion: 0.3\n")
    (meta / "entry_points.txt").write_text(
        textwrap.dedent(
            """\
            [facekit.plugins]
            plain = third_plugin:PLUGIN
            old = third_plugin:OLD
            half = third_plugin:HALF
            absent = not_there:PLUGIN
            raises = raises:PLUGIN
            leaves = leaves:PLUGIN
            bare = badly_written:BARE
            with-path = badly_written:WITH_PATH
            shared = badly_written:SHARED
            listed = badly_written:LISTED
            flat = badly_written:FLAT
            path-recipe = badly_written:PATH_RECIPE
            nameless = badly_written:NAMELESS
            shy = badly_written:SHY
            """
        )
    )
    return str(site)
