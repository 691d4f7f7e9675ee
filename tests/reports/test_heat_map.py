"""The picture of a fusion's attention: what is drawn, and that it is there whole or not at all."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from portfolio.errors import ConfigError, Unwritable
from portfolio.records import Attention
from portfolio.reports.heat_map import draw_attention

AttentionOf = Callable[..., Attention]

TWO = [[[0.9, 0.1], [0.7, 0.3]], [[0.2, 0.8], [0.4, 0.6]]]  # (labels, blocks, members)


def texts(labels: Sequence[Any]) -> list[str]:
    return [label.get_text() for label in labels]


def numbers(axes: Any) -> list[str]:
    """The numbers in the cells, row by row."""
    return [text.get_text() for text in axes.texts if text.get_text() not in ("block", "label")]


def test_blocks_are_drawn_at_the_left_and_labels_at_the_right(
    attention_of: AttentionOf, figures: list[Figure], tmp_path: Path
) -> None:
    draw_attention(attention_of(TWO, ["a@1", "b@12"], ["yes", "no"]), tmp_path / "attention.png")
    [figure] = figures
    left, right = figure.axes
    assert texts(left.get_xticklabels()) == texts(right.get_xticklabels()) == ["a@1", "b@12"]
    assert texts(left.get_yticklabels()) == ["2", "3"] and numbers(left) == ["55", "45", "55", "45"]
    assert texts(right.get_yticklabels()) == ["yes", "no"] and numbers(right) == ["80", "20", "30", "70"]
    assert left.get_position().x1 < right.get_position().x0
    picture = imread(tmp_path / "attention.png")
    assert picture.ndim == 3 and 300 < picture.shape[1] < 1000 and len(np.unique(picture)) > 20


def test_the_first_row_is_at_the_top_and_a_heavier_weight_is_lighter(
    attention_of: AttentionOf, figures: list[Figure], tmp_path: Path
) -> None:
    draw_attention(attention_of([[[1.0, 0.0], [0.5, 0.5]]]), tmp_path / "attention.png")
    left = figures[0].axes[0]
    assert left.transData.transform((0.5, 0.5))[1] > left.transData.transform((0.5, 1.5))[1]
    brightness = left.collections[0].get_facecolor()[:, :3].sum(axis=1)
    assert brightness[0] > brightness[2] > brightness[1]
    assert [text.get_color() for text in left.texts if text.get_text() in ("100", "0")] == ["black", "white"]


def test_nothing_is_cut_or_covers_anything_else(
    attention_of: AttentionOf, figures: list[Figure], tmp_path: Path
) -> None:
    members = [f"a-rather-long-name-of-an-adapter-{member}@{member}" for member in range(8)]
    weights = np.random.default_rng(0).dirichlet(np.ones(8), size=(5, 4)).tolist()
    draw_attention(attention_of(weights, members, [f"{label} " * 9 for label in "abcde"]), tmp_path / "attention.png")
    [figure] = figures
    left, right = figure.axes
    names = [label.get_window_extent() for label in right.get_yticklabels()]
    assert min(name.x0 for name in names) > left.get_window_extent().x1
    assert max(name.x1 for name in names) <= right.get_window_extent().x0
    heights = [label.get_window_extent() for label in (*left.get_xticklabels(), *right.get_xticklabels())]
    lowest_title = min(text.get_window_extent().y0 for text in figure.texts)
    assert max(name.y1 for name in heights) <= lowest_title
    rows, columns = imread(tmp_path / "attention.png").shape[:2]
    assert rows >= max(text.get_window_extent().y1 for text in figure.texts)
    assert columns >= max(name.x1 for name in heights) - min(text.get_window_extent().x0 for text in figure.texts)


def test_of_many_labels_the_forty_that_differ_most_are_drawn_grouped_by_member(
    attention_of: AttentionOf, figures: list[Figure], tmp_path: Path
) -> None:
    weights = [[[label / 59, 1 - label / 59]] for label in range(60)]
    draw_attention(attention_of(weights), tmp_path / "attention.png")
    right = figures[0].axes[1]
    drawn = [int(name.removeprefix("label")) for name in texts(right.get_yticklabels())]
    assert drawn == [*range(59, 39, -1), *range(20)]
    assert "the 40 of 60 labels that differ most from the mean" in "\n".join(texts(figures[0].texts))


def test_labels_are_drawn_as_they_are_and_what_the_font_lacks_as_escapes(
    attention_of: AttentionOf, figures: list[Figure], tmp_path: Path
) -> None:
    labels = ["from $5 to $10", "naïve\n猫", "x" * 60]
    draw_attention(attention_of([TWO[0]] * 3, ["a@1", "b@1"], labels), tmp_path / "attention.png")
    names = figures[0].axes[1].get_yticklabels()
    assert texts(names) == ["from $5 to $10", "naïve\\n\\u732b", "x" * 39 + "…"]
    assert not any(name.get_parse_math() for name in names)


def test_without_labels_blocks_stand_alone(figures: list[Figure], tmp_path: Path) -> None:
    alone = Attention(members=("a@1",), blocks=(4,), rows=1, mean=((1.0,),), labels=(), by_label=())
    draw_attention(alone, tmp_path / "attention.png")
    assert len(figures[0].axes) == 1


def test_the_callers_own_plots_are_left_as_they_are(attention_of: AttentionOf, tmp_path: Path) -> None:
    settings = matplotlib.rcParams.copy()
    had_pyplot = "matplotlib.pyplot" in sys.modules
    draw_attention(attention_of(TWO), tmp_path / "attention.png")
    assert matplotlib.rcParams.copy() == settings
    assert ("matplotlib.pyplot" in sys.modules) == had_pyplot


def test_without_matplotlib_it_is_said_what_to_install(
    attention_of: AttentionOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ConfigError, match=r"pip install 'adapter-portfolio\[plot\]'"):
        draw_attention(attention_of(TWO), tmp_path / "attention.png")
    assert list(tmp_path.iterdir()) == []


def test_a_picture_that_cannot_be_drawn_or_written_leaves_what_was_there(
    attention_of: AttentionOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Unwritable, match="attention.png cannot be written"):
        draw_attention(attention_of(TWO), tmp_path / "no" / "attention.png")

    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    path = tmp_path / "attention.png"
    path.write_bytes(b"old")
    monkeypatch.setattr(Figure, "savefig", interrupted)
    with pytest.raises(KeyboardInterrupt):
        draw_attention(attention_of(TWO), path)
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]
