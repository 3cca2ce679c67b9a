"""The report and the review, in a real browser where there is one."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chromium import open_chromium
from clean_packs import make_pack

from facekit.clean.settings import CleanSettings
from facekit.errors import ConfigError, FacekitError
from facekit.jobs.clean.apply import ApplyConfig, apply
from facekit.jobs.clean.config import CleanConfig
from facekit.jobs.clean.job import clean
from facekit.jobs.clean.report import ReviewConfig, open_review
from facekit.jobs.clean.tables import read_decisions
from facekit.report.clean_content import CleanRows, build_content
from facekit.report.clean_page import build_page
from facekit.report.review import ReviewHandlers, open_server


@pytest.fixture(scope="module")
def cleaned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cleaned")
    pack = make_pack(folder, identities=60)
    settings = CleanSettings(mode="published", threads=1)
    clean(CleanConfig(str(pack.folder), str(folder / "out"), features=str(pack.features), settings=settings))
    return folder


def many_rows(count: int) -> CleanRows:
    rng = np.random.default_rng(0)
    keys, old = np.arange(1, count + 1), np.arange(count) // 10
    dropped = rng.random(count) < 0.6
    similarity = np.where(dropped, rng.uniform(-0.2, 0.25, count), rng.uniform(0.25, 0.9, count)).astype(np.float32)
    nobody = np.zeros(0, np.int64)
    return CleanRows(
        keys, old, np.where(dropped, -1, old), dropped.astype(np.int8), dropped.astype(np.int8),
        similarity, np.full(count, 0.25, np.float32), old, np.arange(count, dtype=np.int32),
        nobody, nobody, nobody.astype(float),
        ("keep", "drop", "move", "review"), ("inlier", "intra"), [f"</script> & <b>{k}" for k in keys],
    )  # fmt: skip


@contextmanager
def served(handlers: ReviewHandlers | None = None, **config: Any) -> Iterator[str]:
    with open_server(handlers) if handlers else open_review(ReviewConfig(**config)) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:  # a server that is closed and not stopped looks for connections without a pause, until all tests end
            server.shutdown()
            thread.join()


def test_the_content_adds_up() -> None:
    rows = many_rows(3000)
    content = build_content(rows, {"intra": 0.25}, [], "somewhere", max_rows=100)
    totals = content["totals"]
    assert totals["images"] == 3000 == sum(entry["images"] for entry in content["flow"])
    assert totals["keep"] + totals["move"] == totals["images_out"] == sum(content["histogram"]["after"])
    assert sum(content["histogram"]["before"]) == 3000
    assert content["faces_total"] == totals["drop"]
    doubt = [abs(face["similarity"] - 0.25) for face in content["faces"]]
    assert len(doubt) == 100
    assert doubt == sorted(doubt)
    assert sum(content["sizes"]["before"]) == totals["identities"]


@pytest.mark.parametrize("text", ["</script><script>alert(1)</script>", "/a/<!--<script>/b", "/*SCRIPT*/", "]]>\u2028"])
def test_no_text_can_leave_the_data(text: str) -> None:
    content = build_content(many_rows(50), {}, [], text)
    page, plain = build_page(content, {}), build_page({**content, "source": ""}, {})
    assert [page.lower().count(mark) for mark in ("<script", "</script", "<!--")] == [2, 2, 0]
    data = page.partition('id="content">')[2].partition("</script>")[0]
    assert "<" not in data
    assert json.loads(data)["source"] == text
    assert page.partition('id="content">')[0] == plain.partition('id="content">')[0]
    assert "http://" not in page.replace("http://www.w3.org/2000/svg", "")


def test_the_static_page_draws_itself(cleaned: Path, tmp_path: Path) -> None:
    table = read_decisions(cleaned / "out")
    with open_chromium(tmp_path / "profile") as page:
        page.open((cleaned / "out" / "report" / "index.html").as_uri())
        words = page.run("return document.getElementById('sentence').textContent")
        assert f"{(table.action == 'drop').sum()} dropped" in words
        assert page.run("return document.querySelectorAll('svg').length") == 4
        page.click("[data-tab=faces]")
        assert page.run("return list.rows.length") == (table.reason == "intra").sum()
        page.wait(
            "return [...document.images].length > 10 && [...document.images].every((i) => i.complete && i.naturalWidth)"
        )
        page.click("[data-tab=groups]")
        assert page.run("return list.rows.length") == 6
        assert page.run("return document.querySelectorAll('.acts').length") == 0, "a static page cannot save"
        page.resize(420, 800)
        assert page.run("return document.documentElement.scrollWidth <= window.innerWidth"), "wider than a small window"
        assert page.call("POST", "/se/log", {"type": "browser"}) == []


def test_a_person_decides_and_apply_obeys(cleaned: Path, tmp_path: Path) -> None:
    saved = tmp_path / "overrides.json"
    before = read_decisions(cleaned / "out")
    with (
        served(folder=str(cleaned / "out"), overrides=str(saved)) as address,
        open_chromium(tmp_path / "profile") as page,
    ):
        page.open(address + "/")
        page.click("[data-tab=faces]")
        first, second, third = page.run("return C.faces.slice(0, 3).map((face) => face.key)")
        page.type("y", "d", "y", "u")
        page.click("[data-tab=groups]")
        split = page.run("return C.groups[0].members[1].label")
        page.click(".row .acts button")
        page.type_together("\ue009", "s")
        page.wait("return document.getElementById('status').textContent === 'saved'")
        given = json.loads(saved.read_text())
        assert given == {"format": 1, "keep": [first], "drop": [second], "move": {}, "merge": [], "split": [split]}
        # Opened again, the page still knows.
        page.open(address + "/")
        assert page.run("return [...state.keep, ...state.drop, ...state.split]") == [first, second, split]
        page.wait("return document.getElementById('count').textContent === '3 changes'")
        assert page.call("POST", "/se/log", {"type": "browser"}) == []
    summary = apply(
        ApplyConfig(str(cleaned / "pack"), str(cleaned / "out"), str(tmp_path / "out"), overrides=str(saved))
    )
    after = read_decisions(tmp_path / "out")
    assert after.action[after.row_of(first)] == "keep"
    assert before.action[before.row_of(first)] == "drop"
    assert after.action[after.row_of(third)] == "drop"
    assert summary.identities_out == len(np.unique(before.new_label[before.new_label >= 0])) + 1


def test_of_ten_thousand_rows_only_the_visible_ones_exist(tmp_path: Path) -> None:
    """Only visible rows exist, wherever one scrolls: how long a frame takes follows from it."""
    text = build_page(build_content(many_rows(25_000), {"intra": 0.25}, [], ""), {}, review=True)
    handlers = ReviewHandlers(lambda: text, lambda _: b"\xff\xd8", lambda _: None)
    with served(handlers) as address, open_chromium(tmp_path / "profile") as page:
        page.open(address + "/")
        page.click("[data-tab=faces]")
        assert page.run("return list.rows.length") > 10_000
        page.run("""
            window.frames_ = [];
            const end = performance.now() + 1500, height = list.inner.offsetHeight;
            let last = performance.now(), at = 0;
            const step = (now) => {
              frames_.push(now - last); last = now;
              list.node.scrollTop = (at = (at + 1777) % height);
              window.most_ = Math.max(window.most_ || 0, document.querySelectorAll('.row').length);
              if (now < end) requestAnimationFrame(step); else window.done_ = true;
            };
            requestAnimationFrame(step);
        """)
        page.wait("return window.done_")
        times = np.array(page.run("return frames_"))
        assert page.run("return most_") < 60
        assert len(times) > 1
        page.type("\ue010")
        last = page.run("return list.rows.length") - 1
        assert page.run("return list.current") == last
        assert page.run("return !!list.shown.get(list.current)")


def ask(address: str, method: str = "GET", body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        with urllib.request.urlopen(urllib.request.Request(address, body, given, method=method), timeout=10) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def test_the_server_answers_nobody_else(cleaned: Path, tmp_path: Path) -> None:
    saved = tmp_path / "overrides.json"
    with served(folder=str(cleaned / "out"), overrides=str(saved)) as address:
        assert ask(address + "/")[0] == 200
        assert ask(address + "/", Host="example.org")[0] == 403
        code, body = ask(address + "/picture/1")
        assert (code, body[:2]) == (200, b"\xff\xd8")
        for path in ("/picture/999999", "/picture/-1", "/picture/1x", "/../train.rec", "/nothing"):
            assert ask(address + path)[0] == 404
        good = b'{"keep": [1]}'
        assert ask(address + "/overrides", "POST", good)[0] == 403
        assert ask(address + "/overrides", "POST", good, X_Facekit="review", Host="example.org")[0] == 403
        assert not saved.exists()
        code, body = ask(address + "/overrides", "POST", b'{"keep": "x"}', X_Facekit="review")
        assert code == 400
        assert b"no overrides file" in body
        assert ask(address + "/overrides", "POST", good, X_Facekit="review")[0] == 200
        assert json.loads(saved.read_text())["keep"] == [1]


def test_the_command_serves_until_it_is_interrupted(cleaned: Path, tmp_path: Path) -> None:
    code = "from facekit.cli.review import command; command()"
    saved = str(tmp_path / "overrides.json")
    arguments = [str(cleaned / "out"), "--no-browse", "--overrides", saved]
    with subprocess.Popen([sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        address = process.stdout.readline().split()[0]
        status, page = ask(address)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
    assert status == 200
    assert b"Cleaning report" in page
    assert not Path(saved).exists()


def test_review_of_what_is_not_there(cleaned: Path, tmp_path: Path) -> None:
    with pytest.raises(FacekitError, match="not decisions: name what facekit clean wrote"):
        open_review(ReviewConfig(str(tmp_path)))
    other = make_pack(tmp_path, seed=5)
    with pytest.raises(FacekitError, match="not the pack that was cleaned"):
        open_review(ReviewConfig(str(cleaned / "out"), source=str(other.folder)))
    with (
        served(ReviewHandlers(str, lambda _: b"", lambda _: None)) as address,
        pytest.raises(ConfigError, match="choose another --port"),
    ):
        open_server(ReviewHandlers(str, lambda _: b"", lambda _: None), int(address.rpartition(":")[2]))


def test_the_report_compares_both_modes(cleaned: Path, tmp_path: Path) -> None:
    """What it says of the mode that was not asked for is what a run in that mode gives."""
    rows = read_decisions(cleaned / "out").about["comparison"]
    assert [row["mode"] for row in rows] == ["published", "robust"]
    pack, vectors, settings = cleaned / "pack", cleaned / "vectors.npy", CleanSettings(mode="robust", threads=1)
    clean(CleanConfig(str(pack), str(tmp_path / "robust"), features=str(vectors), settings=settings))
    tables = [read_decisions(cleaned / "out"), read_decisions(tmp_path / "robust")]
    for row, table in zip(rows, tables, strict=True):
        assert sum(row[action] for action in ("keep", "move", "drop", "review")) == len(table)
        assert row["drop"] == int((table.action == "drop").sum())
        assert row["identities"] == len(np.unique(table.new_label[table.new_label >= 0]))
    assert rows[0]["agree"] == int((tables[0].action == tables[1].action).sum())
