"""Where the router sends each task's rows."""

from __future__ import annotations

from collections.abc import Callable

from portfolio.outcomes import Outcomes
from portfolio.reports.confusion import confusion

OutcomesOf = Callable[..., Outcomes]


def test_rows_are_counted_by_task_and_by_where_they_go_right_or_wrong(outcomes_of: OutcomesOf) -> None:
    found = confusion(outcomes_of({"a": "+ - b b+ b?", "b": "+ a", "c": "b"}), ["a", "b", "c"])
    assert found is not None
    assert found.tasks == ("a", "b", "c")
    assert found.counts == ((2, 3, 0), (1, 1, 0), (0, 1, 0))


def test_tasks_stand_in_the_order_asked_for(outcomes_of: OutcomesOf) -> None:
    found = confusion(outcomes_of({"a": "+ + b", "b": "a", "c": "+"}), ["c", "b", "a"])
    assert found is not None
    assert found.counts == ((1, 0, 0), (0, 0, 1), (0, 1, 2))


def test_a_task_without_rows_has_zeros(outcomes_of: OutcomesOf) -> None:
    found = confusion(outcomes_of({"a": "", "b": "+"}), ["a", "b"])
    assert found is not None
    assert found.counts == ((0, 0), (0, 1))


def test_outcomes_of_other_tasks_say_nothing_of_these(outcomes_of: OutcomesOf) -> None:
    assert confusion(outcomes_of({"a": "+"}), ["a", "b"]) is None
    assert confusion(outcomes_of({"a": "+", "b": "+"}), ["a"]) is None
