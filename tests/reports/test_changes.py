"""What a task gained or lost, on the same rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from portfolio.outcomes import Outcomes
from portfolio.reports.changes import (
    Both,
    both_times,
    change_of_rows,
    change_of_scores,
    oracle_pair,
    routed_pair,
    same_rows,
)

OutcomesOf = Callable[..., Outcomes]


def both(outcomes_of: OutcomesOf, then: str, now: str) -> Both:
    found = both_times("a", outcomes_of({"a": then, "b": "+"}), outcomes_of({"a": now, "b": "+"}))
    assert found is not None
    return found


def test_a_change_is_the_mean_after_less_the_mean_before(outcomes_of: OutcomesOf) -> None:
    change = change_of_rows("a", routed_pair(both(outcomes_of, "+ + + -", "+ b b -")))
    assert (change.rows, change.before, change.after, change.change) == (4, 0.75, 0.25, -0.5)
    assert change.interval is not None
    assert -1 <= change.interval.low < -0.5 < change.interval.high <= 0


def test_rows_whose_answer_is_unknown_at_one_of_both_times_are_left_out_of_both(outcomes_of: OutcomesOf) -> None:
    change = change_of_rows("a", routed_pair(both(outcomes_of, "+ b? + -", "b? + - +")))
    assert (change.rows, change.before, change.after) == (2, 0.5, 0.5)


def test_with_the_task_given_every_row_counts_wherever_it_went(outcomes_of: OutcomesOf) -> None:
    before, after = oracle_pair(both(outcomes_of, "+ b? b- -", "b b- + -"))
    assert (before.tolist(), after.tolist()) == ([True, True, False, False], [True, False, True, False])


def test_without_a_row_known_both_times_there_is_no_score(outcomes_of: OutcomesOf) -> None:
    change = change_of_rows("a", routed_pair(both(outcomes_of, "b? +", "+ b?")))
    assert (change.rows, change.before, change.after, change.change, change.interval) == (0, None, None, None, None)


@pytest.mark.parametrize("now", [{"b": "+"}, {"a": "+ +", "b": "+"}])
def test_rows_of_another_number_or_of_no_task_are_not_the_same(outcomes_of: OutcomesOf, now: dict[str, str]) -> None:
    assert both_times("a", outcomes_of({"a": "+ + +"}), outcomes_of(now)) is None


def test_two_scores_without_rows_have_a_change_and_no_interval() -> None:
    change = change_of_scores("a", 8, 0.75, 0.5)
    assert (change.rows, change.change, change.interval) == (8, -0.25, None)
    unknown = change_of_scores("a", 8, None, 0.5)
    assert (unknown.rows, unknown.before, unknown.after, unknown.change) == (0, None, 0.5, None)


def test_rows_are_the_same_unless_the_task_was_added_between(history_of: Callable[..., Any]) -> None:
    first, gone, again, last = history_of(
        ("add-task", "a", {"a": "+"}),
        ("add-task", "b", {"a": "+", "b": "+"}),
        ("remove-task", "a", {"b": "+"}),
        ("add-task", "a", {"b": "+", "a": "-"}),
    ).snapshot.moments
    moments = (first, gone, again, last)
    assert not same_rows("a", moments, first, last)
    assert same_rows("a", moments, first, again)
    assert same_rows("a", moments, last, last)
    assert same_rows("b", moments, gone, last)


def test_scores_are_those_of_a_plain_count(outcomes_of: OutcomesOf) -> None:
    words = np.random.default_rng(0).choice(["+", "-", "b", "b+", "b?"], size=(2, 60))
    then, now = (" ".join(line) for line in words.tolist())
    known = [pair for pair in zip(*words.tolist(), strict=True) if "b?" not in pair]
    change = change_of_rows("a", routed_pair(both(outcomes_of, then, now)))
    assert change.rows == len(known)
    assert change.before == sum(word in ("+", "b+") for word, _ in known) / len(known)
    assert change.after == sum(word in ("+", "b+") for _, word in known) / len(known)
