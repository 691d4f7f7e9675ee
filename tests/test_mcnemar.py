"""McNemar's exact test against the binomial tail counted out."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portfolio.mcnemar import mcnemar


def counted(only_one, only_other):
    """P(of n fair coins, a split as uneven as this or more so), coin by coin."""
    n = only_one + only_other
    heads = range(n + 1)
    seen = math.comb(n, only_one)
    return sum(math.comb(n, k) for k in heads if math.comb(n, k) <= seen) / 2**n


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 20), st.integers(0, 20), st.integers(0, 5), st.integers(0, 5))
def test_it_is_the_binomial_tail_of_the_rows_that_differ(only_one, only_other, both, neither):
    right = np.array([True] * (only_one + both) + [False] * (only_other + neither), dtype=bool)
    other = np.array([False] * only_one + [True] * (both + only_other) + [False] * neither, dtype=bool)
    assert mcnemar(right, other) == pytest.approx(counted(only_one, only_other))
    assert mcnemar(other, right) == pytest.approx(mcnemar(right, other))


def test_a_known_value():
    """9 against 1: 2 (1 + 10) / 1024."""
    right = np.array([True] * 9 + [False])
    assert mcnemar(right, ~right) == pytest.approx(22 / 1024)


def test_answers_to_other_rows_are_refused():
    with pytest.raises(ValueError, match="expected answers to the same rows"):
        mcnemar(np.array([True]), np.array([True, False]))
