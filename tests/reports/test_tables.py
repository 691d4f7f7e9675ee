"""Tables: names give way, figures never."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.text import Text

from portfolio.reports.tables import figures_table, print_table, texts_table

MakeScreen = Callable[..., Any]

names = st.text("abcdefghij-_.", min_size=1, max_size=50)
figures = st.text("0123456789.,", min_size=1, max_size=9)


@given(
    rows=st.lists(st.tuples(names, figures, figures), min_size=1, max_size=5),
    width=st.integers(20, 120),
    gap=st.integers(1, 3),
    encoding=st.sampled_from(["utf-8", "ascii"]),
)
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_row_is_one_line_with_its_figures_whole_and_its_name_cut_if_need_be(
    screen: MakeScreen, rows: list[tuple[str, str, str]], width: int, gap: int, encoding: str
) -> None:
    shown = screen(width=width, encoding=encoding)
    print_table(figures_table(["name", "first", "second"], rows, shown.console, gap=gap), shown.console)
    header, _, *lines = shown.lines()
    assert header.split() == ["name", "first", "second"]
    assert len(lines) == len(rows)
    mark = "~" if encoding == "ascii" else "…"
    for line, (name, *row) in zip(lines, rows, strict=True):
        shown_name, *shown_figures = line.split()
        assert shown_figures == row
        assert shown_name == name or (shown_name.endswith(mark) and name.startswith(shown_name[:-1]))


@given(name=names, width=st.integers(40, 120))
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_table_stays_within_the_terminal_where_its_figures_leave_room(
    screen: MakeScreen, name: str, width: int
) -> None:
    shown = screen(width=width)
    print_table(figures_table(["name", "figure"], [[name, "123,456.7"]], shown.console), shown.console)
    assert max(map(len, shown.text().splitlines())) <= width


def test_figures_are_set_to_the_right_and_words_to_the_left(screen: MakeScreen) -> None:
    shown = screen()
    table = figures_table(["name", "kind", "n"], [["a", "x", "5"], ["bb", "yy", "1,000"]], shown.console, left=2)
    print_table(table, shown.console)
    assert shown.lines() == [
        "name  kind      n",
        "─────────────────",
        "a     x         5",
        "bb    yy    1,000",
    ]


@given(
    rows=st.lists(st.tuples(names, names, figures), min_size=1, max_size=4),
    width=st.integers(20, 120),
    encoding=st.sampled_from(["utf-8", "ascii"]),
)
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_texts_are_folded_where_there_is_no_room_and_nothing_is_lost(
    screen: MakeScreen, rows: list[tuple[str, str, str]], width: int, encoding: str
) -> None:
    shown = screen(width=width, encoding=encoding)
    print_table(texts_table(["one", "two", "third"], rows, shown.console, texts=2), shown.console)
    _, _, *lines = shown.lines()
    assert sorted("".join(lines).replace(" ", "")) == sorted("".join(map("".join, rows)))
    assert all(any(line.endswith(figure) for line in lines) for *_, figure in rows)  # whole, at the end of a line
    room = sum(gap + max(map(len, column)) for gap, column in zip((2, 2, 2), zip(*rows, strict=True), strict=True))
    if width >= room + len("onetwothird"):  # headers are never wider than that
        assert len(lines) == len(rows)


def test_wide_characters_take_the_room_that_they_take_on_a_terminal(screen: MakeScreen) -> None:
    shown = screen(width=40)
    table = figures_table(["name", "n"], [["日本", "5"], ["ab", "1,000"]], shown.console)
    print_table(table, shown.console)
    assert shown.lines()[2:] == ["日本      5", "ab    1,000"]


def test_a_coloured_figure_stands_where_a_plain_one_does(screen: MakeScreen) -> None:
    plain_screen, coloured = screen(), screen()
    rows = [["a", "5.0"], ["b", "-1.5"]]
    print_table(figures_table(["name", "change"], rows, plain_screen.console), plain_screen.console)
    styled = [[name, Text(figure, style="red")] for name, figure in rows]
    print_table(figures_table(["name", "change"], styled, coloured.console), coloured.console)
    assert coloured.lines() == plain_screen.lines()
