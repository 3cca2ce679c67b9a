"""Charts: what is drawn says what was given. The oracle reads values back from the places of the tick labels."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facekit.report.charts import Axis, Bars, Limit, Line, as_percent, chart_svg, linear_axis, log_axis
from facekit.report.clean_charts import clean_charts
from facekit.report.rounds_page import build_rounds_page
from facekit.report.score_charts import density_svg, roc_svg

finite = st.floats(-1e6, 1e6).map(lambda v: round(v, 3))


def parsed(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg)


def texts(svg: str) -> list[str]:
    return [node.text or "" for node in parsed(svg).findall(".//{*}text")]


def labelled_places(svg: str) -> tuple[dict[str, float], dict[str, float]]:
    """Pixels of the tick labels, by their text: across, and down (the baseline is 4 below the line)."""
    across, down = {}, {}
    height = float(parsed(svg).attrib["viewBox"].split()[3])
    for node in parsed(svg).findall(".//{*}text"):
        x, y, anchor = float(node.attrib["x"]), float(node.attrib["y"]), node.attrib["text-anchor"]
        if anchor == "end":
            down[node.text or ""] = y - 4
        elif anchor == "middle" and y == pytest.approx(height - 28):
            across[node.text or ""] = x
    return across, down


def value_of(label: str) -> float:
    label = label.replace(",", "")
    return float(label[:-1]) / 100 if label.endswith("%") else float(label)


def reader(places: Mapping[str, float], log: bool = False) -> Any:
    """Pixels to values, by two labels."""
    names = sorted(places, key=value_of)
    low, high = (value_of(names[k]) for k in (0, -1))
    start, stop = places[names[0]], places[names[-1]]

    def read(pixel: float) -> float:
        share = (pixel - start) / (stop - start)
        return float(low * (high / low) ** share) if log else low + share * (high - low)

    return read


def points_of(svg: str) -> list[list[tuple[float, float]]]:
    return [
        [(float(x), float(y)) for x, y in (pair.split(",") for pair in node.attrib["points"].split())]
        for node in parsed(svg).findall(".//{*}polyline")
    ]


@given(st.lists(st.tuples(finite, finite), min_size=2, max_size=12))
def test_a_line_goes_through_its_points(points: list[tuple[float, float]]) -> None:
    x, y = np.array(points).T
    axes = linear_axis("a", x.min(), x.max(), repr), linear_axis("b", y.min(), y.max(), repr)
    svg = chart_svg("title", *axes, [Line("one", x, y)])
    across, down = (reader(places) for places in labelled_places(svg))
    (drawn,) = points_of(svg)
    width, height = axes[0].high - axes[0].low, axes[1].high - axes[1].low
    for (px, py), (vx, vy) in zip(drawn, points, strict=True):
        assert across(px) == pytest.approx(vx, abs=width / 1000)
        assert down(py) == pytest.approx(vy, abs=height / 500)


@given(finite, st.floats(1e-3, 1e6))
def test_ticks_are_round_and_cover_the_range(low: float, span: float) -> None:
    axis = linear_axis("a", low, low + span)
    values = [value for value, _ in axis.ticks]
    assert axis.low <= low < low + span <= axis.high + 1e-9
    assert (values[0], values[-1]) == (axis.low, axis.high)
    assert 3 <= len(values) <= 8
    steps = np.diff(values)
    digits = steps[0] / 10 ** np.floor(np.log10(steps[0] * (1 + 1e-6)))
    assert np.allclose(steps, steps[0])
    assert round(float(digits), 3) in (1, 2, 5)


@given(finite)
def test_a_range_of_one_value_is_an_axis(value: float) -> None:
    axis = linear_axis("a", value, value)
    assert axis.low < value < axis.high


@given(st.floats(1e-9, 0.5), st.sampled_from([2, 10]))
def test_a_logarithmic_axis_has_powers(low: float, base: int) -> None:
    axis = log_axis("a", low, 1.0, base)
    assert axis.low <= low * (1 + 1e-6)
    assert axis.high == 1.0
    assert 2 <= len(axis.ticks) <= 9
    for value, _ in axis.ticks:
        assert abs(np.log(value) / np.log(base) - round(np.log(value) / np.log(base))) < 1e-9
    assert np.allclose(axis.share([axis.low, np.sqrt(axis.low), 1.0]), [0, 0.5, 1])


def test_values_beyond_the_axis_stand_at_its_ends() -> None:
    assert Axis("a", 0.0, 2.0, ()).share([-5, 1, 9]).tolist() == [0, 0.5, 1]


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=20).filter(any))
def test_bars_have_the_height_of_their_counts(counts: list[int]) -> None:
    edges = np.arange(len(counts) + 1.0)
    svg = chart_svg("t", linear_axis("a", 0, len(counts)), linear_axis("b", 0, max(counts)), [Bars("n", edges, counts)])
    down = reader(labelled_places(svg)[1])
    bars = parsed(svg).findall(".//{*}g/{*}rect")
    tops = [down(float(bar.attrib["y"])) for bar in bars]
    np.testing.assert_allclose(tops, [count for count in counts if count], atol=max(counts) / 300)
    bottoms = [down(float(bar.attrib["y"]) + float(bar.attrib["height"])) for bar in bars]
    np.testing.assert_allclose(bottoms, 0, atol=max(counts) / 300)


def test_names_are_text_and_are_in_the_legend() -> None:
    names = [f"<script>&'\"{k}" for k in range(12)]
    lines = [Line(name, [0, 1], [0, 1]) for name in names]
    limits = [Limit("limit", 0.5), Limit("outside", 9.0)]
    svg = chart_svg("<b>", linear_axis("<x>", 0, 1), linear_axis("&y", 0, 1), lines, limits)
    assert "<script" not in svg
    assert {*names, "limit", "<b>", "<x>", "&y"} <= set(texts(svg))
    assert len([n for n in parsed(svg).findall(".//{*}line") if "stroke-dasharray" in n.attrib]) == 1
    width = float(parsed(svg).attrib["viewBox"].split()[2])
    for node in parsed(svg).findall(".//{*}text"):
        if node.attrib["text-anchor"] == "start":
            assert float(node.attrib["x"]) + 6.6 * len(node.text or "") <= width + 40


def test_a_page_chart_takes_the_colours_of_the_page() -> None:
    axes = linear_axis("a", 0, 1), linear_axis("b", 0, 1)
    assert 'color="#222222"' in chart_svg("t", *axes, [])
    assert "#222222" not in chart_svg("t", *axes, [], page=True)


def test_a_roc_is_read_back_on_its_logarithmic_axis() -> None:
    far = np.array([0, 1e-4, 1e-3, 1e-2, 1.0])
    tar = np.array([0.2, 0.4, 0.5, 0.9, 1.0])
    svg = roc_svg({"pairs": (far, tar)})
    across, down = labelled_places(svg)
    read_far, read_tar = reader(across, log=True), reader(down)
    (drawn,) = points_of(svg)
    np.testing.assert_allclose([read_far(x) for x, _ in drawn], np.maximum(far, 1e-4), rtol=0.01)
    np.testing.assert_allclose([read_tar(y) for _, y in drawn], tar, atol=0.002)


def test_a_long_roc_keeps_its_ends_and_its_shape() -> None:
    far = np.linspace(0, 1, 200_001)
    (drawn,) = points_of(roc_svg({"a": (far, far**0.25)}))
    assert 100 < len(drawn) <= 402
    read_far, read_tar = reader(labelled_places(svg := roc_svg({"a": (far, far**0.25)}))[0], log=True), None
    read_tar = reader(labelled_places(svg)[1])
    for x, y in drawn[1:]:
        assert read_tar(y) == pytest.approx(read_far(x) ** 0.25, abs=0.01)


@given(st.lists(st.floats(-50, 50), min_size=1, max_size=40), st.lists(st.floats(-50, 50), min_size=1, max_size=40))
def test_a_density_has_the_mass_of_its_samples(bare: list[float], masked: list[float]) -> None:
    svg = density_svg({"bare": np.array(bare), "masked": np.array(masked)}, "title", "unit", bins=10)
    read = reader(labelled_places(svg)[1])
    for drawn in points_of(svg):
        heights = [read(y) for _, y in drawn][1:-1:2]
        assert sum(heights) == pytest.approx(1, abs=0.02)


def test_the_charts_of_a_cleaning_have_axes_and_their_threshold() -> None:
    edges = np.linspace(-0.5, 1, 61).tolist()
    content = {
        "histogram": {
            "edges": edges, "before": [1] * 60, "after": [0] * 59 + [7], "intra": 0.25,
            "pairs": [0] * 60, "merge": None,
        },
        "sizes": {"edges": [1, 2, 4, 8], "before": [3, 0, 9], "after": [2, 1, 9]},
        "sweep": [{"threshold": t, "images": 1000 * (1 - t), "identities": 5} for t in (0.1, 0.2, 0.3)],
    }  # fmt: skip
    charts = clean_charts(content)
    assert len(charts) == 4
    for chart in charts:
        across, down = labelled_places(chart)
        assert len(across) >= 3
        assert len(down) >= 3
    assert ["threshold 0.250" in texts(chart) for chart in charts] == [True, False, False, True]
    assert len(clean_charts({**content, "sweep": []})) == 3


def test_the_rounds_have_axes() -> None:
    rounds = [
        {"number": k, "images": 100, "kept": 90 - k, "identities": 9, "identities_kept": 9, "purity": 0.9 + 0.02 * k,
         "purity_before": 0.8, "newly_kept": 0, "newly_dropped": 1, "scores": {"a<b": 0.5 + 0.1 * k}, "reasons": {}}
        for k in (1, 2)
    ]  # fmt: skip
    page = build_rounds_page("<source>", "plugin", {"a<b": 0.5}, rounds)
    svg = re.search("<svg.*</svg>", page, re.DOTALL)
    assert svg is not None
    across, down = labelled_places(svg.group())
    assert list(across) == ["initial", "1", "2", "round"][:3]
    read = reader(down)
    values = [[read(y) for _, y in drawn] for drawn in points_of(svg.group())]
    expected = [[1.0, 0.89, 0.88], [0.8, 0.92, 0.94], [0.5, 0.6, 0.7]]
    np.testing.assert_allclose(values, expected, atol=0.003)
    assert as_percent(0.875) == "87.5%"
    assert "<source>" not in page
