"""All pages against axe-core's rules (https://github.com/dequelabs/axe-core): what lacks a name, a role or contrast."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from chromium import Chromium, open_chromium
from test_report_pages import cleaned, open_tab, reviewed, rounds

from facekit.report.benchmark_page import build_benchmark_page
from facekit.report.rounds_page import build_rounds_page

__all__ = ["cleaned"]

ROOT = Path(__file__).parents[1]
RULES = Path(os.environ.get("FACEKIT_AXE", ROOT / ".venv-axe" / "node_modules" / "axe-core" / "axe.min.js"))
VIEWS = [(scheme, width) for scheme in ("light", "dark") for width in (390, 1400)]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    if not RULES.is_file():
        pytest.skip("no axe-core here: npm install --prefix .venv-axe axe-core, or FACEKIT_AXE=FOLDER/axe.min.js")
    with open_chromium(tmp_path_factory.mktemp("profile")) as page:
        yield page


def faults(page: Chromium) -> list[Any]:
    page.run(RULES.read_text("utf-8") + "; window.axe = axe;")
    return page.finish(
        "const done = arguments[0]; axe.run(document, {resultTypes: ['violations']}).then((found) =>"
        " done(found.violations.map((one) => [one.id, one.help, one.nodes.map((node) => node.html.slice(0, 120))])))"
    )  # fmt: skip


@pytest.mark.parametrize(("scheme", "width"), VIEWS)
def test_a_report_and_a_review(cleaned: Path, tmp_path: Path, page: Chromium, scheme: str, width: int) -> None:
    page.emulate(width, 800, scheme)
    with reviewed(cleaned, tmp_path / "o.json") as address:
        for place in (address, (cleaned / "out" / "report" / "index.html").as_uri()):
            for tab in ("overview", "faces", "groups", "near", "narrow"):
                open_tab(page, place, tab)
                assert faults(page) == [], (place, tab)
        open_tab(page, address, "faces")
        page.type("m")
        page.wait("return document.querySelectorAll('.choice').length")
        assert faults(page) == []


def summary() -> SimpleNamespace:
    def score(name: str, accuracy: float | None = None, refused: str | None = None) -> SimpleNamespace:
        points = [SimpleNamespace(far=far, tar=0.5) for far in ((0.01, 0.001) if refused is None else ())]
        return SimpleNamespace(
            name=name, genuine=1000, impostor=90_000, points=points, intervals=[(0.4, 0.6)] * len(points),
            accuracy=accuracy, accuracy_interval=None if accuracy is None else (0.7, 0.9), refused=refused,
        )  # fmt: skip

    return SimpleNamespace(
        benchmark="drawn-mfr-v1-0123456789abcdef", content="0" * 32, published=False, apart=3.0, model="1" * 32,
        alike=0.1, saw_drawn=True, pictures=4960, missing=0, score=0.5, far=0.01, style_gap={"restyled light": 0.4},
        scores=[score("masked to bare"), score("children", refused="no impostors"), score("verification pairs", 0.8)],
    )  # fmt: skip


@pytest.mark.parametrize(("scheme", "width"), VIEWS)
def test_the_pages_of_rounds_and_of_a_benchmark(tmp_path: Path, page: Chromium, scheme: str, width: int) -> None:
    page.emulate(width, 800, scheme)
    texts = {
        "rounds": build_rounds_page("people", "bcl", {"a": 0.8}, [rounds(1), rounds(2)]),
        "benchmark": build_benchmark_page("/somewhere/r50.onnx", summary()),
    }
    for name, text in texts.items():
        (tmp_path / f"{name}.html").write_text(text, "utf-8")
        page.open((tmp_path / f"{name}.html").as_uri())
        assert faults(page) == [], name


def test_the_page_of_a_benchmark_says_first_what_its_score_is_not_worth() -> None:
    text = build_benchmark_page("/somewhere/r50.onnx", summary())
    assert "/somewhere" not in text
    score = text.index("50.00%")
    assert score < text.index("cannot be compared with others'") < text.index("it ranks too high.") < text.index("<h2>")
    good = summary()
    good.published, good.apart, good.saw_drawn = True, 0.0, False
    assert "cannot be compared with others'" not in build_benchmark_page("r50.onnx", good)
