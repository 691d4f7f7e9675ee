"""Progress: a bar on a terminal, some lines elsewhere."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from portfolio.records import Alias
from portfolio.reports.progress import BarDisplay, LineDisplay, outcome, training_display
from portfolio.reports.report import build_report

Display = Callable[..., Any]


def train(display: Any, name: str, steps: int, total: int) -> None:
    watched = display.begin(name)
    watched.prepared(30)
    watched.prepared(6)
    for done in range(1, steps + 1):
        watched.step(done=done, total=total, loss=1 / done, score=0.5)


def test_where_no_terminal_is_a_line_follows_each_tenth_of_the_steps(screen: Display) -> None:
    seconds = itertools.count()
    page = screen()
    with LineDisplay(page.console, clock=lambda: float(next(seconds))) as display:
        train(display, "billing", 40, 40)
    first, *others = page.lines()
    assert first == "billing: 36 rows read by the base, now training"
    assert len(others) == 10
    assert others[4] == "billing: 50 % of at most 40 steps, loss 0.050, validation 50.0 %, 5.0 s left"
    assert others[9].startswith("billing: 100 % of")


def test_a_training_that_begins_again_is_followed_from_its_start(screen: Display) -> None:
    page = screen()
    with LineDisplay(page.console) as display:
        train(display, "billing", 20, 40)
        display.say("the loss was nan at step 20; began again")
        display.step(done=1, total=2, loss=0.1, score=None)
        display.step(done=2, total=2, loss=0.1, score=None)
    *_, said, again, half, whole = page.lines()
    assert said.startswith("the loss was nan") and again.endswith("now training")
    assert "50 % of" in half and "validation - %" in half and "100 % of" in whole


def test_a_terminal_gets_a_bar_with_loss_score_and_rows(screen: Display) -> None:
    page = screen(width=100, color=True)
    display = training_display(page.console)
    assert isinstance(display, BarDisplay)
    with display:
        display.begin("billing").prepared(36)
        display.say("columns guessed: text 'body'")
        display.step(done=10, total=40, loss=0.5, score=0.75)
        train(display, "shipping", 4, 40)
    assert "billing" in page.text() and "shipping" in page.text()
    assert "loss 0.500, validation 75.0 %" in page.text() and "loss 0.250, validation 50.0 %" in page.text()
    assert "columns guessed: text 'body'" in page.text()


def test_a_bar_is_closed_after_an_error_too(screen: Display) -> None:
    page = screen(color=True)
    with pytest.raises(KeyboardInterrupt), BarDisplay(page.console) as display:
        display.begin("billing")
        raise KeyboardInterrupt
    assert page.text().count("\x1b[?25l") == page.text().count("\x1b[?25h") == 1  # the cursor is shown again


def test_a_message_cannot_steer_the_terminal(screen: Display) -> None:
    for color in (False, True):
        page = screen(color=color)
        with training_display(page.console) as display:
            display.begin("billing").say("label '\x1b[2J[red]'")
        assert "\x1b[2J[red]" not in page.text() and "\\x1b[2J[red]" in page.text()


def test_of_a_version_that_does_not_answer_only_its_training_is_told(snapshot_of: Display) -> None:
    snapshot = snapshot_of([[0.9]])
    champion = Alias(name="task0", alias="champion", version=1)
    newer = replace(snapshot.adapters[0], version=2)
    snapshot = replace(snapshot, adapters=(*snapshot.adapters, newer), aliases=(champion,))
    assert outcome(newer, build_report(snapshot)) == (
        "task0@2: validation 90.0 %; 2.5 s, 3 epochs, 1,200 parameters; it does not answer yet"
    )


def test_the_outcome_is_one_line_with_the_figures_of_the_last_task(snapshot_of: Display) -> None:
    snapshot = snapshot_of([[0.9, None], [0.8, 0.95]], [[0.9, None], [0.7, 0.85]])
    line = outcome(snapshot.adapters[1], build_report(snapshot))
    assert line == (
        "task1@1: validation 90.0 %, test 95.0 % with the task given, 85.0 % routed; 2.5 s, 3 epochs, 1,200 parameters"
    )
