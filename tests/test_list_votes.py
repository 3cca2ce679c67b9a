"""Several lists made one by vote, and signatures that standard tools verify."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from writing_commands import assert_refused, call, do

from facekit.clean.decisions import Action, Reason
from facekit.clean.list_matching import Key, find_pictures
from facekit.clean.list_votes import merged_list
from facekit.clean.lists import CleanList, Pictures, make_list, numbered
from facekit.errors import FacekitError
from facekit.images.perceptual import HASH_BYTES
from facekit.jobs.inputs.clean_list import read_list, write_list

OUT = -1


def pictures(names: list[int], stored: int = 0) -> Pictures:
    """Pictures by number; stored in another way, they have other bytes and three bits of the other hash changed."""
    payload = [np.random.default_rng([name, stored, 1]).integers(0, 256, 16) for name in names]
    shown = [np.random.default_rng([name, 2]).integers(0, 256, HASH_BYTES) for name in names]
    perceptual = np.array(shown, np.uint8).reshape(-1, HASH_BYTES)
    perceptual[:, 5] ^= 7 if stored else 0
    return Pictures(np.array(payload, np.uint8).reshape(-1, 16), perceptual)


def list_of(said: dict[int, int], who: str = "a", stored: int = 0) -> CleanList:
    """A list that says of pictures whom they show, or that they are out."""
    identity = np.array([*said.values()], np.int64)
    action = np.where(identity < 0, Action.DROP, Action.KEEP).astype(np.int8)
    reason = np.where(identity < 0, Reason.INTRA, Reason.INLIER).astype(np.int8)
    about = {"voters": [{"who": who, "model": f"model of {who}", "settings": {}, "pictures": len(said)}]}
    return make_list(pictures([*said], stored), action, reason, identity, about)


def said_by(listed: CleanList, names: list[int]) -> dict[int, int]:
    """What a list says of pictures; of people only who is the same matters."""
    rows = find_pictures(listed, pictures(names)).rows
    assert (rows >= 0).all()
    return dict(zip(names, numbered(listed.identity[rows]).tolist(), strict=True))


A = {1: 0, 2: 0, 3: 0, 4: 1, 5: 1, 6: OUT}
B = {1: 5, 2: 5, 3: OUT, 4: 5, 5: 5, 6: OUT}  # the same person; 3 is out
C = {1: 7, 2: 7, 3: 7, 4: 8, 5: 8, 6: 8, 9: 8}  # 6 is in; knows 9
NAMES = [1, 2, 3, 4, 5, 6, 9]


@pytest.mark.parametrize("stored", [0, 1])
@pytest.mark.parametrize(
    ("vote", "wanted"),
    [
        ("majority", [0, 0, 0, 1, 1, OUT, 1]),
        ("any", [0, 0, OUT, 0, 0, OUT, 0]),
        ("all", [0, 0, 0, 1, 1, 1, 1]),
    ],
)
def test_votes(vote: str, wanted: list[int], stored: int) -> None:
    merged = merged_list([list_of(A, "a"), list_of(B, "b", stored), list_of(C, "c", stored)], vote)
    assert len(merged) == len(NAMES)
    found = find_pictures(merged, pictures(NAMES))
    assert dict(zip(NAMES, numbered(merged.identity[found.rows]).tolist(), strict=True)) == dict(
        zip(NAMES, wanted, strict=True)
    )
    assert [voter["who"] for voter in merged.about["voters"]] == ["a", "b", "c"]
    assert merged.about["vote"] == vote
    known, same = (column[found.rows].tolist() for column in (merged.known_by, merged.said_by))
    assert known == [7, 7, 7, 7, 7, 7, 4]
    assert same[:2] == [7, 7]
    assert same[2] == {"any": 2}.get(vote, 5)
    assert same[5] == {"all": 4}.get(vote, 3)


def test_a_tie_leaves_a_picture_in() -> None:
    merged = merged_list([list_of({1: 0, 2: OUT}), list_of({1: OUT, 2: 0})], "majority")
    assert (merged.identity >= 0).all()


@given(st.dictionaries(st.integers(0, 30), st.integers(-1, 4), min_size=1), st.integers(1, 4), st.sampled_from(
    ["majority", "any", "all"]))  # fmt: skip
def test_a_list_merged_with_itself_says_the_same(said: dict[int, int], times: int, vote: str) -> None:
    one = list_of(said)
    merged = merged_list([one] * times, vote)
    assert np.array_equal(merged.identity, one.identity)
    assert np.array_equal(merged.action_code, one.action_code)
    assert np.array_equal(merged.known_by, merged.said_by)
    assert (merged.said_by == 2**times - 1).all()


SAYINGS = st.lists(st.dictionaries(st.integers(0, 12), st.integers(-1, 3), min_size=1), min_size=2, max_size=4)


@given(SAYINGS)
def test_votes_against_a_plain_reference(sayings: list[dict[int, int]]) -> None:
    lists = [list_of(said, str(at)) for at, said in enumerate(sayings)]
    names = sorted(set().union(*sayings))
    for vote in ("majority", "any", "all"):
        found = said_by(merged_list(lists, vote), names)
        for name in names:
            spoken = [said[name] for said in sayings if name in said]
            out = sum(one == OUT for one in spoken)
            wanted = {"any": out > 0, "all": out == len(spoken), "majority": 2 * out > len(spoken)}[vote]
            assert (found[name] == OUT) == wanted, (vote, name)
        inside = [name for name in names if found[name] != OUT]
        for one in inside:
            for other in inside:
                both = [
                    said[one] == said[other] for said in sayings if min(said.get(one, OUT), said.get(other, OUT)) >= 0
                ]
                if vote == "any" and any(both):
                    assert found[one] == found[other]
                if vote == "all" and both and not all(both):
                    assert found[one] != found[other]
    linked, groups = said_by(merged_list(lists, "any"), names), joined(sayings)
    for one in linked:
        for other in linked:
            if min(linked[one], linked[other]) >= 0:
                assert (linked[one] == linked[other]) == any({one, other} <= group for group in groups)


def joined(sayings: list[dict[int, int]]) -> list[set[int]]:
    """Sets of pictures of one person, by any list and by way of any picture that is in for it."""
    groups = [{name for name in said if said[name] == who} for said in sayings for who in {*said.values()} - {OUT}]
    for _ in groups:
        for group in groups:
            for other in groups:
                if group & other:
                    group |= other
    return groups


def test_too_many_voters_are_refused() -> None:
    many = [list_of({1: 0}, str(at)) for at in range(64)]
    with pytest.raises(FacekitError, match="64 voters, a list holds 63"):
        merged_list(many, "any")


def test_merged_lists_are_merged_further(tmp_path: Path) -> None:
    inner = merged_list([list_of(A, "a"), list_of(B, "b")], "any")
    write_list(tmp_path / "inner", inner)
    merged = merged_list([list_of(C, "c"), read_list(tmp_path / "inner")], "majority")
    assert [voter["who"] for voter in merged.about["voters"]] == ["c", "a", "b"]
    rows = find_pictures(merged, pictures([3, 9])).rows
    # Of 3: c says in, a and b together out, a tie: in. So b, who said out, disagrees, and a, outvoted there, agrees.
    assert merged.known_by[rows].tolist() == [7, 1]
    assert merged.said_by[rows].tolist() == [3, 1]


def test_equal_and_near_pictures_are_dealt_out_once() -> None:
    listed = list_of({1: 0, 2: 1})
    both = Pictures(*map(np.concatenate, zip(pictures([1, 1, 2], 1), pictures([1]), strict=True)))
    found = find_pictures(listed, both)
    assert found.keys.tolist() == [Key.AMBIGUOUS, Key.AMBIGUOUS, Key.PERCEPTUAL, Key.PAYLOAD]
    assert found.counts()["ambiguous"] == 2


@pytest.mark.parametrize(
    ("bits", "other", "key"), [(1, 1, Key.AMBIGUOUS), (1, 0, Key.PERCEPTUAL), (8, 1, Key.PERCEPTUAL)]
)
def test_what_lies_between_two_that_say_different_things_is_refused(bits: int, other: int, key: Key) -> None:
    """Two pictures in the list that are nearly the same; a third one is so many bits nearer to the first."""
    first, third = pictures([1]), pictures([1], 1)
    near = first.perceptual.copy()
    near[0, : bits // 8 + 1] ^= np.array([255] * (bits // 8) + [(1 << bits % 8) - 1], np.uint8)
    payload = np.concatenate([first.payload_hash, pictures([2]).payload_hash])
    both = Pictures(payload, np.concatenate([first.perceptual, near]))
    codes = np.zeros(2, np.int8)
    listed = make_list(both, codes, codes, np.array([0, other], np.int64), {"voters": [{}]})
    assert find_pictures(listed, third).keys.tolist() == [key]


def saved(folder: Path, **lists: dict[int, int]) -> list[Path]:
    for name, said in lists.items():
        write_list(folder / name, list_of(said, name))
    return [folder / name for name in lists]


def test_merge_and_diff_on_the_command_line(tmp_path: Path) -> None:
    a, b, c = saved(tmp_path, a=A, b=B, c=C)
    merged = call(["lists", "merge", a, b, c, tmp_path / "all", "--json"])
    summary = json.loads(merged.out)
    assert (summary["pictures"], summary["identities"], summary["agreed"]) == (7, 2, 5)
    assert summary["actions"] == {"keep": 6, "move": 0, "drop": 1, "review": 0}
    assert read_list(tmp_path / "all").about["vote"] == "majority"
    assert "said by  b; model model of b; 6 pictures" in call(["lists", "show", tmp_path / "all"]).out
    found = json.loads(call(["lists", "diff", a, b, "--json"]).out)
    assert (found["both"], found["only_one"], found["only_other"], found["same"]) == (6, 0, 0, 5)
    assert (found["changed"], found["split"], found["merged"]) == ({"keep, drop": 1}, 0, 2)
    found = json.loads(call(["lists", "diff", b, c, "--json"]).out)
    assert (found["both"], found["only_one"], found["only_other"], found["split"]) == (6, 0, 1, 1)
    assert found["changed"] == {"drop, keep": 2}
    assert "identities of the first that the second splits: 1" in call(["lists", "diff", b, c]).out


def test_a_list_votes_once_under_whatever_names(tmp_path: Path) -> None:
    a, b = saved(tmp_path, a=A, b=B)
    shutil.copy(a, tmp_path / "copy")
    for lists, named in (([a, a], a), ([a, b, tmp_path / "copy"], tmp_path / "copy"), ([b, a, b], b)):
        said = call(["lists", "merge", *lists, tmp_path / "merged.list"])
        assert_refused(said, f"and {named} are one list, which votes once", "choose one of them")
    assert not (tmp_path / "merged.list").exists()


def key_in(folder: Path, name: str) -> Path:
    key = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", folder / name]
    subprocess.run(key, check=True)
    return folder / name


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="ssh-keygen is not on this machine: install OpenSSH")
def test_a_signature_is_that_of_openssh(tmp_path: Path) -> None:
    (listed,) = saved(tmp_path, a=A)
    mine, other = key_in(tmp_path, "mine"), key_in(tmp_path, "other")
    signers = tmp_path / "signers"
    signers.write_text(f"me@example.org {mine.with_suffix('.pub').read_text()}")
    do(["lists", "sign", listed, "--key", mine])
    said = call(["lists", "show", listed, "--allowed-signers", signers])
    assert said.code == 0, said.err
    assert "signed by me@example.org (ED25519 key SHA256:" in said.out
    words = ["-Y", "verify", "-f", signers, "-I", "me@example.org", "-n", "facekit-list", "-s", f"{listed}.sig"]
    checked = subprocess.run(["ssh-keygen", *words], input=listed.read_bytes(), capture_output=True, check=False)
    assert checked.returncode == 0, checked.stderr
    assert f"{listed} is signed with ED25519 key SHA256:" in call(["lists", "show", listed]).out
    assert_refused(call(["lists", "sign", listed, "--key", mine]), "exists already")

    strangers = tmp_path / "strangers"
    strangers.write_text(f"them@example.org {other.with_suffix('.pub').read_text()}")
    assert_refused(call(["lists", "show", listed, "--allowed-signers", strangers]), "by nobody in")
    write_list(listed, list_of(B))
    assert_refused(call(["lists", "show", listed, "--allowed-signers", signers]), "is not what me@example.org signed")
    assert f"{listed} is NOT what {listed}.sig signs: sign it anew if" in call(["lists", "show", listed]).out
    do(["lists", "sign", listed, "--key", mine, "--overwrite"])
    do(["lists", "show", listed, "--allowed-signers", signers])


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="ssh-keygen is not on this machine: install OpenSSH")
def test_a_merge_looks_at_every_signature(tmp_path: Path) -> None:
    one, other = saved(tmp_path, a=A, b=B)
    mine, stranger = key_in(tmp_path, "mine"), key_in(tmp_path, "stranger")
    signers = tmp_path / "signers"
    signers.write_text(f"me@example.org {mine.with_suffix('.pub').read_text()}")
    do(["lists", "sign", one, "--key", mine])
    merge = ["lists", "merge", one, other, tmp_path / "merged.list", "--overwrite"]
    said = json.loads(call([*merge, "--json"]).out)["signatures"]
    assert said[str(other)] == "unsigned"
    assert said[str(one)].startswith("signed with ED25519 key SHA256:")
    assert f"{other} is unsigned\n" in call(merge).out
    assert f"{other}.sig: there is no such signature" in call([*merge, "--allowed-signers", signers]).err
    do(["lists", "sign", other, "--key", stranger])
    assert_refused(call([*merge, "--allowed-signers", signers]), f"{other}.sig is by nobody in")
    do(["lists", "sign", other, "--key", mine, "--overwrite"])
    said = json.loads(call([*merge, "--allowed-signers", signers, "--json"]).out)["signatures"]
    assert all(words.startswith("signed by me@example.org (ED25519 key SHA256:") for words in said.values())
    before = (tmp_path / "merged.list").read_bytes()
    write_list(other, list_of(A))
    assert_refused(call(merge), f"{other} is not what {other}.sig signs")
    assert (tmp_path / "merged.list").read_bytes() == before


def test_without_ssh_keygen_that_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed, other = saved(tmp_path, a=A, b=B)
    key = tmp_path / "key"
    key.write_text("of nobody")
    Path(f"{listed}.sig").write_text("-----BEGIN SSH SIGNATURE-----")
    monkeypatch.setenv("PATH", str(tmp_path))
    for words in (["sign", listed, "--key", key, "--overwrite"], ["show", listed, "--allowed-signers", key]):
        assert_refused(call(["lists", *words]), "install OpenSSH's client")
    do(["lists", "show", listed])
    merge = ["lists", "merge", listed, other, tmp_path / "merged.list"]
    assert_refused(call([*merge, "--allowed-signers", key]), "install OpenSSH's client")
    assert f"{listed} is signed, which was not verified: ssh-keygen is not on this machine" in call(merge).out
