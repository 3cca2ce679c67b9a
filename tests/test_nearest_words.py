"""A word that is nearly one of those allowed is recognised, wherever words are given."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from writing_commands import call, changes

from facekit.errors import as_written, none_of
from facekit.evaluate.operating_points import allowed_accepts, smallest_rate

WORDS = {
    "a subcommand": (["bins", "mke"], "make"),
    "an option": (["mask", "PACK", "OUT", "--ratoi", 1], "--ratio"),
    "a choice": (["mask", "PACK", "OUT", "--mode", "ad"], "add"),
    "a preset": (["mask", "PACK", "OUT", "--preset", "maskdull"], "maskdul"),
    "a preset of a benchmark": (["benchmark", "make", "OUT", "--preset", "drawn-tny"], "drawn-tiny"),
    "a mode": (["clean", "PACK", "OUT", "--features", "F", "--mode", "robst"], "robust"),
    "a mask type": (["mask", "PACK", "OUT", "--types", "kn59"], "kn95"),
    "a mask type to show": (["textures", "preview", "SHEET.png", "kn59"], "kn95"),
    "a mask type to wear": (["eval", "MODEL", "--pairs", "P.bin", "--wear", "kn59"], "kn95"),
    "sizes": (["synth", "OUT", "--sizes", "long-tial"], "long-tail"),
    "a detector": (["pack", "PACK", "OUT", "--align", "--detector", "blazefce"], "blazeface"),
    "a device": (["embed", "PACK", "OUT", "--model", "M.onnx", "--device", "cuad"], "cuda"),
    "a network": (["embed", "PACK", "OUT", "--model", "M.pt", "--arch", "r5"], "r50"),
    "what is undone": (["apply", "PACK", "DECISIONS", "OUT", "--revert", "mvoe"], "move"),
    "a plugin": (["train", "blc", "PACK", "OUT"], "bcl"),
    "a plugin to show": (["plugins", "mskdul"], "maskdul"),
    "a plugin of the loop": (["selflearn", "PACK", "OUT", "--plugin", "mskdul", "--init", "M.onnx"], "maskdul"),
    "a recipe": (["train", "bcl", "PACK", "OUT", "--recipe", "bcl-smal"], "bcl-small"),
    "a setting": (["train", "bcl", "PACK", "OUT", "--set", "lrr=3"], "lr"),
    "a setting's word": (["train", "bcl", "PACK", "OUT", "--set", "loss=arcfce"], "arcface"),
    "a backbone": (["train", "bcl", "PACK", "OUT", "--recipe", "bcl-small", *changes(), "--set",
                    "backbone=mobilefacnet"],
                   "mobilefacenet"),
    "an optimizer": (["train", "bcl", "PACK", "OUT", "--set", "optimizer=adam"], "adamw"),
    "a key of a recipe": (["train", "bcl", "PACK", "OUT", "--recipe", "epoch.toml"], "epochs"),
}  # fmt: skip


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from train_packs import pattern_pack

    folder = tmp_path_factory.mktemp("pack")
    pattern_pack(folder / "pack", (3, 3, 3))
    (folder / "epoch.toml").write_text("epoch = 1\n")
    return folder


@pytest.mark.parametrize("name", WORDS)
def test_a_word_that_is_nearly_right_is_offered(name: str, pack: Path, tmp_path: Path) -> None:
    words, near = WORDS[name]
    places = {"PACK": pack / "pack", "OUT": tmp_path / "out", "SHEET.png": tmp_path / "s.png",
              "epoch.toml": pack / "epoch.toml"}  # fmt: skip
    said = call([places.get(word, word) if isinstance(word, str) else word for word in words])
    assert said.code == 2, said
    assert f"'{near}'?" in said.err or f"'{near}'," in said.err, said.err
    assert not list(tmp_path.iterdir())


def test_a_key_of_a_table_of_masks_is_offered(tmp_path: Path) -> None:
    (tmp_path / "mine.png").write_bytes(b"")
    for text, near in (
        ('[type.mine]\nlikee = "kn95"\ntextures = ["mine.png"]\n', "like"),
        ('[type.mine]\nlike = "kn59"\ntextures = ["mine.png"]\n', "kn95"),
        ('[typ.mine]\nlike = "kn95"\ntextures = ["mine.png"]\n', "type"),
        ('[type.mine]\nlike = "kn95"\ntextures = ["mien.png"]\n', "mine.png"),
        ('[type.mine]\nlike = "kn95"\ntextures = ["mine.png"]\nprintd = 1\n', "printed"),
    ):
        (tmp_path / "masks.toml").write_text(text)
        said = call(["textures", "check", tmp_path / "masks.toml"])
        assert said.code == 1
        assert "did you mean" in said.out, said.out
        assert near in said.out.partition("did you mean")[2]
        assert call(["mask", "PACK", tmp_path / "out", "--textures", tmp_path / "masks.toml"]).code in (1, 2)


def test_columns_are_offered(tmp_path: Path) -> None:
    from facekit.errors import ConfigError
    from facekit.jobs.inputs.pair_tables import read_pairs

    (tmp_path / "a.csv").write_text("keya,key_b,same\n1,2,1\n")
    with pytest.raises(ConfigError, match=r"has no column key_a; .*did you mean 'keya'\?"):
        read_pairs(str(tmp_path / "a.csv"))
    pq.write_table(pa.table({"key_a": [1], "key_b": [2], "smae": [1]}), tmp_path / "a.parquet")
    with pytest.raises(ConfigError, match=r"has no column same; .*did you mean 'smae'\?"):
        read_pairs(str(tmp_path / "a.parquet"))


def test_what_is_allowed_is_listed_in_one_place() -> None:
    """A list of the allowed words without the nearest of them helps less."""
    import facekit.errors

    place = Path(facekit.errors.__file__)
    found = [
        f"{path.name}: {line.strip()}"
        for room in (place.parent, place.parents[1] / "plugins")
        for path in room.rglob("*.py")
        for line in path.read_text("utf-8").splitlines()
        if "it must be one of {', '.join(" in line and path != place
    ]
    assert [line for line in found if "flag.type" not in line and "spec.sizes" not in line] == []


def test_words_far_from_all_are_not_guessed() -> None:
    assert "did you mean" not in str(none_of("type", "xyzzy", ["kn95", "n95-cup"]))


@pytest.mark.parametrize("count", [1, 2, 3, 7, 299, 300, 999, 1000, 1001, 123_456, 10**9])
def test_the_rate_that_is_asked_for_can_be_asked_for(count: int) -> None:
    text = smallest_rate(count)
    assert allowed_accepts(float(text), count) >= 1
    assert float(text) <= 1.01 / count
    assert text == as_written(float(text))
    assert "e-0" not in text
