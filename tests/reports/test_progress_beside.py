"""Progress of tasks that are learned side by side."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from portfolio.reports.progress import BarDisplay, LineDisplay

Display = Callable[..., Any]


def both_learn(display: Any) -> None:
    """Two tasks whose steps come in turns."""
    one, other = display.beside("billing"), display.beside("shipping")
    one.prepared(36), other.prepared(7)
    for done in range(1, 11):
        one.step(done=done, total=10, loss=1.0, score=0.5)
        other.step(done=done, total=20, loss=2.0, score=0.25)


def test_lines_of_several_tasks_say_whose_they_are(screen: Display) -> None:
    page = screen()
    with LineDisplay(page.console, clock=lambda: 0.0) as display:
        both_learn(display)
    lines = page.lines()
    assert lines[:2] == ["billing: begins", "shipping: begins"]
    assert "billing: 36 rows read by the base, now training" in lines
    assert "shipping: 7 rows read by the base, now training" in lines
    assert [line.split(",")[0] for line in lines if " % of" in line and line.startswith("shipping")] == [
        f"shipping: {share} % of at most 20 steps" for share in (10, 20, 30, 40, 50)
    ]
    assert "billing: 100 % of at most 10 steps, loss 1.000, validation 50.0 %, 0.0 s left" in lines


def test_every_task_has_a_bar_of_its_own_and_all_are_closed_together(screen: Display) -> None:
    page = screen(width=100, color=True)
    with BarDisplay(page.console) as display:
        both_learn(display)
    last = [line for line in page.text().splitlines() if "loss" in line][-2:]
    assert "billing" in last[0] and "loss 1.000, validation 50.0 %" in last[0]
    assert "shipping" in last[1] and "loss 2.000, validation 25.0 %" in last[1]
    assert page.text().count("\x1b[?25l") == page.text().count("\x1b[?25h") == 1
