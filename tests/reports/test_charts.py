"""Pictures for the page: coordinates that are finite and inside, and words for who cannot see them."""

from __future__ import annotations

import math
import re
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portfolio.reports.charts import change_strip, lowest_of_scale, scale_of_changes, score_panel
from portfolio.reports.findings import Interval
from portfolio.reports.shades import STEPS, shade

SCORES = st.none() | st.floats(0, 1)
CHANGES = st.none() | st.floats(-1, 1)
INTERVALS = st.none() | st.tuples(st.floats(-1, 1), st.floats(-1, 1)).map(
    lambda ends: Interval(low=min(ends), high=max(ends))
)
N = None


def coordinates(svg: ElementTree.Element) -> list[float]:
    """All numbers of all shapes."""
    texts = [
        value
        for shape in svg
        for name, value in shape.attrib.items()
        if name in ("d", "x", "y", "cx", "cy", "width", "height", "r")
    ]
    return [float(number) for text in texts for number in re.findall(r"[^MLHV\s]+", text)]


def drawn(svg: ElementTree.Element, kind: str) -> list[ElementTree.Element]:
    return [shape for shape in svg if shape.get("class") == kind]


@settings(max_examples=50, deadline=None)
@given(st.lists(SCORES, max_size=12), st.lists(SCORES, max_size=12), st.text(max_size=8))
def test_a_panel_is_well_formed_and_its_points_stay_inside(
    scores: list[float | None], mean: list[float | None], name: str
) -> None:
    name = "".join(char for char in name if char.isprintable())
    svg = ElementTree.fromstring(score_panel(name, scores, mean, lowest_of_scale([*scores, *mean])))
    assert all(math.isfinite(number) and -1 <= number <= 241 for number in coordinates(svg))
    assert svg[0].tag == "title" and name in (svg[0].text or "") and svg[1].tag == "desc" and svg[1].text


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(CHANGES, INTERVALS), min_size=1, max_size=5))
def test_a_strip_is_well_formed_and_stays_inside(rows: list[tuple[float | None, Interval | None]]) -> None:
    scale = scale_of_changes((change for change, _ in rows), (interval for _, interval in rows))
    for change, interval in rows:
        svg = ElementTree.fromstring(change_strip("a", change, interval, scale))
        assert all(math.isfinite(number) and -5 <= number <= 181 for number in coordinates(svg))


def test_a_step_without_a_score_interrupts_the_line_and_a_lone_score_is_a_dot() -> None:
    svg = ElementTree.fromstring(score_panel("a", [0.9, 0.8, N, 0.7, N, 0.9], (), 0.5))
    [line] = drawn(svg, "line")
    assert line.attrib["d"].count("M") == 1 and line.attrib["d"].count("L") == 1
    assert len(drawn(svg, "line-dot")) == 2
    assert svg[1].text == "90.0 % after step 1, 70.0 % after step 4, 90.0 % after step 6"


def test_a_higher_score_stands_higher_and_the_last_is_written_out() -> None:
    svg = ElementTree.fromstring(score_panel("a", [0.9, 0.6], (), 0.5))
    first, last = (float(dot.attrib["cy"]) for dot in drawn(svg, "dot"))
    assert first < last
    assert [note.text for note in drawn(svg, "value")] == ["60.0"]


def test_nothing_measured_is_said_and_not_drawn_as_0() -> None:
    panel = ElementTree.fromstring(score_panel("a", [N, N], [N, N], 0.5))
    assert panel[1].text == "not measured" and not drawn(panel, "line") and not drawn(panel, "dot")
    strip = ElementTree.fromstring(change_strip("a", None, None, scale_of_changes([], [])))
    assert strip[1].text == "not measured" and not drawn(strip, "dot") and not drawn(strip, "gain")


def test_a_loss_goes_left_of_0_and_its_interval_goes_around_it() -> None:
    interval = Interval(low=-0.08, high=0.01)
    scale = scale_of_changes([-0.05], [interval])
    svg = ElementTree.fromstring(change_strip("a", -0.05, interval, scale))
    [bar], [dot], [whisker] = drawn(svg, "loss"), drawn(svg, "dot"), drawn(svg, "whisker")
    [zero] = drawn(svg, "rule")
    at_zero = float(zero.attrib["d"][1:].split()[0])
    assert float(bar.attrib["x"]) + float(bar.attrib["width"]) == pytest.approx(at_zero, abs=0.2)
    low, high = (float(x) for x in re.findall(r"^M(\S+) \S+?H([\d.]+)", whisker.attrib["d"])[0])
    assert low < float(dot.attrib["cx"]) < at_zero < high
    assert svg[1].text == "-5.0 points, 95 % interval -8.0 to +1.0"


def test_names_are_escaped() -> None:
    for svg in (
        score_panel("<script>", [0.5], (), 0),
        change_strip("<script>", 0.1, None, scale_of_changes([0.1], [])),
    ):
        assert "<script" not in svg and "&lt;script&gt;" in svg


@pytest.mark.parametrize(("lowest", "begins"), [(0.912, 0.9), (0.9, 0.9), (0.03, 0.0), (1.0, 0.9), (0.35, 0.35)])
def test_a_scale_of_scores_begins_at_five_points(lowest: float, begins: float) -> None:
    assert lowest_of_scale([0.95, N, lowest] if lowest < 0.95 else [lowest]) == pytest.approx(begins)


def test_small_changes_are_not_made_to_look_large() -> None:
    assert scale_of_changes([0.001, N], [N]) == (-0.01, 0.01)


def test_shades_begin_at_their_steps_on_both_sides() -> None:
    assert [shade(-step) for step in STEPS] == [-1, -2, -3, -4] and [shade(step) for step in STEPS] == [1, 2, 3, 4]
    assert shade(0.0) == shade(0.0004) == shade(-0.0004) == 0
    assert shade(0.9 - 0.93) == -3, "three points, but for rounding"
