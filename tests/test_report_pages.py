"""What a person meets on the pages: keys, the dialog, narrow windows, contrast; in a browser where there is one."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chromium import Chromium, open_chromium
from clean_packs import make_pack

from facekit.clean.overrides import Overrides, require_known
from facekit.clean.settings import CleanSettings
from facekit.cli.review import has_display
from facekit.errors import FacekitError
from facekit.jobs.clean import candidates as candidates_module
from facekit.jobs.clean.candidates import Candidates
from facekit.jobs.clean.config import CleanConfig
from facekit.jobs.clean.job import clean
from facekit.jobs.clean.report import PAIRS, ReviewConfig, open_review, read_pairs
from facekit.jobs.clean.tables import read_decisions
from facekit.records.distinct import blocks
from facekit.report.rounds_page import build_rounds_page

HERE = Path(__file__).parent
ENTER, ESCAPE, TAB, DOWN, RIGHT = "\ue007", "\ue00c", "\ue004", "\ue015", "\ue014"
CONTRAST = (HERE / "page_contrast.js").read_text("utf-8")
CUT = (HERE / "page_cut.js").read_text("utf-8")
SORTED = "const all = overrides(); all.keep.sort(); all.drop.sort(); return all"
SMALL = """// Words of charts that are drawn smaller than ten pixels, or lie outside of them.
return [...document.querySelectorAll("svg")].flatMap((svg) => { const box = svg.getBoundingClientRect();
  const scale = box.width / svg.viewBox.baseVal.width; return [...svg.querySelectorAll("text")].filter((text) => {
    const at = text.getBoundingClientRect();
    return at.left < box.left - 1 || at.right > box.right + 1 || box.right > innerWidth
      || parseFloat(getComputedStyle(text).fontSize) * scale < 10; }).map((text) => text.textContent); });"""


@pytest.fixture(scope="module")
def cleaned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cleaned")
    pack = make_pack(folder, identities=60)
    settings = CleanSettings(mode="robust", threads=1)
    clean(CleanConfig(str(pack.folder), str(folder / "out"), features=str(pack.features), settings=settings))
    return folder


@contextmanager
def reviewed(cleaned: Path, saved: Path, vectors: bool = True) -> Iterator[str]:
    features = str(cleaned / "vectors.npy") if vectors else None
    with open_review(ReviewConfig(str(cleaned / "out"), features=features, overrides=str(saved))) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/"
        finally:
            server.shutdown()
            thread.join()


def open_tab(page: Chromium, address: str, tab: str) -> None:
    page.open(address)
    page.click(f"[data-tab={tab}]")


def test_the_nearest_identities_are_those_of_the_vectors(cleaned: Path) -> None:
    """Against a plain loop over all identities."""
    table, pairs = read_decisions(cleaned / "out"), read_pairs(cleaned / "out" / PAIRS)
    vectors = np.load(cleaned / "vectors.npy")
    candidates = Candidates(table, pairs, vectors)
    row = int(np.flatnonzero(table.reason == "relabel")[0])
    expected = []
    stays = np.isin(table.reason, ["inlier", "union", "inter"])  # the others are like another identity, if any
    for label in sorted(set(table.old_label.tolist()) - {int(table.old_label[row])}):
        rows = np.flatnonzero((table.old_label == label) & stays)
        rows = rows if len(rows) else np.flatnonzero(table.old_label == label)
        best = rows[np.argmax(table.similarity[rows])]
        expected.append((float(vectors[best] @ vectors[row]), label))
    found = candidates.near(int(table.keys[row]))
    assert [one["similarity"] for one in found] == pytest.approx(
        sorted((s for s, _ in expected), reverse=True)[:8], abs=2e-3
    )
    assert found[0]["label"] == max(expected)[1]
    for one in found:
        assert one["faces"] == (table.old_label == one["label"]).sum()
        own = np.flatnonzero((table.old_label == one["label"]) & stays)
        most = own[np.argsort(-table.similarity[own], kind="stable")[:4]]
        assert one["pictures"][: len(most)] == table.keys[most].tolist(), "its own most typical faces come first"
        assert set(table.old_label[np.isin(table.keys, one["pictures"])].tolist()) == {one["label"]}


def test_of_each_identity_the_first_most_typical_face_is_taken(cleaned: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is looked at at once, and however many faces are as typical: against sorting all of them."""
    monkeypatch.setattr(candidates_module, "blocks", lambda count, rows=7: blocks(count, min(rows, 7)))
    table, pairs = read_decisions(cleaned / "out"), read_pairs(cleaned / "out" / PAIRS)
    rng = np.random.default_rng(0)
    ties = rng.choice(np.array([0.2, 0.5, np.nan, -1], np.float32), len(table))
    for order in (np.arange(len(table)), rng.permutation(len(table))):
        shuffled = replace(table.select_rows(order), similarity=ties)
        candidates = Candidates(shuffled, pairs, np.load(cleaned / "vectors.npy")[order])
        stays = np.isin(shuffled.reason, ["inlier", "union", "inter"])
        rank = np.lexsort((-(np.nan_to_num(ties, nan=-1) - 4 * ~stays), shuffled.old_label))
        wanted = rank[np.searchsorted(shuffled.old_label[rank], candidates.labels)]
        assert candidates._typical_rows().tolist() == wanted.tolist()


def test_without_vectors_similar_identities_are_offered(cleaned: Path) -> None:
    table, pairs = read_decisions(cleaned / "out"), read_pairs(cleaned / "out" / PAIRS)
    candidates = Candidates(table, pairs)
    a, b = int(pairs.left[0]), int(pairs.right[0])
    key = int(table.keys[np.flatnonzero(table.old_label == a)[0]])
    assert b in [one["label"] for one in candidates.near(key)]
    assert a not in [one["label"] for one in candidates.near(key)]


@pytest.mark.parametrize("given", [Overrides(move={1: 99999}), Overrides(keep=(10**9,)), Overrides(split=(99999,))])
def test_what_the_decisions_do_not_know_is_refused(cleaned: Path, given: Overrides) -> None:
    table = read_decisions(cleaned / "out")
    with pytest.raises(FacekitError, match="which the decisions do not know"):
        require_known(given, table.keys, np.unique(table.old_label))


def test_a_face_is_moved_with_the_keyboard_alone(cleaned: Path, tmp_path: Path) -> None:
    saved = tmp_path / "overrides.json"
    with reviewed(cleaned, saved) as address, open_chromium(tmp_path / "profile") as page:
        page.open(address)
        page.run("document.getElementById('tab-overview').focus()")
        page.type(RIGHT)
        assert page.run("return document.querySelector('[aria-selected=true]').id") == "tab-faces"
        page.type(TAB, TAB, DOWN)  # past the choice of reasons, into the list
        assert page.run("return list.current") == 1
        page.type("k")
        assert page.run("return list.current") == 0, "k goes back and keeps nothing"
        key = page.run("return list.rows[0].key")
        page.type("m")
        page.wait(
            "return document.querySelectorAll('.choice').length === 8 && document.activeElement.matches('.choice')"
        )
        page.type(ESCAPE)
        page.wait("return !document.getElementById('move')")
        page.type("m")
        page.wait("return document.querySelectorAll('.choice').length === 8")
        page.run("document.getElementById('label').focus()")
        page.type(*"99999", ENTER)
        page.wait("return document.getElementById('said').textContent.startsWith('no identity has the label 99999')")
        assert page.run("return [...state.move]") == []
        page.run("document.getElementById('label').value = ''")
        table = read_decisions(cleaned / "out")
        other = next(
            label for label in np.unique(table.old_label).tolist() if label != table.old_label[table.row_of(key)]
        )
        page.type(*str(other), ENTER)
        page.wait(f"return document.activeElement.textContent.includes('identity {other} ')")
        page.type(ENTER)
        assert page.run("return [...state.move]") == [[key, other]]
        assert page.run("return list.current") == 1
        page.type_together("\ue009", "s")
        page.wait("return document.getElementById('status').textContent === 'saved'")
        assert json.loads(saved.read_text())["move"] == {str(key): other}
        page.run("state.move.set(1, 99999); save()")
        page.wait("return document.getElementById('status').textContent.includes('99999')")
        assert json.loads(saved.read_text())["move"] == {str(key): other}


def test_the_identity_that_a_face_is_moved_to_is_shown(cleaned: Path, tmp_path: Path) -> None:
    table = read_decisions(cleaned / "out")
    with reviewed(cleaned, tmp_path / "o.json") as address, open_chromium(tmp_path / "profile") as page:
        open_tab(page, address, "faces")
        page.run(
            "const s = document.querySelector('select'); s.value = 'relabel'; s.dispatchEvent(new Event('change'));"
        )
        shown = page.run(
            "return list.rows.slice(0, 3).map((face, at) => [face.key, face.near,"
            " [...list.shown.get(at).querySelectorAll('.strip > *')].map((one) => one.title || one.textContent)])"
        )
        assert len(shown) == 3
        for key, near, strip in shown:
            assert near == table.nearest[table.row_of(key)] != table.old_label[table.row_of(key)]
            assert strip[0] == f"key {key}"
            after = [int(title.split()[1]) for title in strip[strip.index("→") + 1 :]]
            assert len(after) == 2
            assert set(table.old_label[[table.row_of(one) for one in after]].tolist()) == {near}


def test_a_list_that_is_higher_than_a_browser_can_lay_out_is_walked_to_its_end(cleaned: Path, tmp_path: Path) -> None:
    """Firefox stops at 17.8 million pixels and Chromium at 33.5; 400,000 rows have 36.8."""
    make = """const rows = Array.from({length: 400000}, (_, at) => ({...C.faces[at % C.faces.length], at}));
        use(document.querySelector(".list").parentNode, new List(rows, faceRow, FACE_KEYS, faceDrawn));
        return list.node.scrollHeight"""
    with reviewed(cleaned, tmp_path / "o.json") as address, open_chromium(tmp_path / "profile") as page:
        open_tab(page, address, "faces")
        assert page.run(make) < 17e6
        for row in (399_999, 200_000, 1, 399_998):
            top, bottom, room = page.run(
                "list.go(arguments[0]); const box = list.node.getBoundingClientRect();"
                "const row = list.shown.get(arguments[0]).getBoundingClientRect();"
                "return [row.top - box.top, row.bottom - box.top, box.height]", row
            )  # fmt: skip
            assert -4 <= top < bottom <= room + 4, row
        page.run("list.node.scrollTop = list.node.scrollHeight")
        page.wait("return list.shown.has(399999)")


def test_changes_are_undone_one_by_one(cleaned: Path, tmp_path: Path) -> None:
    with reviewed(cleaned, tmp_path / "o.json") as address, open_chromium(tmp_path / "profile") as page:
        open_tab(page, address, "faces")
        page.run("setFace(list.rows[0], 'move', list.rows[5].old); list.go(0)")
        states = [page.run(SORTED)]
        for key in ("y", "k", "d", "d", "k", "k", "k", "y"):  # over the move, and twice at one place
            page.type(key)
            if key not in "jk":
                states.append(page.run(SORTED))
        page.click("[data-tab=groups]")
        page.type("s")
        assert page.run("return overrides().split.length") == 1
        for state in reversed(states):
            page.type("u")
            assert page.run(SORTED) == state
        page.run("saved = true")


@pytest.mark.parametrize("width", [390, 1400])
def test_the_current_row_is_never_under_the_bar(cleaned: Path, tmp_path: Path, width: int) -> None:
    with reviewed(cleaned, tmp_path / "o.json") as address, open_chromium(tmp_path / "profile") as page:
        page.emulate(width, 800)
        open_tab(page, address, "faces")
        for _ in range(6):
            page.type("j")
            row, bar = page.run(
                "return [list.shown.get(list.current), document.getElementById('bar')]"
                ".map((node) => { const box = node.getBoundingClientRect(); return [box.top, box.bottom]; })"
            )
            assert row[0] >= 0
            assert row[1] <= bar[0] + 1
        assert page.run("return document.getElementById('spoken').textContent").startswith("7 of ")


def test_the_bar_keeps_the_focus_and_names_the_keys_that_work(cleaned: Path, tmp_path: Path) -> None:
    with reviewed(cleaned, tmp_path / "o.json") as address, open_chromium(tmp_path / "profile") as page:
        open_tab(page, address, "near")
        hint = page.run("return document.querySelector('.hint').textContent")
        assert "merge" in hint
        assert "split" not in hint
        page.run("document.getElementById('save').focus()")
        page.type(ENTER)
        page.wait("return saved")
        assert page.run("return document.activeElement.id") == "save"


def test_narrowly_kept_faces_are_reviewed_too(cleaned: Path, tmp_path: Path) -> None:
    table = read_decisions(cleaned / "out")
    with reviewed(cleaned, tmp_path / "o.json") as address, open_chromium(tmp_path / "profile") as page:
        open_tab(page, address, "narrow")
        rows = page.run("return C.narrow")
        margin = table.similarity - table.threshold
        places = [table.row_of(row["key"]) for row in rows]
        assert len(rows) == np.isin(table.reason, ["inlier", "union", "inter"]).sum()
        assert np.array_equal(margin[places], np.sort(margin[places]))
        page.type("d")
        assert page.run("return [...state.drop]") == [rows[0]["key"]]


LONGEST = """const big = 2059905, key = 41999999;
    const why = `centre of label ${big + 1}; in its largest cluster`;
    C.faces = ["relabel", "second_person", "hub"].map((reason) => ({key, old: big, new: big - 9, near: big + 1,
      action: "move", reason, similarity: -.123, why}));
    C.narrow = C.faces;
    const members = Array.from({length: 12}, (_, at) => ({label: big + at, faces: 12345}));
    C.groups = [{new: big, weakest: 1.1234, members}];
    C.near = [{a: big, b: big + 1, similarity: 1.1234}];
    for (let at = 0; at < 12; at++) C.samples[big + at] = [key, key, key, key];
    state.move.set(key, big + 2); state.merge.set(`${big} ${big + 1}`, [big, big + 1]);
    for (const member of members) state.split.add(member.label);"""


@pytest.mark.parametrize("width", [320, 390, 700, 720, 1280, 1300, 1400])
def test_rows_hold_what_a_pack_of_42_million_pictures_has_to_say(cleaned: Path, tmp_path: Path, width: int) -> None:
    with reviewed(cleaned, tmp_path / "o.json") as address, open_chromium(tmp_path / "profile") as page:
        page.emulate(width, 800)
        page.open(address)
        page.run(LONGEST)
        for tab in ("faces", "groups", "near", "narrow"):
            page.click(f"[data-tab={tab}]")
            assert page.run("return document.querySelectorAll('.row').length") >= 1
            assert page.run(CUT) == [], tab


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1400])
def test_every_word_can_be_read(cleaned: Path, tmp_path: Path, width: int, scheme: str) -> None:
    """No text is cut off, and all has the contrast that WCAG 2.2 asks of it (1.4.3: 4.5 to 1)."""
    with reviewed(cleaned, tmp_path / "o.json") as address, open_chromium(tmp_path / "profile") as page:
        page.emulate(width, 800, scheme)
        page.open(address)
        for tab in ("overview", "faces", "groups", "near", "narrow"):
            page.click(f"[data-tab={tab}]")
            if tab == "faces":
                page.type("y", "d")
            assert page.run(CUT) == [], tab
            assert page.run(SMALL) == [], tab
            assert [found for found in page.run(CONTRAST) if found[0] < 4.5] == [], tab
        page.click("[data-tab=faces]")
        page.type("m")
        page.wait("return document.querySelectorAll('.choice').length")
        assert page.run(CUT) == []
        page.run("saved = true")


def rounds(number: int) -> dict[str, Any]:
    return {
        "number": number, "images": 100, "identities": 10, "kept": 90, "identities_kept": 9, "purity": 0.9,
        "purity_before": 0.8, "newly_kept": 1, "newly_dropped": 2, "scores": {"a": 0.9}, "reasons": {"intra": 10},
    }  # fmt: skip


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1400])
def test_the_page_of_rounds_can_be_read(tmp_path: Path, width: int, scheme: str) -> None:
    (tmp_path / "rounds.html").write_text(
        build_rounds_page("people", "bcl", {"a": 0.8}, [rounds(1), rounds(2)]), "utf-8"
    )
    with open_chromium(tmp_path / "profile") as page:
        page.emulate(width, 800, scheme)
        page.open((tmp_path / "rounds.html").as_uri())
        assert page.run(CUT) == []
        assert page.run(SMALL) == []
        assert [found for found in page.run(CONTRAST) if found[0] < 4.5] == []


@pytest.mark.parametrize(
    ("environment", "platform", "there"),
    [
        ({}, "linux", False),
        ({"DISPLAY": ""}, "linux", False),
        ({"DISPLAY": ":0"}, "linux", True),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "linux", True),
        ({}, "darwin", True),
    ],
)
def test_no_browser_is_opened_without_a_display(environment: dict[str, str], platform: str, there: bool) -> None:
    assert has_display(environment, platform) is there


def test_an_empty_list_is_said_in_words(cleaned: Path, tmp_path: Path) -> None:
    """No number of nothing, no order of it, and no empty frame."""
    words = {
        "near": "no identities were so similar that they nearly became one",
        "groups": "no identities became one",
        "narrow": "no face was kept by its similarity",
        "faces": "every face was kept where it was",
    }
    with reviewed(cleaned, tmp_path / "o.json") as address, open_chromium(tmp_path / "profile") as page:
        page.open(address)
        for tab in words:
            page.run(f"C.{tab}.length = 0")
        for tab, said in words.items():
            page.click(f"[data-tab={tab}]")
            assert page.run("return document.querySelector('.filters').textContent").endswith(said)
            assert page.run("return document.querySelector('.list').offsetHeight") == 0
            page.type("j", "y")  # there is nothing to keep
        assert page.run("return overrides().keep") == []
