"""What a few hundred examples can tell, against counting, maximum likelihood and simulation."""

from __future__ import annotations

import functools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from portfolio.gates.statistics import compare, loss_bounds, rows_needed, share_bounds
from portfolio.gates.verdict import BLOCK, INCONCLUSIVE, OUTCOMES, PASS


@functools.cache
def outcome(lost, won, rows, *, delta, alpha=0.05, least=30):
    return compared(lost, won, rows, delta=delta, alpha=alpha, least=least).outcome


def compared(lost, won, rows, *, delta, alpha=0.05, least=30):
    version = np.array([False] * lost + [True] * (rows - lost), dtype=bool)
    other = np.array([True] * lost + [False] * won + [True] * (rows - lost - won), dtype=bool)
    return compare(version, other, delta=delta, alpha=alpha, least=least)


# Each bound by itself


def fair_coin_tail(lost, won):
    """P(of m fair coins, so many heads or more), coin by coin: McNemar's exact one-sided test."""
    rows = lost + won
    return sum(math.comb(rows, k) for k in range(lost, rows + 1)) / 2**rows


@pytest.mark.parametrize("alpha", [0.001, 0.0499, 0.2])
def test_with_no_loss_allowed_a_block_is_mcnemars_exact_one_sided_test(alpha):
    for differing in range(1, 26):
        for lost in range(differing + 1):
            is_blocked = outcome(lost, differing - lost, 200, delta=0.0, alpha=alpha) == BLOCK
            assert is_blocked == (fair_coin_tail(lost, differing - lost) < alpha), (lost, differing)


def likeliest_score(lost, won, rows, loss):
    """The score statistic, with the share of won rows that fits this loss found by search."""

    def unlikely(share):
        parts = ((lost, share + loss), (won, share), (rows - lost - won, 1 - 2 * share - loss))
        return -sum(count * math.log(max(chance, 1e-300)) for count, chance in parts if count)

    low, high = max(0.0, -loss), (1 - loss) / 2
    found = minimize_scalar(unlikely, bounds=(low, high), method="bounded", options={"xatol": 1e-12})
    share = found.x
    return (lost - won - rows * loss) / math.sqrt(rows * (2 * share + loss - loss**2))


@pytest.mark.parametrize(("lost", "won", "rows"), [(5, 3, 100), (12, 1, 60), (2, 9, 40), (1, 0, 300), (30, 25, 1000)])
def test_the_upper_bound_is_the_loss_at_which_the_score_is_just_refused(lost, won, rows):
    high = loss_bounds(lost, won, rows, 0.05).high
    assert likeliest_score(lost, won, rows, high) == pytest.approx(-1.6449, abs=1e-3)


def test_bounds_of_rows_that_never_differ_come_from_their_number_alone():
    """z² / (N + z²) on both sides."""
    bounds = loss_bounds(0, 0, 30, 0.05)
    assert bounds.high == pytest.approx(1.6449**2 / (30 + 1.6449**2), abs=1e-4)
    assert bounds.low == pytest.approx(-bounds.high)


@pytest.mark.parametrize(("right", "rows"), [(0, 10), (3, 10), (10, 10), (47, 50)])
def test_the_bounds_of_a_share_leave_out_just_so_much_on_either_side(right, rows):
    bounds = share_bounds(right, rows, 0.95)

    def at_least(share):
        return sum(math.comb(rows, k) * share**k * (1 - share) ** (rows - k) for k in range(right, rows + 1))

    assert at_least(bounds.low) == pytest.approx(0.05) or (right == 0 and bounds.low == 0)
    fewer = (
        1 - at_least(bounds.high) + math.comb(rows, right) * bounds.high**right * (1 - bounds.high) ** (rows - right)
    )
    assert fewer == pytest.approx(0.05) or (right == rows and bounds.high == 1)


# How often it is wrong


def errors_at(rows, delta, differing, least):
    """How often versions that lose exactly delta pass, with a lost row and without, or are blocked: all ways, counted."""
    lose, win = (differing + delta) / 2, (differing - delta) / 2
    passed, unseen, blocked = 0.0, 0.0, 0.0
    for lost in range(rows + 1):
        for won in range(rows - lost + 1):
            ways = math.comb(rows, lost) * math.comb(rows - lost, won)
            chance = ways * lose**lost * win**won * (1 - differing) ** (rows - lost - won)
            if chance > 1e-7:
                found = outcome(lost, won, rows, delta=delta, least=least)
                passed += chance * (found == PASS and lost > 0)
                unseen += chance * (found == PASS and lost == 0)
                blocked += chance * (found == BLOCK)
    return passed, unseen, blocked


@pytest.mark.parametrize(
    ("rows", "delta", "differing"),
    [
        (40, 0.05, 0.05),
        (40, 0.05, 0.1),
        (40, 0.1, 0.3),
        (60, 0.05, 0.06),
        (60, 0.02, 0.03),
        (60, 0.1, 0.12),
        (40, 0.0, 0.2),
    ],
)
def test_a_version_that_loses_just_what_it_must_not_passes_no_more_often_than_alpha(rows, delta, differing):
    passed, unseen, blocked = errors_at(rows, delta, differing, least=30)
    assert passed <= 0.06 and blocked <= 0.06
    assert unseen <= (1 - delta) ** rows


@pytest.mark.parametrize(("rows", "delta"), [(60, 0.05), (40, 0.1)])
def test_with_least_rows_enough_that_holds_of_all_versions(rows, delta):
    """So many that a loss of delta shows in some row in 95 of 100 cases."""
    enough = math.ceil(math.log(0.05) / math.log(1 - delta))
    assert enough <= rows
    assert sum(errors_at(rows, delta, delta, least=enough)[:2]) <= 0.06


@pytest.mark.parametrize(("delta", "differing"), [(0.02, 0.02), (0.02, 0.05), (0.02, 0.2), (0.05, 0.1)])
def test_simulated_on_500_rows_wrong_outcomes_are_as_rare_as_alpha_says(delta, differing):
    random = np.random.default_rng(7)
    lose, win = (differing + delta) / 2, (differing - delta) / 2
    draws = random.multinomial(500, [lose, win, 1 - lose - win], size=1000)
    found = [outcome(int(lost), int(won), 500, delta=delta) for lost, won, _ in draws]
    assert found.count(PASS) / 1000 <= 0.07  # 0.05 and twice the error of a thousand draws
    assert found.count(BLOCK) / 1000 <= 0.07


def test_the_exact_upper_bound_would_let_most_such_versions_pass():
    """Why U is the score bound: conditional on m, 100 rows with 2 % lost pass whenever at most two rows differ."""
    at_most_two = sum(math.comb(100, k) * 0.02**k * 0.98 ** (100 - k) for k in range(3))
    assert at_most_two > 0.6
    assert outcome(2, 0, 100, delta=0.02) == INCONCLUSIVE


def test_a_better_version_and_an_equal_one_pass_where_there_are_rows_enough():
    random = np.random.default_rng(3)
    for won in (0.05, 0.1):
        draws = random.multinomial(1000, [0.05, won, 0.95 - won], size=200)
        passed = [outcome(int(lost), int(gained), 1000, delta=0.03) == PASS for lost, gained, _ in draws]
        assert np.mean(passed) > 0.9


# What follows from more losses, more gains, a wider margin


COUNTS = st.integers(1, 300).flatmap(
    lambda rows: st.tuples(st.integers(0, rows), st.just(rows)).flatmap(
        lambda pair: st.tuples(st.just(pair[0]), st.integers(0, pair[1] - pair[0]), st.just(pair[1]))
    )
)
DELTAS = st.sampled_from([0.0, 0.005, 0.02, 0.05, 0.2])
ALPHAS = st.sampled_from([0.001, 0.01, 0.05, 0.2])


@settings(max_examples=50, deadline=None)
@given(COUNTS, DELTAS, ALPHAS)
def test_one_more_lost_row_is_never_better_and_one_more_won_never_worse(counts, delta, alpha):
    lost, won, rows = counts
    rank = OUTCOMES.index(outcome(lost, won, rows, delta=delta, alpha=alpha))
    if lost + won < rows:
        assert OUTCOMES.index(outcome(lost + 1, won, rows, delta=delta, alpha=alpha)) >= rank
        assert OUTCOMES.index(outcome(lost, won + 1, rows, delta=delta, alpha=alpha)) <= rank
    if won:
        assert OUTCOMES.index(outcome(lost + 1, won - 1, rows, delta=delta, alpha=alpha)) >= rank


@settings(max_examples=50, deadline=None)
@given(COUNTS, DELTAS, ALPHAS)
def test_a_wider_margin_is_never_harder_and_less_alpha_never_decides_more(counts, delta, alpha):
    lost, won, rows = counts
    rank = OUTCOMES.index(outcome(lost, won, rows, delta=delta, alpha=alpha))
    assert OUTCOMES.index(outcome(lost, won, rows, delta=delta + 0.1, alpha=alpha)) <= rank
    surer = outcome(lost, won, rows, delta=delta, alpha=0.001)
    assert surer in (INCONCLUSIVE, OUTCOMES[rank])


@settings(max_examples=50, deadline=None)
@given(COUNTS, ALPHAS)
def test_the_loss_that_was_seen_lies_between_its_bounds(counts, alpha):
    lost, won, rows = counts
    bounds = loss_bounds(lost, won, rows, alpha)
    assert -1 <= bounds.low <= (lost - won) / rows + 1e-9
    assert (lost - won) / rows - 1e-9 <= bounds.high <= 1


# No lost row


def test_without_a_lost_row_a_version_passes_if_there_are_least_rows():
    assert outcome(0, 0, 30, delta=0.02) == PASS
    assert outcome(0, 0, 29, delta=0.02) == INCONCLUSIVE
    assert outcome(0, 4, 30, delta=0.0) == PASS
    assert outcome(0, 0, 148, delta=0.02, least=149) == INCONCLUSIVE


def test_the_price_of_few_rows_is_the_chance_that_no_row_shows_the_loss():
    """At 30 rows and 2 % it is 55 %; 149 rows make it 5 %. The page says so."""
    assert pytest.approx(0.545, abs=1e-3) == 0.98**30
    assert 0.98**149 < 0.05 < 0.98**148


def test_with_fewer_than_least_rows_a_version_can_be_blocked_but_cannot_pass():
    assert outcome(12, 0, 20, delta=0.02) == BLOCK
    assert outcome(0, 20, 20, delta=0.02) == INCONCLUSIVE


# How many would tell


@pytest.mark.parametrize(("lost", "won", "rows"), [(5, 4, 200), (8, 2, 200), (3, 0, 60)])
def test_so_many_rows_of_the_same_rates_tell(lost, won, rows):
    found = compared(lost, won, rows, delta=0.02)
    assert found.outcome == INCONCLUSIVE and found.needed is not None
    times = math.ceil(found.needed * 1.3 / rows)  # it is an estimate
    assert outcome(lost * times, won * times, rows * times, delta=0.02) != INCONCLUSIVE
    assert outcome(lost, won, rows, delta=0.02) == INCONCLUSIVE


def test_a_loss_of_just_delta_is_told_by_no_number_of_rows():
    assert rows_needed(2, 0, 100, delta=0.02, alpha=0.05, least=30) is None
    assert compared(0, 0, 10, delta=0.02).needed is not None


def test_where_rows_are_fewer_than_least_so_many_are_needed_at_least():
    assert compared(0, 1, 10, delta=0.5, least=40).needed == 40


def test_the_p_value_is_mcnemars_two_sided():
    """9 against 1: 2 (1 + 10) / 1024."""
    assert compared(9, 1, 10, delta=0.0).p_value == pytest.approx(22 / 1024)


def test_no_rows_and_rows_of_different_numbers_are_refused():
    with pytest.raises(ValueError, match="expected one row or more"):
        compare(np.zeros(0, bool), np.zeros(0, bool), delta=0.0, alpha=0.05)
    with pytest.raises(ValueError, match="same rows"):
        compare(np.zeros(3, bool), np.zeros(2, bool), delta=0.0, alpha=0.05)
