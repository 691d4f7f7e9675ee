"""How far it is, while texts are answered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from portfolio.reports.counting import EVERY_S, CountBar, CountLines, counting_display

Display = Callable[..., Any]


class Clock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_where_no_terminal_is_a_line_comes_every_half_a_minute(screen: Display) -> None:
    page, clock = screen(), Clock()
    with counting_display(page.console, 10_000, clock=clock) as display:
        assert isinstance(display, CountLines)
        for _ in range(3):
            clock.now += EVERY_S / 2
            display.advance(1500)
        clock.now += EVERY_S / 2
        display.advance(500)
    assert page.lines() == [
        "3,000 of 10,000 texts, 100 a second, 1 min 10 s left",
        "5,000 of 10,000 texts, 83 a second, 1 min 00 s left",
    ]


def test_short_work_says_nothing(screen: Display) -> None:
    page, clock = screen(), Clock()
    with counting_display(page.console, 10, clock=clock) as display:
        clock.now += EVERY_S - 1
        display.advance(10)
    assert page.lines() == []


def test_of_a_pipe_nobody_knows_how_many_will_come(screen: Display) -> None:
    page, clock = screen(), Clock()
    with counting_display(page.console, clock=clock) as display:
        for texts in (1, 1):
            clock.now += EVERY_S
            display.advance(texts)
    assert page.lines() == ["1 text, 0.0 a second", "2 texts, 0.0 a second"]


def test_what_an_earlier_run_answered_counts_as_done_but_not_as_fast(screen: Display) -> None:
    page, clock = screen(), Clock()
    with counting_display(page.console, 1000, done=400, clock=clock) as display:
        clock.now += EVERY_S
        display.advance(300)
    assert page.lines() == ["700 of 1,000 texts, 10 a second, 30 s left"]


def test_a_terminal_gets_a_bar(screen: Display) -> None:
    page, clock = screen(width=100, color=True), Clock()
    with counting_display(page.console, 40, clock=clock) as display:
        assert isinstance(display, CountBar)
        clock.now += 2
        display.advance(40)
    assert "40 of 40 texts, 20 a second" in page.text()


def test_a_bar_is_closed_after_an_interrupt_too(screen: Display) -> None:
    page = screen(color=True)
    with pytest.raises(KeyboardInterrupt), counting_display(page.console) as display:
        display.advance(1)
        raise KeyboardInterrupt
    assert page.text().count("\x1b[?25l") == page.text().count("\x1b[?25h") == 1  # the cursor is shown again
