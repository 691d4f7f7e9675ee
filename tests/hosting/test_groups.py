"""Rows of a batch with their adapters, beside the plainest way of saying the same."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from portfolio.hosting import per_row
from portfolio.hosting.groups import is_better_grouped, is_better_merged, pairs_of
from portfolio.hosting.pages import Leases
from portfolio.hosting.per_row import PerRow
from portfolio.hosting.picks import Picks

BATCHES = st.lists(st.lists(st.sampled_from("abcd"), max_size=3), min_size=1, max_size=12)


@settings(max_examples=50, deadline=None)
@given(batch=BATCHES)
def test_each_row_is_with_each_of_its_adapters(batch):
    pairs, refs = pairs_of(batch)
    assert refs == list(dict.fromkeys(ref for row in batch for ref in row))
    listed = [(row, ref) for row, mix in enumerate(batch) for ref in mix]
    assert [(row, refs[number]) for row, number in zip(pairs.row, pairs.adapter, strict=True)] == listed
    for row, mix in enumerate(batch):
        own = [number for number in pairs.of_row[row] if number >= 0]
        assert [listed[number] for number in own] == [(row, ref) for ref in mix]
    for number, ref in enumerate(refs):
        rows = [row for row, one in listed if one == ref]
        assert pairs.members[number, : len(rows)].tolist() == rows
    assert pairs.members.ravel()[pairs.place].tolist() == pairs.row.tolist()


@settings(max_examples=50, deadline=None)
@given(batch=BATCHES, data=st.data())
def test_some_adapters_have_their_own_pairs_only(batch, data):
    pairs, refs = pairs_of(batch)
    numbers = data.draw(st.sets(st.integers(0, len(refs) - 1))) if refs else set()
    some = np.array(sorted(numbers), dtype=np.int64)
    chosen, place = pairs.of(some)
    assert chosen.tolist() == [pair for pair, number in enumerate(pairs.adapter) if number in numbers]
    assert pairs.members[some].ravel()[place].tolist() == pairs.row[chosen].tolist()


def test_few_wide_adapters_over_short_rows_are_grouped_and_many_narrow_ones_gathered():
    """As measured: docs/decisions/0012-mixed-batches.md."""
    sizes = {"both": 768, "out": 384, "mixed": 1}
    wide = is_better_grouped(batch=64, pairs=64, time=13, adapters=2, most=34, rank=256, **sizes)
    narrow = is_better_grouped(batch=32, pairs=32, time=32, adapters=32, most=1, rank=8, **sizes)
    rare = is_better_grouped(batch=64, pairs=1, time=32, adapters=1, most=1, rank=48, **sizes)
    assert (wide, narrow, rare) == (True, False, True)


@pytest.mark.parametrize("grouped", [True, False], ids=["grouped", "gathered"])
@settings(max_examples=50, deadline=None)
@given(batch=BATCHES, biased=st.booleans(), weighted=st.booleans(), seed=st.integers(0, 1000))
def test_both_ways_give_what_each_row_gives_alone(grouped, batch, biased, weighted, seed):
    """`c` has one row less than the others; `d` does not act at this site."""
    dice = torch.Generator().manual_seed(seed)

    def noise(*shape):
        return torch.randn(*shape, generator=dice, dtype=torch.float64)

    width_in, width_out, time = 3, 4, 5
    at = {"a": [4, 2], "b": [1, 3], "c": [5, 0], "d": [0, 0]}
    down, up, bias = noise(6, width_in), noise(6, width_out), noise(6)
    down[0], up[0], bias[0] = 0, 0, 0
    pairs, refs = pairs_of(batch)
    weights = noise(len(pairs.row)) if weighted else None
    update = PerRow(
        down=down,
        down_bias=bias if biased else None,
        up=up,
        activation="tanh",
        picks=Picks(
            rows=np.array([at[ref] for ref in refs], dtype=np.int64).reshape(-1, 2),
            pairs=pairs,
            device=down.device,
        ),
        weights=weights,
        lease=Leases().take(),
    )
    y, x = noise(len(batch), time, width_out), noise(len(batch), time, width_in)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(per_row, "is_better_grouped", lambda **sizes: grouped)
        made = update.add_to(y, x)
    wanted = y.clone()
    for number, (row, adapter) in enumerate(zip(pairs.row, pairs.adapter, strict=True)):
        rows = at[refs[adapter]]
        hidden = torch.tanh(functional.linear(x[row], down[rows], bias[rows] if biased else None))
        wanted[row] += (1 if weights is None else weights[number]) * (hidden @ up[rows])
    torch.testing.assert_close(made, wanted, rtol=0, atol=1e-12)


def test_a_weight_is_made_anew_for_many_tokens_and_not_for_few():
    sizes = {"rank": 8, "width_in": 384, "width_out": 1536}
    assert is_better_merged(tokens=1024, **sizes)
    assert not is_better_merged(tokens=256, **sizes)
