"""Why a task lost: row by row."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from portfolio.errors import DataError
from portfolio.outcomes import Outcomes
from portfolio.reports.losses import loss

OutcomesOf = Callable[..., Outcomes]

WORDS = st.sampled_from(["+", "-", "b", "b!", "b-", "b+", "b?", "c", "c+"])


def test_lost_rows_are_told_by_who_has_them_now(outcomes_of: OutcomesOf) -> None:
    then = outcomes_of({"a": "+ + + + + - +", "b": "+"})
    now = outcomes_of({"a": "+ b c b! - + c", "b": "+", "c": "+"})
    found = loss("a", then, now)
    assert found.lost == (1, 2, 3, 4, 6)
    assert [(taker.task, taker.rows, taker.would_return) for taker in found.takers] == [
        ("b", (1, 3), 1),
        ("c", (2, 6), 2),
    ]
    assert (found.at_home, found.won, found.unasked, found.rows) == ((4,), 1, 0, 7)
    assert found.change == pytest.approx(-4 / 7)
    assert found.interval is not None
    assert found.interval.low < found.change < found.interval.high


def test_the_task_with_most_rows_comes_first(outcomes_of: OutcomesOf) -> None:
    found = loss("a", outcomes_of({"a": "+ + +"}), outcomes_of({"a": "b c c", "b": "+", "c": "+"}))
    assert [taker.task for taker in found.takers] == ["c", "b"]


def test_rows_would_not_return_to_an_adapter_that_is_wrong_or_to_a_third_choice(outcomes_of: OutcomesOf) -> None:
    then, now = outcomes_of({"a": "+ + +"}), outcomes_of({"a": "b b- b!", "b": "+"})
    assert [taker.would_return for taker in loss("a", then, now).takers] == [1]


def test_the_lead_is_the_mean_over_the_rows_taken_alone(outcomes_of: OutcomesOf) -> None:
    now = outcomes_of({"a": "b b b+ -", "b": "+"})
    [rows, other] = now.tasks
    lead = np.array([0.25, 0.75, 1.0, 1.0], dtype=np.float32)
    now = Outcomes(names=now.names, tasks=(dataclasses.replace(rows, lead=lead), other))
    [taker] = loss("a", outcomes_of({"a": "+ + + +"}), now).takers
    assert taker.lead == 0.5


def test_rows_that_were_right_by_another_adapter_can_be_lost_too(outcomes_of: OutcomesOf) -> None:
    found = loss("a", outcomes_of({"a": "b+ b+", "b": "+"}), outcomes_of({"a": "- b-", "b": "+"}))
    assert (found.lost, found.at_home, found.takers[0].rows) == ((0, 1), (0,), (1,))


def test_rows_nobody_could_be_asked_about_are_counted_apart(outcomes_of: OutcomesOf) -> None:
    found = loss("a", outcomes_of({"a": "+ + b?", "b": "+"}), outcomes_of({"a": "b? b b", "b": "+"}))
    assert (found.lost, found.unasked) == ((1,), 1)


def test_other_rows_are_refused_with_both_counts(outcomes_of: OutcomesOf) -> None:
    with pytest.raises(DataError, match="same test rows of 'a' at both moments, got 1 then and 2 now"):
        loss("a", outcomes_of({"a": "+"}), outcomes_of({"a": "+ +"}))
    with pytest.raises(DataError, match="got none then and 1 now"):
        loss("a", outcomes_of({"b": "+"}), outcomes_of({"a": "+"}))


@given(rows=st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=12))
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_row_is_where_a_plain_loop_puts_it(outcomes_of: OutcomesOf, rows: list[tuple[str, str]]) -> None:
    then, now = (" ".join(words) for words in zip(*rows, strict=True))
    found = loss("a", outcomes_of({"a": then, "b": "+", "c": "+"}), outcomes_of({"a": now, "b": "+", "c": "+"}))
    right = {"+", "b+", "c+"}
    lost = [row for row, (word, later) in enumerate(rows) if word in right and later not in {*right, "b?"}]
    assert list(found.lost) == lost
    assert list(found.at_home) == [row for row in lost if rows[row][1] == "-"]
    takers = {taker.task: taker for taker in found.takers}
    for name in "bc":
        taken = [row for row in lost if rows[row][1].startswith(name)]
        assert list(takers[name].rows if name in takers else ()) == taken
        returning = sum(rows[row][1] == name for row in taken)
        assert (takers[name].would_return if name in takers else 0) == returning
    assert found.won == sum(word not in {*right, "b?"} and later in right for word, later in rows)
    assert found.unasked == sum(word in right and later == "b?" for word, later in rows)
