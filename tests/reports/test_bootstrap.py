"""Intervals against plain resampling of rows, against exact probabilities, and against values from a t table."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portfolio.errors import DataError
from portfolio.reports.bootstrap import change_interval, mean_change_interval, score_interval, t_interval
from portfolio.reports.findings import Interval

NAN = math.nan
MANY = 20_000  # draws, so that percentiles are near those of the distribution

pairs_of_rows = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60).map(
    lambda rows: (np.array([row[0] for row in rows]), np.array([row[1] for row in rows]))
)


def answers(*counts: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Rows before and after: for each (was, is, how many)."""
    before = np.concatenate([np.full(count, was) for was, _, count in counts])
    after = np.concatenate([np.full(count, now) for _, now, count in counts])
    return before, after


def plain_interval(before: np.ndarray, after: np.ndarray, draws: int) -> tuple[float, float]:
    """The rows themselves drawn with replacement, both columns at once."""
    generator = np.random.default_rng(12345)
    chosen = generator.integers(0, len(before), (draws, len(before)))
    changes = after[chosen].mean(axis=1) - before[chosen].mean(axis=1)
    low, high = np.quantile(changes, (0.025, 0.975))
    return float(low), float(high)


def exact_cumulative(won: float, lost: float, rows: int) -> dict[int, float]:
    """P(rows won - rows lost <= d) in a resample, by one row after the other."""
    chances = {0: 1.0}
    for _ in range(rows):
        following: dict[int, float] = {}
        for difference, chance in chances.items():
            for step, share in ((1, won), (-1, lost), (0, 1 - won - lost)):
                following[difference + step] = following.get(difference + step, 0.0) + chance * share
        chances = following
    cumulative, total = {}, 0.0
    for difference in sorted(chances):
        total += chances[difference]
        cumulative[difference] = total
    return cumulative


def test_an_interval_of_a_change_equals_that_of_drawing_the_rows_themselves() -> None:
    before, after = answers((1, 1, 60), (1, 0, 12), (0, 1, 3), (0, 0, 15))
    drawn = change_interval(before, after, draws=MANY)
    low, high = plain_interval(before, after, MANY)
    assert drawn is not None
    assert (drawn.low, drawn.high) == pytest.approx((low, high), abs=1.01 / len(before))  # a row more or less


def test_the_ends_of_an_interval_leave_a_fortieth_of_the_exact_distribution_on_either_side() -> None:
    before, after = answers((1, 1, 25), (1, 0, 9), (0, 1, 4), (0, 0, 2))
    drawn = change_interval(before, after, draws=MANY)
    cumulative = exact_cumulative(4 / 40, 9 / 40, 40)
    assert drawn is not None
    low, high = round(drawn.low * 40), round(drawn.high * 40)
    assert cumulative[low - 2] < 0.025 < cumulative[low + 1]
    assert cumulative[high - 2] < 0.975 < cumulative[high + 1]


def test_the_same_rows_are_drawn_before_and_after() -> None:
    """Unpaired, two scores of 1/2 on 100 rows would differ by up to 0.14; row by row nothing changed."""
    right = np.arange(100) % 2
    assert change_interval(right, right) == Interval(low=0.0, high=0.0)


def test_an_interval_of_a_score_is_about_two_standard_errors_to_either_side() -> None:
    right = np.arange(400) < 300
    interval = score_interval(right, draws=MANY)
    error = math.sqrt(0.75 * 0.25 / 400)
    assert interval is not None
    assert (interval.low, interval.high) == pytest.approx((0.75 - 1.96 * error, 0.75 + 1.96 * error), abs=1.5 / 400)


def test_the_mean_over_tasks_counts_a_small_task_as_much_as_a_large_one() -> None:
    small, large = answers((1, 0, 10)), answers((1, 1, 1000))
    assert mean_change_interval([small, large]) == Interval(low=-0.5, high=-0.5)


def test_rows_of_different_tasks_are_drawn_independently() -> None:
    """The mean of 16 alike tasks is a quarter as wide as one of them; drawn with the same luck it would be as wide."""
    task = answers((1, 1, 150), (1, 0, 30), (0, 1, 20))
    one, mean = change_interval(*task, draws=MANY), mean_change_interval([task] * 16, draws=MANY)
    assert one is not None and mean is not None
    assert (mean.high - mean.low) / (one.high - one.low) == pytest.approx(0.25, abs=0.02)


@given(pairs_of_rows)
@settings(max_examples=50)
def test_an_interval_of_a_change_turns_around_when_before_and_after_are_swapped(
    rows: tuple[np.ndarray, np.ndarray],
) -> None:
    before, after = rows
    forward, backward = change_interval(before, after), change_interval(after, before)
    assert forward is not None and backward is not None
    assert -1 <= forward.low <= forward.high <= 1
    assert (forward.low, forward.high) == pytest.approx((-backward.high, -backward.low), abs=4 / len(before))


@given(pairs_of_rows, st.randoms(use_true_random=False))
@settings(max_examples=25)
def test_the_order_of_rows_and_their_type_change_nothing(rows: tuple[np.ndarray, np.ndarray], dice: object) -> None:
    before, after = rows
    order = np.arange(len(before))
    dice.shuffle(order)  # type: ignore[attr-defined]
    assert change_interval(before[order], after[order]) == change_interval(before, after)
    assert change_interval(before.astype(np.int8), after.astype(np.int64)) == change_interval(before, after)


@given(pairs_of_rows)
@settings(max_examples=25)
def test_a_score_and_a_change_lie_in_their_own_intervals(rows: tuple[np.ndarray, np.ndarray]) -> None:
    before, after = rows
    change, score = change_interval(before, after), score_interval(after)
    assert change is not None and score is not None
    assert change.low <= after.mean() - before.mean() <= change.high
    assert 0 <= score.low <= after.mean() <= score.high <= 1


def test_the_same_seed_gives_the_same_interval_and_another_seed_nearly_so() -> None:
    task = answers((1, 1, 150), (1, 0, 30), (0, 1, 20))
    first, again, other = change_interval(*task), change_interval(*task), change_interval(*task, seed=1)
    assert first is not None and other is not None
    assert first == again
    assert (other.low, other.high) == pytest.approx((first.low, first.high), abs=0.015)
    assert mean_change_interval([task, task, task]) != mean_change_interval([task, task, task], seed=1)


def test_nothing_is_claimed_of_no_rows_no_tasks_and_fewer_than_two_runs() -> None:
    nothing = np.empty(0, dtype=bool)
    assert change_interval(nothing, nothing) is None
    assert score_interval(nothing) is None
    assert mean_change_interval([]) is None
    assert mean_change_interval([(nothing, nothing)]) is None
    assert t_interval(np.empty(0)) is None
    assert t_interval(np.array([0.9])) is None
    assert t_interval(np.array([0.9, NAN])) is None


def test_a_task_without_rows_does_not_count_in_the_mean() -> None:
    nothing = np.empty(0, dtype=bool)
    task = answers((1, 1, 30), (1, 0, 10))
    assert mean_change_interval([task, (nothing, nothing)]) == change_interval(*task)


def test_an_interval_over_runs_uses_the_t_table() -> None:
    """t(0.975, 2) = 4.303 and t(0.975, 8) = 2.306 in any printed table."""
    three = t_interval(np.array([0.90, 0.92, 0.94]))
    nine = t_interval(np.array([0.0, 1.0, 2.0, 3.0, NAN, 4.0, 5.0, 6.0, 7.0, 8.0]))
    assert three is not None and nine is not None
    assert (three.low, three.high) == pytest.approx(
        (0.92 - 4.303 * 0.02 / 3**0.5, 0.92 + 4.303 * 0.02 / 3**0.5), abs=1e-5
    )
    assert (nine.low, nine.high) == pytest.approx((4 - 2.306 * 7.5**0.5 / 3, 4 + 2.306 * 7.5**0.5 / 3), abs=1e-3)


def test_runs_that_agree_have_an_interval_of_no_width() -> None:
    assert t_interval(np.full(4, 0.5)) == Interval(low=0.5, high=0.5)


def test_rows_that_do_not_fit_together_are_refused() -> None:
    with pytest.raises(DataError, match=r"the same rows twice, shape \(N,\), got shapes \(3,\) and \(2,\)"):
        change_interval(np.zeros(3, dtype=bool), np.zeros(2, dtype=bool))


def test_an_answer_that_is_neither_right_nor_wrong_is_refused() -> None:
    with pytest.raises(DataError, match="1 for a right row and 0 for a wrong one, got -1"):
        change_interval(np.array([1, 0, 1]), np.array([1, -1, 1]))


def test_a_report_does_not_wait_for_scipy() -> None:
    """Importing it takes longer than all the rest of a report; only the interval over runs needs a part of it."""
    heavy = "any(name.split('.')[0] == 'scipy' for name in sys.modules)"
    code = f"import sys, portfolio.reports.bootstrap, portfolio.reports.metrics; sys.exit({heavy})"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
