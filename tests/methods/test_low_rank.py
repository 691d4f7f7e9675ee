"""The one form of all methods: two adapters side by side are one wider adapter."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from portfolio.methods.low_rank import ACTIVATIONS, LowRank


def random_update(rank, activation, seed, biased):
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    return LowRank(
        down=draw(rank, 5),
        down_bias=draw(rank) if biased else None,
        up=draw(4, rank),
        up_bias=draw(4) if biased else None,
        activation=activation,
    )


@settings(max_examples=25, deadline=None)
@given(
    ranks=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    activation=st.sampled_from(sorted(ACTIVATIONS)),
    seed=st.integers(0, 1000),
    biased=st.booleans(),
)
def test_two_adapters_one_after_the_other_equal_one_wider_adapter(ranks, activation, seed, biased):
    one, other = (random_update(rank, activation, seed + n, biased) for n, rank in enumerate(ranks))
    wide = LowRank(
        down=torch.cat([one.down, other.down]),
        down_bias=torch.cat([one.down_bias, other.down_bias]) if biased else None,
        up=torch.cat([one.up, other.up], dim=1),
        up_bias=one.up_bias + other.up_bias if biased else None,
        activation=activation,
    )
    assert wide.rank == sum(ranks)
    x, y = torch.randn(2, 3, 5, dtype=torch.float64), torch.randn(2, 3, 4, dtype=torch.float64)
    torch.testing.assert_close(wide.add_to(y, x), other.add_to(one.add_to(y, x), x), rtol=0, atol=1e-11)


def test_a_site_of_two_dimensions_is_served_as_well():
    """Some models hand tokens on without a batch dimension."""
    update = random_update(2, "relu", 0, biased=True)
    x, y = torch.randn(1, 6, 5, dtype=torch.float64), torch.randn(1, 6, 4, dtype=torch.float64)
    torch.testing.assert_close(update.add_to(y[0], x[0]), update.add_to(y, x)[0], rtol=0, atol=1e-12)
