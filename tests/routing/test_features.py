"""Joining blocks: expected rows that can be seen by eye."""

from __future__ import annotations

import numpy as np
import pytest

from routing.features import join_blocks


def test_every_block_is_brought_to_unit_length_and_blocks_stand_side_by_side():
    states = np.array([[[3, 4], [0, 2]], [[-1, 0], [6, 8]]], dtype=np.float32)
    joined = join_blocks(states)
    assert joined.dtype == np.float32
    np.testing.assert_allclose(joined, [[0.6, 0.8, 0, 1], [-1, 0, 0.6, 0.8]], rtol=1e-6)


def test_a_block_of_zeros_stays_zero_and_huge_states_do_not_overflow():
    states = np.array([[[0, 0], [3e30, 4e30]]], dtype=np.float32)
    np.testing.assert_allclose(join_blocks(states), [[0, 0, 0.6, 0.8]], rtol=1e-6)


def test_no_rows_stay_no_rows():
    assert join_blocks(np.empty((0, 2, 3), dtype=np.float32)).shape == (0, 6)


def test_states_that_are_no_blocks_or_not_finite_are_refused():
    with pytest.raises(ValueError, match=r"expected pooled states \(N, blocks, d\), got \(4, 6\)"):
        join_blocks(np.ones((4, 6), dtype=np.float32))
    with pytest.raises(ValueError, match="row 2"):
        join_blocks(np.where(np.arange(3)[:, None, None] == 2, np.nan, np.ones((3, 2, 2))).astype(np.float32))
