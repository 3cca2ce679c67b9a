from __future__ import annotations

import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from click.testing import CliRunner

import facekit
from facekit.cli import COMMANDS, main, program
from facekit.records import Header, PackWriter


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "facekit", *arguments], capture_output=True, text=True, check=False)


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    with PackWriter(tmp_path / "pack") as writer:
        for label in range(4):
            writer.write(Header(0, float(label), label + 1, 0), b"not a picture")
    return tmp_path / "pack"


def test_help_lists_every_command() -> None:
    done = run("--help")
    assert (done.returncode, done.stderr) == (0, "")
    for name, line in COMMANDS.items():
        assert name in done.stdout
        assert line in done.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_says_what_the_list_says(name: str) -> None:
    command = import_module(f"facekit.cli.{name}").command
    assert command.name == name
    assert command.get_short_help_str(200) == COMMANDS[name]
    assert all(option.help for option in command.params if option.param_type_name == "option")


def test_help_loads_nothing_heavy() -> None:
    script = (
        "import sys\n"
        "from facekit.cli import program; program.main(['--help'], standalone_mode=False)\n"
        "heavy = {'numpy', 'numba', 'cv2', 'pyarrow', 'torch', 'skimage', 'rich', 'ai_edge_litert'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


def test_the_version_is_the_one_of_the_distribution() -> None:
    from importlib.metadata import version

    assert run("--version").stdout.split()[-1] == facekit.__version__ == version("facekit-mfr")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["nonsense"], 2, "No such command 'nonsense'"),
        (["mask"], 2, "Missing argument 'SRC...'"),
        (["mask", "PACK", "DST", "--ratio", "1"], 2, "below 1"),
        (["mask", "PACK", "DST", "--ratio", "much"], 2, "not a valid float"),
        (["mask", "PACK", "DST", "--types", "n95"], 2, "type is 'n95'; it must be one of surgical-blue"),
        (["mask", "PACK", "DST", "--types", "kn95:heavy"], 2, "weight of type kn95"),
        (["mask", "PACK", "DST", "--types", "kn95:0"], 2, "weights of all types are 0"),
        (["mask", "PACK", "DST", "--types", "kn95,kn95"], 2, "each may be named once"),
        (["mask", "PACK", "DST", "--seed", "-1"], 2, "seed is -1"),
        (["mask", "PACK", "DST", "--limit", "0"], 2, "limit is 0"),
        (["mask", "PACK", "DST", "--workers", "0"], 2, "workers is 0"),
        (["mask", "PACK", "DST", "--tilt", "steep"], 2, "tilt is 'steep'"),
        (["mask", "PACK", "DST", "--tilt", "5:-5"], 2, "-5:5"),
        (["mask", "PACK", "DST", "--shadow", "2"], 2, "shadow"),
        (["mask", "PACK", "PACK", "--overwrite"], 2, "is the input"),
        (["mask", "PACK", "."], 2, "holds the input"),
        (["mask", "nowhere", "DST"], 2, "nowhere"),
        (["mask", "PACK", "PACK/train.rec/out"], 2, "lies in the input"),
        (["mask", "EMPTY", "DST"], 2, "neither a .rec file nor pictures"),
    ],
)
def test_bad_usage_is_2_and_bad_data_1_with_a_message(
    arguments: list[str],
    code: int,
    message: str,
    pack: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(pack.parent)
    places = {"PACK": str(pack), "DST": str(tmp_path / "out"), "EMPTY": str(tmp_path / "empty")}
    with pytest.raises(SystemExit) as caught:
        main([word.replace(word.partition("/")[0], places.get(word.partition("/")[0], word)) for word in arguments])
    out, err = capsys.readouterr()
    assert caught.value.code == code, err
    assert message in err
    assert "Traceback" not in err
    assert out == ""
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "out.partial").exists()


def test_a_damaged_pack_is_named_with_key_and_offset(pack: Path, tmp_path: Path) -> None:
    content = bytearray((pack / "train.rec").read_bytes())
    content[0] ^= 1
    (pack / "train.rec").write_bytes(content)
    result = run("mask", str(pack), str(tmp_path / "out"), "--workers", "1")
    assert result.returncode == 1
    assert "train.rec, key 1, offset 0" in result.stderr
    assert "Traceback" not in result.stderr


def test_json_is_for_programs(pack: Path, tmp_path: Path) -> None:
    result = run("mask", str(pack), str(tmp_path / "out"), "--ratio", "0.5", "--workers", "1", "--json")
    summary = json.loads(result.stdout)
    assert summary["wanted"] == 4
    assert sum(summary["errors"].values()) == 4
    assert (summary["images"], summary["contact"]) == (4, None)
    assert result.returncode == 1
    assert "not one picture could be masked" in result.stderr


def test_an_existing_destination_is_refused_without_overwrite(pack: Path, tmp_path: Path) -> None:
    arguments = ("mask", str(pack), str(tmp_path / "out"), "--workers", "1", "--ratio", "0")
    assert run(*arguments).returncode == 0
    refused = run(*arguments)
    assert refused.returncode == 2
    assert "--overwrite" in refused.stderr
    assert run(*arguments, "--overwrite").returncode == 0


def test_presets_give_way_to_what_is_given() -> None:
    import click

    from facekit.cli.mask import command, config_of
    from facekit.cli.options import take_executor

    def config(*arguments: str):  # type: ignore[no-untyped-def]
        context = command.make_context("mask", ["a", "b", *arguments])
        given = {name: value for name, value in context.params.items() if name not in ("as_json", "side", "dry_run")}
        given |= take_executor(given, None)
        with context:
            return config_of(click.get_current_context(), given)

    assert (config("--preset", "bcl").ratio, config("--preset", "bcl").mode) == (0.15, "add")
    maskdul = config("--preset", "maskdul")
    assert (maskdul.ratio, maskdul.mode, len(maskdul.types)) == (0.5, "replace", 5)
    assert config("--preset", "maskdul", "--ratio", "0.2", "--types", "kn95").ratio == 0.2
    assert config("--preset", "maskdul", "--types", "kn95").types == (("kn95", 1.0),)
    assert config("--tilt", "-3:4", "--shadow", "0.5").options.tilt_range == (-3.0, 4.0)


def test_public_names_are_all_there() -> None:
    assert set(facekit.__all__) <= set(dir(facekit))
    for name in facekit.__all__:
        assert getattr(facekit, name) is not None
    with pytest.raises(AttributeError, match="nonsense"):
        facekit.nonsense  # noqa: B018


def test_the_runner_of_click_finds_the_commands_too() -> None:
    assert CliRunner().invoke(program, ["mask", "--help"]).exit_code == 0


@pytest.mark.parametrize(
    ("words", "near"),
    [
        (["mask", "PACK", "OUT", "--types", "n96-cup"], "n95-cup"),
        (["plugins", "blc"], "bcl"),
        (["train", "blc", "PACK", "OUT"], "bcl"),
        (["train", "bcl", "PACK", "OUT", "--recipe", "arc-smal"], "arcface-small"),
        (["train", "bcl", "PACK", "OUT", "--set", "epoch=3"], "epochs"),
    ],
)
def test_a_word_that_is_nearly_right_is_recognised(pack: Path, tmp_path: Path, words: list[str], near: str) -> None:
    places = {"PACK": str(pack), "OUT": str(tmp_path / "out")}
    refused = run(*(places.get(word, word) for word in words))
    assert refused.returncode == 2
    assert f"did you mean {near!r}?" in refused.stderr
